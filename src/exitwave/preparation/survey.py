"""One pass through the stack, in blocks, that gathers what the steps of preparation need to know of every pixel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.frames import marker
from exitwave.scan import Scan

Progress = Callable[[int, int], None]
"""Is told how many frames are done, of how many."""
BLOCK = 16 * 2**20
"""Bytes of counts that are looked at together."""
LONELY, CLEAR = 4.0, 20.0
"""A count is a loner where it exceeds all of its eight neighbours by this factor, and by so many counts: speckle is
wider than a pixel, so its neighbours are bright as well."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What the frames are like, pixel by pixel; arrays of shape (ny, nx) in counts as they are in the file.

    Counts that are not finite, negative, or the largest number of their type are no measurements; they are counted and
    otherwise left aside.
    """

    frames: int
    """Number of frames."""
    valid: NDArray[np.int64]
    """Frames with a measurement."""
    total: NDArray[np.float64]
    """Sum over these frames."""
    squares: NDArray[np.float64]
    """Sum of the squares over these frames."""
    least: NDArray[np.float64]
    """Smallest count; inf where there is none."""
    most: NDArray[np.float64]
    """Largest count; 0 where there is none."""
    at_most: NDArray[np.int64]
    """Frames that have it."""
    alone: NDArray[np.int64]
    """Frames in which the pixel is far brighter than all of its neighbours."""
    marked: NDArray[np.int64]
    """Frames with the largest number of the type."""
    negative: NDArray[np.int64]
    """Frames with a negative count."""
    mark: float | None
    """The largest number of the type, which some pixel has; None: none has."""
    sums: NDArray[np.float64]
    """Counts of every frame on the good pixels, shape (frames,)."""
    summed: NDArray[np.bool_]
    """Which pixels are in these."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the frames with a measurement; 0 where there is none."""
        return self.total / np.maximum(self.valid, 1)

    def frame_counts(self, good: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the counts of every frame without pixels, in the mean, that have turned out not to be good."""
        return self.sums - float(self.total[self.summed & ~good].sum()) / self.frames


def survey(scan: Scan, progress: Progress | None = None) -> Survey:
    """Look at all frames once, `BLOCK` bytes at a time.

    Parameters
    ----------
    scan : Scan
        Pixels that its mask calls bad are not taken for neighbours, and not for a frame's counts.
    progress : callable, optional
        Is told after every block how many frames are done, of how many.

    Returns
    -------
    Survey
    """
    npos, ny, nx = scan.patterns.shape
    good, mark = scan.detector.always_good, marker(scan.patterns.dtype)
    total, squares, most = np.zeros((3, ny, nx))
    least = np.full((ny, nx), np.inf)
    valid, at_most, alone, marked, negative = (np.zeros((ny, nx), np.int64) for _ in range(5))
    sums = np.zeros(npos)
    for index, block in scan.patterns.blocks(max(1, BLOCK // scan.patterns.room)):
        wrong = ~np.isfinite(block) | (block < 0) | (block >= mark)
        counts = np.where(wrong, 0, block).astype(np.float32)
        valid += len(block) - wrong.sum(axis=0)
        if wrong.any():
            marked += (block >= mark).sum(axis=0)
            negative += (block < 0).sum(axis=0)
        total += counts.sum(axis=0, dtype=np.float64)
        squares += np.einsum("kyx,kyx->yx", counts, counts, dtype=np.float64)
        least = np.minimum(least, np.where(wrong, np.inf, counts).min(axis=0) if wrong.any() else counts.min(axis=0))
        peak = counts.max(axis=0)
        times = (counts == peak).sum(axis=0)
        at_most = np.where(peak > most, times, at_most + np.where(peak == most, times, 0))
        most = np.maximum(most, peak)
        counts[:, ~good] = 0
        sums[index] = counts.sum(axis=(1, 2), dtype=np.float64)
        alone += (counts > LONELY * brightest_neighbour(counts) + CLEAR).sum(axis=0)
        if progress:
            progress(index.stop, npos)
    used = mark if marked.any() else None
    return Survey(npos, valid, total, squares, least, most, at_most, alone, marked, negative, used, sums, good)


def brightest_neighbour(stack: NDArray[Any]) -> NDArray[Any]:
    """Return the largest of the eight neighbours of every pixel, shape (..., ny, nx); none lie beyond the edges."""
    row = np.zeros_like(stack)  # the larger of left and right
    row[..., 1:] = stack[..., :-1]
    np.maximum(row[..., :-1], stack[..., 1:], out=row[..., :-1])
    three = np.maximum(row, stack)
    np.maximum(row[..., 1:, :], three[..., :-1, :], out=row[..., 1:, :])
    np.maximum(row[..., :-1, :], three[..., 1:, :], out=row[..., :-1, :])
    return row
