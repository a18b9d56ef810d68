"""Frames per second of all algorithms and modes, compared with the Fourier transforms alone and with the peers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import ours
import peer
import scans
from common import OUT, Effort, Pythons, announce, count, table, thread_counts

from exitwave.engine.algorithms.registry import ALGORITHMS as REGISTER
from exitwave.figures import style

ALGORITHMS = tuple(REGISTER.all())
FRAMES = {64: 400, 128: 400, 256: 200, 512: 100}
"""Frames of a scan by their size."""
BATCH = 50
"""Frames that share an update: what the engine chooses for a scan of 400 frames."""
MODES = (1, 2, 4, 8)
PEER_SIZES = (128, 256)
BATCHES = (10, 25, 50, 100)
"""Batches of the peers, in frames; the fastest is reported."""


def measure(effort: Effort, pythons: Pythons) -> dict[str, Any]:
    """Return all measured frames per second, as tables of rows ready for JSON."""
    found: dict[str, Any] = {"modes": [], "limit": [], "peers": [], "versions": {}, "frames": frames(effort)}
    for size in effort.sizes:
        found["modes"] += _modes(size, effort)
        found["limit"] += _limit(size, effort)
    for size in effort.peer_sizes:
        for repeat in range(effort.repeats):
            announce(f"throughput, {size} x {size}: all programs, alternating, {repeat + 1} of {effort.repeats}")
            _peers(found, size, effort, pythons)
    return found


def frames(effort: Effort) -> dict[int, int]:
    """Return the number of frames by their size."""
    return {size: max(2 * 16, number // effort.thinning) for size, number in FRAMES.items()}


def settings(algorithm: str) -> dict[str, int]:
    """Return the batch of an algorithm that has one."""
    return {"batch": BATCH} if "batch" in REGISTER.get(algorithm).settings else {}


def _modes(size: int, effort: Effort) -> Iterator[dict[str, Any]]:
    """Yield a row for every algorithm, number of threads and number of modes: measured one after the other."""
    by_modes = {modes: scans.subpixel_scan(size, frames(effort)[size], modes) for modes in effort.modes}
    for algorithm in ALGORITHMS:
        announce(f"throughput, {size} x {size}, {algorithm}")
        for threads in thread_counts():
            for modes, scan in by_modes.items():
                rate = ours.throughput(
                    scan, effort.seconds, algorithm=algorithm, threads=threads, **settings(algorithm)
                )
                yield {"size": size, "modes": modes, "algorithm": algorithm, "threads": threads, "rate": rate}


def _limit(size: int, effort: Effort) -> Iterator[dict[str, Any]]:
    """Yield the time of a frame of rPIE beside that of its two transforms, measured alternately, the best of each."""
    subpixel = scans.subpixel_scan(size, frames(effort)[size])
    kinds = {"sub-pixel": subpixel, "whole": scans.whole_pixel_scan(subpixel)}
    assert scans.subpixel_share(subpixel) == 1
    assert scans.subpixel_share(kinds["whole"]) == 0
    for threads in thread_counts():
        ffts, rates = float("inf"), dict.fromkeys(kinds, 0.0)
        for _ in range(effort.repeats):
            ffts = min(ffts, ours.two_ffts(size, threads))
            for kind, scan in kinds.items():
                rate = ours.throughput(scan, effort.seconds, algorithm="rPIE", threads=threads, **settings("rPIE"))
                rates[kind] = max(rate, rates[kind])
        yield {"size": size, "threads": threads, "ffts": ffts, "frame": {k: 1 / rate for k, rate in rates.items()}}


def _peers(found: dict[str, Any], size: int, effort: Effort, pythons: Pythons) -> None:
    """Measure all programs once on one scan; keep the best of every row."""
    number = frames(effort)[size]
    scan, data = scans.subpixel_scan(size, number), OUT / f"scan-{size}.npz"
    scans.save_for_peer(scan, data)
    for threads in thread_counts():
        for algorithm in ("rPIE", "LSQ-ML", "mPIE"):
            rate = ours.throughput(scan, effort.seconds, algorithm=algorithm, threads=threads, **settings(algorithm))
            _keep(found, "Exitwave", algorithm, size, threads, settings(algorithm)["batch"], rate)
    for who, algorithms, batches in ((peer.PTYCHI, ("rPIE", "LSQ-ML"), BATCHES), (peer.PTYLAB, ("mPIE",), (1,))):
        if who not in pythons:
            continue
        jobs = [
            peer.job(algorithm, threads, [1, 2], batch=min(batch, number))
            for algorithm in algorithms
            for threads in thread_counts()
            for batch in batches
        ]
        answer = peer.run(who, pythons[who], data, jobs)
        found["versions"] |= answer["versions"]
        for job, (first, last) in zip(jobs, answer["seconds"], strict=True):
            rate = number / (last - first)
            _keep(found, who.name, job["algorithm"], size, job["threads"], job["settings"]["batch"], rate)


def _keep(
    found: dict[str, Any], program: str, algorithm: str, size: int, threads: int, batch: int, rate: float
) -> None:
    """Add a row, or raise the rate of the row that is there."""
    row = {"program": program, "algorithm": algorithm, "size": size, "threads": threads, "batch": batch}
    for known in found["peers"]:
        if row.items() <= known.items():
            known["rate"] = max(rate, known["rate"])
            return
    found["peers"].append(row | {"rate": rate})


def fastest(found: dict[str, Any], **entries: Any) -> dict[str, Any] | None:
    """Return the fastest of the rows of all programs with these entries, or None."""
    rows = [row for row in found["peers"] if entries.items() <= row.items()]
    return max(rows, key=lambda row: row["rate"], default=None)


def markdown(found: dict[str, Any]) -> list[str]:
    """Return the paragraphs and tables of the report."""
    numbers = ", ".join(f"{number} of {size} x {size}" for size, number in found["frames"].items())
    return [
        "## Frames per second",
        f"Simulated 26-ID scans with the true probe to start from, sub-pixel positions, {scans.PHOTONS:.0e} photons a "
        f"frame; frames: {numbers}. Updates are shared by 50 frames, as the engine chooses for 400. "
        "Compiling and the first pass are not measured.",
        "### Beside other programs",
        _peer_table(found),
        "Each peer runs in a separate process with the same frames, positions and starting probe, alternating with "
        "Exitwave, at the fastest of the batch sizes "
        f"{', '.join(map(str, BATCHES))} (in brackets) and the best of its repeats. PtyLab processes one frame after "
        "the other, rounds positions to whole pixels and uses no threads.",
        "### All algorithms: frames times modes per second",
        _mode_table(found),
        "### Cost of modes: time of a pass with more modes over that with one",
        _cost_table(found),
        "### Time of a frame of rPIE beside its two Fourier transforms alone",
        _limit_table(found),
        "The transforms: one forward and one backward, patient FFTW plans, in place and in cache, every thread its "
        "own. Sub-pixel positions take two more transforms a frame.",
    ]


def _peer_table(found: dict[str, Any]) -> str:
    pairs = (("pty-chi", "rPIE"), ("pty-chi", "LSQ-ML"), ("PtyLab", "mPIE"))
    rows = []
    for size in sorted({row["size"] for row in found["peers"]}):
        for threads in sorted({row["threads"] for row in found["peers"]}):
            for program, algorithm in pairs:
                same = {"algorithm": algorithm, "size": size, "threads": threads}
                mine, other = fastest(found, program="Exitwave", **same), fastest(found, program=program, **same)
                if mine and other:
                    theirs = f"{other['rate']:.0f} ({other['batch']})"
                    ratio = f"**{mine['rate'] / other['rate']:.1f}**"
                    rows.append(
                        [algorithm, f"{size} x {size}", str(threads), f"{mine['rate']:.0f}", program, theirs, ratio]
                    )
    return table(["Algorithm", "Frame", "Threads", "Exitwave", "Peer", "Its frames/s (batch)", "Ratio"], rows)


def _mode_table(found: dict[str, Any]) -> str:
    rates = _rates(found)
    rows = [
        [algorithm, f"{size} x {size}", str(threads), *(f"{m * rate:.0f}" for m, rate in sorted(by_modes.items()))]
        for (size, algorithm, threads), by_modes in rates.items()
    ]
    return table(["Algorithm", "Frame", "Threads", *(count(m, "mode") for m in _mode_numbers(found))], rows)


def _cost_table(found: dict[str, Any]) -> str:
    threads = max(row["threads"] for row in found["modes"])
    rates = {key: by_modes for key, by_modes in _rates(found).items() if key[2] == threads}
    sizes, modes = sorted({size for size, _, _ in rates}), _mode_numbers(found)[-1]
    rows = [
        [
            algorithm,
            *(f"{rates[size, algorithm, threads][1] / rates[size, algorithm, threads][modes]:.1f}" for size in sizes),
        ]
        for algorithm in dict.fromkeys(algorithm for _, algorithm, _ in rates)
    ]
    return table([f"{modes} modes, {count(threads, 'thread')}", *(f"{size} x {size}" for size in sizes)], rows)


def _rates(found: dict[str, Any]) -> dict[tuple[int, str, int], dict[int, float]]:
    """Return frames per second by size, algorithm and threads, and then by modes."""
    rates: dict[tuple[int, str, int], dict[int, float]] = {}
    for row in found["modes"]:
        rates.setdefault((row["size"], row["algorithm"], row["threads"]), {})[row["modes"]] = row["rate"]
    return rates


def _mode_numbers(found: dict[str, Any]) -> list[int]:
    return sorted({row["modes"] for row in found["modes"]})


def _limit_table(found: dict[str, Any]) -> str:
    head = ["Frame", "Threads", "Two FFTs (µs)", "Frame, whole pixels (µs)", "Ratio", "Frame, sub-pixel (µs)", "Ratio"]
    rows = []
    for row in found["limit"]:
        cells = [f"{row['size']} x {row['size']}", str(row["threads"]), f"{1e6 * row['ffts']:.1f}"]
        for kind in ("whole", "sub-pixel"):
            cells += [f"{1e6 * row['frame'][kind]:.1f}", f"**{row['frame'][kind] / row['ffts']:.2f}**"]
        rows.append(cells)
    return table(head, rows)


def draw(found: dict[str, Any], left: Any, right: Any) -> None:
    """Draw the programs beside each other, and the distance from the transforms alone."""
    series = (
        ("Exitwave", "rPIE", style.BLUE),
        ("pty-chi", "rPIE", style.ORANGE),
        ("Exitwave", "LSQ-ML", "#9dbfe3"),
        ("pty-chi", "LSQ-ML", "#f0b48a"),
        ("Exitwave", "mPIE", "#5f6f7f"),
        ("PtyLab", "mPIE", "#c0c4c8"),
    )
    groups = sorted({(row["size"], row["threads"]) for row in found["peers"]})
    for i, (program, algorithm, colour) in enumerate(series):
        best = [fastest(found, program=program, algorithm=algorithm, size=s, threads=t) for s, t in groups]
        rates = [row["rate"] if row else np.nan for row in best]
        label = f"{program} {algorithm}"
        bars = left.bar(np.arange(len(groups)) + 0.14 * (i - 2.5), rates, 0.13, color=colour, label=label)
        left.bar_label(bars, fmt=lambda rate: f"{rate:.0f}" if rate > 0 else "", fontsize=4.5, padding=1)
    left.set(yscale="log", ylabel="Frames per second", xticks=range(len(groups)))
    left.set_xticklabels([f"{s} x {s}\n{count(t, 'thread')}" for s, t in groups])
    left.margins(y=0.15)
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.0, handlelength=1.0)
    _draw_limit(found["limit"], right)


def _draw_limit(rows: list[dict[str, Any]], axes: Any) -> None:
    for threads, line in zip(sorted({row["threads"] for row in rows}), ("-", "--"), strict=False):
        chosen = [row for row in rows if row["threads"] == threads]
        for kind, colour in (("sub-pixel", style.BLUE), ("whole", style.GREY)):
            ratios = [row["frame"][kind] / row["ffts"] for row in chosen]
            label = f"{kind}{' pixels' if kind == 'whole' else ''}, {count(threads, 'thread')}"
            axes.plot([row["size"] for row in chosen], ratios, line, marker="o", ms=3, color=colour, label=label)
    axes.axhline(1, color="black", lw=0.8, ls=":")
    axes.set(xscale="log", xlabel="Pixels along a frame", ylabel="Time of a frame / two FFTs", ylim=(0, None))
    axes.set_xticks(sorted({row["size"] for row in rows}), [str(n) for n in sorted({row["size"] for row in rows})])
    axes.minorticks_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)
