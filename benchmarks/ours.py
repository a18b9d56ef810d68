"""Exitwave: frames per second, errors by iteration, and the two Fourier transforms that every method needs."""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyfftw

import exitwave
from exitwave.reconstruction.iterate import Progress
from exitwave.scan import Scan

_CHUNK_SECONDS = 0.05
_ENDLESS = 10_000


def throughput(scan: Scan, seconds: float, **settings: Any) -> float:
    """Return frames per second of iterating, measured over about ``seconds`` and at least one pass.

    Compiling and the first pass are not measured.
    """
    start, passes = None, 0
    for progress in exitwave.iterate(scan, iterations=_ENDLESS, holdout=0.0, probe="file", **settings):
        now = progress.seconds["run"]
        if start is None:
            start = now
            continue
        passes += 1
        if now - start >= seconds:
            break
    return len(scan.patterns) * passes / (now - start)


def follow(scan: Scan, marks: Collection[int], **settings: Any) -> tuple[list[Progress], dict[int, Any]]:
    """Reconstruct; return the progress of each iteration, and the results after the iterations of ``marks``."""
    steps, results = [], {}
    for progress in exitwave.iterate(scan, probe="file", **settings):
        steps.append(progress)
        if progress.iteration in marks:
            results[progress.iteration] = progress.result()
    return steps, results


def two_ffts(size: int, threads: int = 1) -> float:
    """Return the seconds of one forward and one backward transform of a frame, in place and in cache.

    The plans are FFTW's in two dimensions from a patient search, not those of the engine. Each thread transforms its
    own frame, so n threads take about 1/n of the time per frame. Best of 5.
    """
    pairs = [_plans(size) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def measure(repeats: int) -> float:
            start = time.perf_counter()
            jobs = [pool.submit(_transform, *pair, repeats) for pair in pairs]
            for job in jobs:
                job.result()
            return time.perf_counter() - start

        repeats = 1
        while measure(repeats) < _CHUNK_SECONDS:
            repeats *= 2
        return min(measure(repeats) for _ in range(5)) / (repeats * threads)


def _plans(size: int) -> tuple[pyfftw.FFTW, pyfftw.FFTW]:
    """Return plans of a forward and a backward transform in one buffer of zeros."""
    buffer = pyfftw.zeros_aligned((size, size), np.complex64)
    directions = ("FFTW_FORWARD", "FFTW_BACKWARD")
    forward, backward = (
        pyfftw.FFTW(buffer, buffer, axes=(0, 1), direction=direction, flags=("FFTW_PATIENT",))
        for direction in directions
    )
    return forward, backward


def _transform(forward: pyfftw.FFTW, backward: pyfftw.FFTW, repeats: int) -> None:
    """Run both plans repeatedly; threads run in parallel, because plans release Python's lock."""
    for _ in range(repeats):
        forward.execute()
        backward.execute()
