"""Speed of Exitwave beside pty-chi and beside the Fourier transforms alone: `make bench`.

Both get the same simulated scans, starting probe, number of modes and threads. Their runs alternate, and the best of
all repeats counts. Writes results.md and results.png beside this file; with --quick (a few frames and passes, to see
that all works) into benchmarks/out. To use a Python that has pty-chi already, name it in EXITWAVE_PTYCHI_PYTHON.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import ours
import peer
import report
import scans

from exitwave.analysis.compare import compare
from exitwave.engine.cpu import default_threads
from exitwave.scan import Result, Scan

OUT = peer.HERE / "out"
SIZES = (128, 256)
BATCHES = (10, 25, 50, peer.DEFAULT_BATCH)


@dataclass(frozen=True)
class Effort:
    """How much is done."""

    frames: int
    passes: int
    """Timed passes of Exitwave over all frames; one more comes first and is left out."""
    peer_passes: int
    repeats: int
    quality_passes: int


FULL, QUICK = Effort(400, 30, 1, 3, 30), Effort(60, 5, 1, 1, 10)


@dataclass
class Measured:
    """What was measured at one size of frame."""

    size: int
    ours: dict[tuple[str, int], float] = field(default_factory=dict)
    """Best frames per second by (kind, threads); kinds: subpixel, whole (both rPIE), ePIE."""
    ffts: float = float("inf")
    """Seconds of the two Fourier transforms of a frame alone, one thread."""
    peer: dict[tuple[int, int], float] = field(default_factory=dict)
    """Best frames per second by (batch, threads)."""
    quality: list[dict[str, Any]] = field(default_factory=list)
    """Program, settings, seconds and error against the truth of one reconstruction each."""
    images: dict[str, np.ndarray] = field(default_factory=dict)
    """Phase over the compared area, by program, and of the truth."""
    versions: dict[str, str] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few frames and passes; writes into benchmarks/out")
    effort = QUICK if (quick := parser.parse_args().quick) else FULL
    OUT.mkdir(exist_ok=True)
    start, load = time.perf_counter(), os.getloadavg()[0]
    python, lacking = None, ""
    try:
        python = peer.interpreter()
    except peer.PeerMissingError as error:
        lacking = str(error)
        _say(f"pty-chi cannot be measured: {lacking}")
    folder, measured = OUT if quick else peer.HERE, []
    for size in SIZES:
        measured.append(_measure(size, effort, python))
        text = report.markdown(measured, effort, load, lacking)
        (folder / "results.md").write_text(text, encoding="utf-8")
        report.figure(measured, folder / "results.png")
    print(text)
    _say(f"{time.perf_counter() - start:.0f} s in all; written: {folder / 'results.md'} and results.png")
    return 0


def _measure(size: int, effort: Effort, python: Path | None) -> Measured:
    """Measure both programs at one size, in turns."""
    subpixel = scans.subpixel_scan(size, effort.frames)
    kinds = {"subpixel": (subpixel, "rPIE"), "whole": (scans.whole_pixel_scan(subpixel), "rPIE")}
    kinds["ePIE"] = (subpixel, "ePIE")
    assert scans.subpixel_share(subpixel) == 1
    assert scans.subpixel_share(kinds["whole"][0]) == 0
    data = OUT / f"scan-{size}.npz"
    scans.save_for_peer(subpixel, data)
    found = Measured(size)
    for repeat in range(effort.repeats):
        _say(f"{size} x {size}, repeat {repeat + 1} of {effort.repeats}: Exitwave")
        _time_ours(found, kinds, effort)
        if python:
            _say(f"{size} x {size}, repeat {repeat + 1} of {effort.repeats}: pty-chi")
            _time_peer(found, python, data, effort)
    _say(f"{size} x {size}: reconstructions of {effort.quality_passes} passes")
    _judge(found, subpixel, effort, python, data)
    return found


def thread_counts() -> list[int]:
    """Return 1 and the number of cores."""
    return sorted({1, default_threads()})


def _time_ours(found: Measured, kinds: dict[str, tuple[Scan, str]], effort: Effort) -> None:
    found.ffts = min(found.ffts, ours.two_ffts(found.size))
    for kind, (scan, algorithm) in kinds.items():
        for threads in thread_counts() if algorithm == "rPIE" else [1]:
            rate = ours.throughput(scan, algorithm, threads, effort.passes)
            found.ours[kind, threads] = max(rate, found.ours.get((kind, threads), 0.0))


def _time_peer(found: Measured, python: Path, data: Path, effort: Effort) -> None:
    jobs = [peer.job(threads, batch, 1 + effort.peer_passes) for threads in thread_counts() for batch in BATCHES]
    answer = peer.run(python, data, jobs)
    found.versions = answer["versions"]
    for job, seconds in zip(jobs, answer["seconds_per_epoch"], strict=True):
        key = job["batch"], job["threads"]
        found.peer[key] = max(effort.frames / seconds, found.peer.get(key, 0.0))


def _judge(found: Measured, scan: Scan, effort: Effort, python: Path | None, data: Path) -> None:
    """Reconstruct with both on all cores and compare with the truth, over the same area."""
    threads, passes = thread_counts()[-1], effort.quality_passes
    result, seconds = ours.reconstruct(scan, threads, passes)
    _score(found, "Exitwave", "settings as they come", result, seconds)
    if python is None:
        return
    documented, gentle = (peer.DEFAULT_BATCH, peer.DOCUMENTED_STEP), (min(BATCHES), peer.DEFAULT_STEP)
    for batch, step in (documented, gentle):
        target = OUT / f"ptychi-{found.size}.npz"
        answer = peer.run(python, data, [peer.job(threads, batch, passes, step=step, save=target)])
        with np.load(target) as file:
            theirs = replace(result, object=file["object"], probe=file["probe"])
        seconds = answer["seconds_per_epoch"][0] * passes
        _score(found, "pty-chi", f"batch {batch}, object step {step:g}", theirs, seconds)


def _score(found: Measured, program: str, settings: str, result: Result, seconds: float) -> None:
    """Keep error, lowest FRC and, of each program's best reconstruction, the phase."""
    comparison = compare(result)
    error = comparison.error
    best = min((row["error"] for row in found.quality if row["program"] == program), default=float("inf"))
    if error < best:
        found.images[program] = report.phase(comparison.object, comparison.area)
        found.images["truth"] = report.phase(comparison.reference, comparison.area)
    lowest = float(comparison.frc.correlation.min())
    row = {"program": program, "settings": settings, "seconds": seconds, "error": error, "frc": lowest}
    found.quality.append(row)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
