"""Exitwave: frames per second, and the two Fourier transforms that no method avoids."""

import time

from numba import njit

import exitwave
from exitwave.engine import fftw
from exitwave.scan import Result, Scan

_CHUNK_SECONDS = 0.05


def throughput(scan: Scan, algorithm: str, threads: int, iterations: int) -> float:
    """Return frames times iterations over the seconds of iterating; compiling and the first iteration left out."""
    steps = exitwave.iterate(
        scan, algorithm=algorithm, threads=threads, iterations=iterations + 1, holdout=0.0, probe="file"
    )
    seconds = [progress.seconds["run"] for progress in steps]
    return len(scan.patterns) * iterations / (seconds[-1] - seconds[0])


def reconstruct(scan: Scan, threads: int, iterations: int) -> tuple[Result, float]:
    """Reconstruct with the settings as they come; return the result and the seconds of iterating."""
    for progress in exitwave.iterate(scan, threads=threads, iterations=iterations, holdout=0.0, probe="file"):
        last = progress
    return last.result(), last.seconds["run"]


@njit(nogil=True)
def _transform(address, forward, backward, pairs):
    for _ in range(pairs):
        fftw.execute(forward, address, address)
        fftw.execute(backward, address, address)


def two_ffts(size: int) -> float:
    """Return the seconds of one forward and one backward transform, in place and in cache, one thread; best of 5.

    The plans are those that the engine executes.
    """
    forward, backward = fftw.plans((size, size))
    buffer = fftw.zeros(size, 2 * size)  # zeros stay zeros, where unnormalised transforms of anything else overflow
    address = buffer.ctypes.data
    pairs, best = 1, float("inf")
    while _seconds(address, forward, backward, pairs) < _CHUNK_SECONDS:
        pairs *= 2
    for _ in range(5):
        best = min(best, _seconds(address, forward, backward, pairs) / pairs)
    return best


def _seconds(address: int, forward: int, backward: int, pairs: int) -> float:
    start = time.perf_counter()
    _transform(address, forward, backward, pairs)
    return time.perf_counter() - start
