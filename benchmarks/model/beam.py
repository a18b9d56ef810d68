"""Probe modes, OPR, intensity and pointing of each frame. Prints Markdown tables.

    python benchmarks/model/beam.py [MEASURED.cxi]

Simulated scans have 128 x 128 pixels and 2e6 photons in a frame; everything runs on one thread.
"""

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

import exitwave
from exitwave.frames import Frames
from exitwave.optics import mode_powers
from exitwave.scan import Result, Scan
from exitwave.simulation import simulate

POISSON = [{"iterations": 40}, {"algorithm": "ML", "noise": "Poisson", "iterations": 30}]
"""Powers of modes need the Poisson model: the amplitude model is biased at pixels of few counts."""


def scan(**settings: Any) -> Scan:
    made = simulate(**{"detector": 128, "frames": 200, "photons": 2e6, "seed": 3} | settings)
    return replace(made, patterns=Frames(made.patterns[:]))


def run(data: Scan, **settings: Any) -> Result:
    return exitwave.reconstruct(data, threads=1, **settings)


def table(head: list[str], rows: list[list[str]]) -> None:
    print("\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)), "\n", flush=True)


def row(name: str, result: Result, *more: str) -> list[str]:
    distance = "-" if result.scan.truth is None else f"{exitwave.compare(result).error:.2%}"
    return [name, f"{result.errors[-1]:.5f}", f"{result.holdout_errors[-1]:.5f}", distance, *more]


def powers(result: Result) -> str:
    return " / ".join(f"{power:.1f}" for power in 100 * mode_powers(result.probe))


def opr_power(result: Result) -> float:
    """Return the power of the OPR modes relative to that of the probe modes."""
    opr_modes, weights = result.model["opr_modes"], result.model["opr_weights"]
    power = (weights**2).mean(0) * (np.abs(opr_modes) ** 2).sum((1, 2))
    return float(power.sum() / (np.abs(result.probe) ** 2).sum())


def angle(result: Result) -> float:
    """Return the angle in degrees between the true OPR mode and the found ones, all orthogonal to the probe mode."""
    mode, truth = result.probe[0].astype(complex), result.scan.truth.model["opr_modes"][0].astype(complex)
    basis = [u - mode * np.vdot(mode, u) / np.vdot(mode, mode) for u in (*result.model["opr_modes"], truth)]
    columns = np.array(basis).reshape(len(basis), -1).T
    axes, unit = np.linalg.qr(columns[:, :-1])[0], columns[:, -1] / np.linalg.norm(columns[:, -1])
    return float(np.degrees(np.arcsin(min(1.0, np.linalg.norm(unit - axes @ (axes.conj().T @ unit))))))


def modes() -> None:
    rows = []
    for specimen in ("star", "texture"):
        data = scan(mode_powers=(70, 20, 10), specimen=specimen)
        coherent = replace(data, probe=data.probe[:1])
        known = run(data, stages=POISSON)
        rows.append(row(f"{specimen}, from the true modes", known, powers(known)))
        amplitude = run(coherent, modes=3)
        rows.append(row(f"{specimen}, from the first mode, mPIE only", amplitude, powers(amplitude)))
        found = run(coherent, modes=3, stages=POISSON)
        rows.append(row(f"{specimen}, from the first mode, then ML Poisson", found, powers(found)))
    table(["Three modes, 70 / 20 / 10 %", "Error", "Held out", "Object", "Powers in %"], rows)


def drift() -> None:
    rows = []
    for size in (0.2, 0.05):
        data = scan(probe_drift=size)
        rows.append(row(f"drift {size:.0%}, no OPR", run(data, iterations=60), "-", "-"))
        for number in (1, 3):
            found = run(data, iterations=60, opr_update={"number": number})
            rows.append(row(f"drift {size:.0%}, {number}", found, f"{angle(found):.1f}", f"{opr_power(found):.3%}"))
    for photons in (2e6, 1e4):
        data = scan(photons=photons)
        rows.append(row(f"steady, {photons:g} photons, no OPR", run(data), "-", "-"))
        found = run(data, opr_update={"number": 3})
        rows.append(row(f"steady, {photons:g} photons, 3", found, "-", f"{opr_power(found):.5%}"))
    table(["Probe, and number of OPR modes", "Error", "Held out", "Object", "Angle in degrees", "Power"], rows)


def cost() -> None:
    data, seconds = scan(frames=400), {}
    choices: dict[str, dict[str, Any]] = {"none": {}, "intensity": {"intensity_update": True}}
    choices |= {f"{n} OPR modes": {"opr_update": {"number": n}} for n in (1, 3)}
    choices |= {"pointing": {"pointing_update": True}}
    for _ in range(4):
        for name, settings in choices.items():
            steps = [time.perf_counter() for _ in exitwave.iterate(data, iterations=8, threads=1, decay=0, **settings)]
            seconds[name] = min(seconds.get(name, np.inf), float(np.min(np.diff(steps)[3:])))
    rows = [[name, f"{1e3 * best:.0f}", f"{best / seconds['none'] - 1:+.0%}"] for name, best in seconds.items()]
    table(["Refined", "ms for an iteration of 400 frames, one thread", "Cost"], rows)


def frames() -> None:
    rows = []
    data = scan(beam_fluctuation=0.1)
    truth = data.truth.model["probe_factors"]
    rows.append(row("intensity fluctuates by 10 %, not refined", run(data), f"{truth.std():.4f}"))
    found = run(data, intensity_update=True)
    wrong = found.model["probe_factors"] - truth / truth.mean()
    rows.append(row("refined", found, f"{wrong.std():.4f}"))
    data = scan(pointing=0.5)
    truth = data.truth.model["pointing"]
    rows.append(row("pattern moves by 0.5 pixels, not refined", run(data), f"{truth.std():.4f}"))
    found = run(data, pointing_update=True)
    wrong = found.model["pointing"] - truth
    rows.append(row("refined", found, f"{(wrong - wrong.mean(0)).std():.4f}"))
    table(["Intensity and pointing", "Error", "Held out", "Object", "Rms error"], rows)


def measured(path: str) -> None:
    data, rows = exitwave.open(path), []
    choices: dict[str, dict[str, Any]] = {"none": {}, "intensity per frame": {"intensity_update": True}}
    choices |= {f"{n} OPR modes": {"opr_update": {"number": n}} for n in (1, 3)}
    choices |= {"pointing": {"pointing_update": True}, "all": {}}
    choices["all"] = {"intensity_update": True, "pointing_update": True, "opr_update": {"number": 3}}
    for name, settings in choices.items():
        found = run(data, **settings)
        rows.append(row(name, found, f"{opr_power(found):.3%}" if "opr_modes" in found.model else "-"))
    table(["Measured Siemens star", "Error", "Held out", "Object", "Power of OPR modes"], rows)


if __name__ == "__main__":
    for part in (modes, drift, frames, cost):
        part()
    for path in sys.argv[1:]:
        measured(path)
