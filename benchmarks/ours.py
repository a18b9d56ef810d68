"""Exitwave: frames per second, the way to a good object, and the two Fourier transforms that no method avoids."""

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
    """Return frames times passes over the seconds of iterating, over at least one pass and about ``seconds``.

    Compiling and the first pass are left out.
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
    """Reconstruct; return the progress of every iteration, and the results after those of ``marks``."""
    steps, results = [], {}
    for progress in exitwave.iterate(scan, probe="file", **settings):
        steps.append(progress)
        if progress.iteration in marks:
            results[progress.iteration] = progress.result()
    return steps, results


def two_ffts(size: int, threads: int = 1) -> float:
    """Return the seconds that one forward and one backward transform of a frame take, in place and in cache.

    The plans are FFTW's for two dimensions, the best that a patient search finds, whatever the engine executes. Every
    thread transforms a frame of its own, so that n threads take about an n-th of the time a frame. Best of 5.
    """
    pairs = [_plans(size) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def measure(turns: int) -> float:
            start = time.perf_counter()
            jobs = [pool.submit(_transform, *pair, turns) for pair in pairs]
            for job in jobs:
                job.result()
            return time.perf_counter() - start

        turns = 1
        while measure(turns) < _CHUNK_SECONDS:
            turns *= 2
        return min(measure(turns) for _ in range(5)) / (turns * threads)


def _plans(size: int) -> tuple[pyfftw.FFTW, pyfftw.FFTW]:
    """Return plans of a forward and a backward transform in one buffer of zeros, which stay zeros."""
    buffer = pyfftw.zeros_aligned((size, size), np.complex64)
    directions = ("FFTW_FORWARD", "FFTW_BACKWARD")
    forward, backward = (
        pyfftw.FFTW(buffer, buffer, axes=(0, 1), direction=direction, flags=("FFTW_PATIENT",))
        for direction in directions
    )
    return forward, backward


def _transform(forward: pyfftw.FFTW, backward: pyfftw.FFTW, turns: int) -> None:
    """Run both plans so many times; threads do it at the same time, for plans do not hold Python's lock."""
    for _ in range(turns):
        forward.execute()
        backward.execute()
