"""Held-out error over time, and distance from the truth, of Exitwave and of the peers.

The same frames are held out of every program, and Exitwave's model computes the error of every program's object and
probe.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ours
import peer
import scans
from common import OUT, Effort, Pythons, announce, table, thread_counts

from exitwave.analysis.compare import compare
from exitwave.analysis.error import recompute
from exitwave.analysis.rectangles import largest_rectangle
from exitwave.scan import Result, Scan

OURS: tuple[tuple[str, int], ...] = (
    ("rPIE", 100), ("rPIE", 40), ("LSQ-ML", 60), ("Adam", 60), ("Adam", 30), ("ML", 60), ("mPIE", 60), ("mPIE", 30),
)  # fmt: skip
"""Algorithm and iterations, with default settings; in some algorithms the steps decay towards the end."""
LSQML: dict[str, dict[str, Any]] = {
    "compact, momentum": {"batch": 96, "batching": "compact", "momentum": 0.5},
    "random, batch 44": {"batch": 44},
    "random, batch 10": {"batch": 10},
}
"""pty-chi's LSQ-ML: as in its example with momentum, as in its first steps, and with small batches."""
TOLERANCE = 1.01
"""An error within this factor of the final error counts as reached."""
MARKS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 60, 80, 100)
"""Iterations after which results are compared with the truth, and the peers' held-out errors are computed."""


def measure(effort: Effort, pythons: Pythons) -> dict[str, Any]:
    """Return the curves of each data set, ready for JSON."""
    found: dict[str, Any] = {"epochs": effort.epochs, "sets": [], "versions": {}}
    sources: dict[str, Callable[[], Scan]] = {
        "Simulated 26-ID scan": lambda: scans.defocused_scan(400 // effort.thinning),
        "Measured Siemens star": scans.measured_scan,
    }
    for name, source in sources.items():
        try:
            scan = source()
        except scans.NoDataError as error:
            announce(f"quality, {name} not measured: {error}")
            found["sets"].append({"name": name, "lacking": str(error), "curves": []})
            continue
        found["sets"].append(_measure(name, scan, effort, pythons, found["versions"]))
    return found


def _measure(name: str, scan: Scan, effort: Effort, pythons: Pythons, versions: dict[str, str]) -> dict[str, Any]:
    """Return the curves of one data set."""
    threads, curves = thread_counts()[-1], []
    marks = sorted({mark for mark in MARKS if mark < effort.epochs} | {effort.epochs})
    for algorithm, iterations in OURS:
        length = min(iterations, effort.epochs * 2)
        announce(f"quality, {name}: Exitwave {algorithm}, {length} iterations")
        steps, results = ours.follow(scan, {*marks, length}, algorithm=algorithm, iterations=length, threads=threads)
        every = {step.iteration: (step.seconds["run"], step.holdout_error) for step in steps}
        curves.append(_curve("Exitwave", algorithm, f"{length} iterations", every, results))
        base = results[length]
    data = OUT / "quality.npz"
    scans.save_for_peer(scan, data, base.held_out)
    for program, algorithm, settings in _peer_runs():
        if program not in pythons:
            continue
        label = ", ".join([*filter(None, [settings]), f"{effort.epochs} epochs"])
        announce(f"quality, {name}: {program.name} {algorithm}, {label}")
        seconds, results, found = _run_peer(
            program, pythons[program], data, algorithm, LSQML.get(settings, {}), base, marks
        )
        versions |= found
        every = {mark: (s, recompute(results[mark], base.held_out)) for mark, s in zip(marks, seconds, strict=True)}
        curves.append(_curve(program.name, algorithm, label, every, results))
    return {"name": name, "held_out": len(base.held_out), "frames": len(scan.patterns), "curves": curves}


def _peer_runs() -> list[tuple[peer.Peer, str, str]]:
    """Return peer, algorithm and the name of its settings."""
    return [*((peer.PTYCHI, "LSQ-ML", name) for name in LSQML), (peer.PTYLAB, "mPIE", "")]


def _run_peer(
    program: peer.Peer,
    python: Path,
    data: Path,
    algorithm: str,
    settings: dict[str, Any],
    base: Result,
    marks: list[int],
) -> tuple[list[float], dict[int, Result], dict[str, str]]:
    """Return seconds at the marks, results at the marks and versions, after a run of one epoch that is not measured."""
    target, threads = OUT / "quality-peer.npz", thread_counts()[-1]
    warm, run = (
        peer.job(algorithm, threads, epochs, save, **settings) for epochs, save in (([1], None), (marks, target))
    )
    answer = peer.run(program, python, data, [warm, run])
    with np.load(target) as file:
        pairs = zip(marks, file["objects"], file["probes"], strict=True)
        results = {mark: replace(base, object=obj, probe=probe) for mark, obj, probe in pairs}
    return answer["seconds"][1], results, answer["versions"]


def _curve(
    program: str, algorithm: str, label: str, every: dict[int, tuple[float, float]], results: dict[int, Result]
) -> dict[str, Any]:
    """Return seconds, held-out error and distance from the truth by iteration, and an image of the phase."""
    last = max(results)
    known = results[last].scan.truth is not None
    truth = {mark: compare(result).error for mark, result in results.items()} if known else {}
    return {
        "program": program,
        "algorithm": algorithm,
        "label": label,
        "iterations": list(every),
        "seconds": [seconds for seconds, _ in every.values()],
        "holdout": [error for _, error in every.values()],
        "truth": {"iterations": list(truth), "errors": list(truth.values())},
        "image": phase(results[last]),
    }


def phase(result: Result) -> list[list[float]]:
    """Return the phase about its mean in the middle of the covered area, rounded to 0.01 rad."""
    rows, columns = largest_rectangle(result.mask > 0)
    part = result.object[rows, columns]
    part = part * np.exp(-1j * _slope(part))
    return np.round(np.angle(part * np.conj(part.mean())), 2).tolist()


def _slope(part: np.ndarray) -> np.ndarray:
    """Return the mean phase ramp of an object, shape (rows, columns)."""
    steps = [np.angle((np.delete(part, 0, axis) * np.conj(np.delete(part, -1, axis))).sum()) for axis in (0, 1)]
    return sum(step * index for step, index in zip(steps, np.indices(part.shape), strict=True))


def reached(curve: dict[str, Any], error: float) -> float | None:
    """Return the seconds after which the held-out error of a curve is at most this error, or None."""
    pairs = zip(curve["seconds"], curve["holdout"], strict=True)
    return next((seconds for seconds, holdout in pairs if holdout <= error), None)


def best_peer(curves: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the curve of pty-chi's LSQ-ML with the lowest final held-out error, or None."""
    theirs = [curve for curve in curves if curve["program"] == peer.PTYCHI.name]
    return min(theirs, key=lambda curve: curve["holdout"][-1], default=None)


def markdown(found: dict[str, Any]) -> list[str]:
    """Return the paragraphs and tables of the report."""
    parts = ["## Time to quality"]
    for data_set in found["sets"]:
        if not data_set["curves"]:
            parts += [f"### {data_set['name']}", f"Not measured: {data_set['lacking']}."]
            continue
        parts += [f"### {data_set['name']}", _introduction(data_set), _table(data_set["curves"])]
        target = best_peer(data_set["curves"])
        if target:
            parts.append(_verdict(target, data_set["curves"]))
    parts.append(
        "Held-out error: sum (sqrt(I) - sqrt(model))^2 / sum I over the held-out frames, by Exitwave's model with "
        "each program's object and probe. Distance: norm of the difference between complex object and truth, relative "
        "to the norm of the truth about its mean, without scale, ramp and shift. Seconds are those of iterating on all "
        "cores, without compiling, loading and a first pass. Speed-up: time of all epochs of pty-chi's LSQ-ML over the "
        "time in which the run reaches the same final error. Speed-up within "
        f"{TOLERANCE - 1:.0%}: the same for an error within {TOLERANCE - 1:.0%} of the final error, first reached by "
        "each program."
    )
    return parts


def _introduction(data_set: dict[str, Any]) -> str:
    start = {
        "Simulated 26-ID scan": "The defocus of the starting probe is wrong by 15 %.",
        "Measured Siemens star": "The starting probe is that of the file.",
    }
    return (
        f"{data_set['frames']} frames of 128 x 128, {data_set['held_out']} of them held out of every program. "
        f"{start[data_set['name']]}"
    )


def _table(curves: list[dict[str, Any]]) -> str:
    target = best_peer(curves)
    rows = []
    for curve in curves:
        truth = f"{curve['truth']['errors'][-1]:.1%}" if curve["truth"]["errors"] else "-"
        row = [curve["program"], f"{curve['algorithm']}, {curve['label']}", f"{curve['seconds'][-1]:.1f}"]
        row += [f"{curve['holdout'][-1]:.5f}", truth]
        if target:
            row += [_speed_up(curve, target, 1.0, target["seconds"][-1])]
            row += [_speed_up(curve, target, TOLERANCE, reached(target, TOLERANCE * target["holdout"][-1]))]
        rows.append(row)
    head = ["Program", "Run", "Seconds", "Held-out error", "Distance"]
    return table([*head, "Speed-up", "Speed-up within 1 %"] if target else head, rows)


def _speed_up(curve: dict[str, Any], target: dict[str, Any], tolerance: float, seconds: float | None) -> str:
    """Return ``seconds`` over the time in which a curve reaches the target's final error, or "never"."""
    mine = reached(curve, tolerance * target["holdout"][-1])
    return f"{seconds / mine:.1f}" if mine and seconds else "never"


def _verdict(target: dict[str, Any], curves: list[dict[str, Any]]) -> str:
    error, seconds = target["holdout"][-1], target["seconds"][-1]
    times = [
        (seconds / mine, f"{curve['algorithm']}, {curve['label']}")
        for curve in curves
        if curve["program"] == "Exitwave" and (mine := reached(curve, error))
    ]
    end = f"pty-chi's LSQ-ML ({target['label']}) ends at {error:.5f} after {seconds:.1f} s"
    if not times:
        return f"{end}; no run of Exitwave reaches this error."
    best = max(times)
    return f"**{end}; Exitwave reaches this error {best[0]:.1f} times faster ({best[1]}).**"


def draw_curves(data_set: dict[str, Any], axes: Any) -> None:
    """Draw the held-out error of one data set over the seconds."""
    colours = {
        "Exitwave": iter(("#1f5fa8", "#4f8fd0", "#0b3c6f", "#2a9d8f", "#7fc8be", "#6a4c93", "#5f6f7f", "#9aa5b1"))
    }
    colours |= {"pty-chi": iter(("#d1661f", "#f0a05a", "#a63d00")), "PtyLab": iter(("0.55",))}
    for curve in data_set["curves"]:
        style_ = "-" if curve["program"] == "Exitwave" else "--"
        label = f"{curve['program']} {curve['algorithm']}, {curve['label']}"
        colour = next(colours[curve["program"]])
        axes.plot(curve["seconds"], curve["holdout"], style_, color=colour, label=label, lw=0.9)
    axes.set(xscale="log", yscale="log", xlabel="Seconds", ylabel="Held-out error", title=data_set["name"])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=1, fontsize=5.5, handlelength=1.6)


def pictures(data_set: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return a phase image of each program: of its run with the lowest held-out error."""
    best: dict[str, dict[str, Any]] = {}
    for curve in data_set["curves"]:
        known = best.get(curve["program"])
        if known is None or curve["holdout"][-1] < known["holdout"][-1]:
            best[curve["program"]] = curve
    return {f"{program} {curve['algorithm']}": np.array(curve["image"]) for program, curve in best.items()}
