"""Statistics of every pixel and every frame, gathered in one pass over the frames for all steps of preparation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.frames import marker
from exitwave.memory import require_memory
from exitwave.scan import Scan

Progress = Callable[[int, int], None]
"""Called with the number of frames that are done, and the number of all frames."""
BLOCK = 16 * 2**20
"""Bytes of counts that are read together."""
BYTES_PER_PIXEL = 100
"""Bytes of all statistics and of their intermediate arrays, for each detector pixel."""
ISOLATED, CLEAR = 4.0, 20.0
"""A count is isolated where it exceeds each of its eight neighbours by this factor, and by this number of counts:
speckles are wider than a pixel, so the neighbours of a bright pixel are bright as well."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of the frames, pixel by pixel; arrays of shape (ny, nx), counts as in the file.

    Counts that are not finite, negative, or the largest number of their type are invalid. They are counted, and
    excluded from the other numbers.
    """

    frames: int
    """Number of frames."""
    valid: NDArray[np.int64]
    """Number of frames with a valid count."""
    total: NDArray[np.float64]
    """Sum over these frames."""
    squares: NDArray[np.float64]
    """Sum of the squares over these frames."""
    least: NDArray[np.float64]
    """Smallest count; inf where there is none."""
    most: NDArray[np.float64]
    """Largest count; 0 where there is none."""
    isolated: NDArray[np.int64]
    """Number of frames in which the pixel is far brighter than all of its neighbours."""
    marked: NDArray[np.int64]
    """Number of frames with the largest number of the type."""
    mark: float | None
    """The largest number of the type; None: no pixel has it."""
    sums: NDArray[np.float64]
    """Counts of each frame on the good pixels, shape (frames,)."""
    summed: NDArray[np.bool_]
    """The good pixels, which are in these sums."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the frames with a valid count; 0 where there is none."""
        return self.total / np.maximum(self.valid, 1)

    def frame_counts(self, good: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the counts of each frame without the mean of the summed pixels that are not good, shape (frames,)."""
        return self.sums - float(self.total[self.summed & ~good].sum()) / self.frames


def survey_frames(scan: Scan, progress: Progress | None = None) -> Survey:
    """Return the statistics of all frames, read once, `BLOCK` bytes at a time.

    Parameters
    ----------
    scan : Scan
        Pixels that its mask marks as bad do not count as neighbours, nor in the sums of the frames.
    progress : callable, optional
        Called after every block with the number of frames that are done, and the number of all frames.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If the statistics need more memory than is free.
    """
    npos, ny, nx = scan.patterns.shape
    remedy = "Use frames of fewer pixels"
    details = f"frames of {ny} x {nx} pixels"
    require_memory(BYTES_PER_PIXEL * ny * nx, "The survey of the frames", details=details, remedy=remedy)
    good, mark = scan.detector.always_good, marker(scan.patterns.dtype)
    total, squares, most = np.zeros((3, ny, nx))
    least = np.full((ny, nx), np.inf)
    valid, isolated, marked = (np.zeros((ny, nx), np.int64) for _ in range(3))
    sums = np.zeros(npos)
    for index, block in scan.patterns.blocks(max(1, BLOCK // scan.patterns.bytes_per_frame)):
        invalid = ~np.isfinite(block) | (block < 0) | (block >= mark)
        counts = np.where(invalid, 0, block).astype(np.float32)
        valid += len(block) - invalid.sum(axis=0)
        if invalid.any():
            marked += (block >= mark).sum(axis=0)
        total += counts.sum(axis=0, dtype=np.float64)
        squares += np.einsum("kyx,kyx->yx", counts, counts, dtype=np.float64)
        lowest = np.where(invalid, np.inf, counts) if invalid.any() else counts
        least = np.minimum(least, lowest.min(axis=0))
        most = np.maximum(most, counts.max(axis=0))
        counts[:, ~good] = 0
        sums[index] = counts.sum(axis=(1, 2), dtype=np.float64)
        isolated += (counts > ISOLATED * brightest_neighbour(counts) + CLEAR).sum(axis=0)
        if progress:
            progress(index.stop, npos)
    used = mark if marked.any() else None
    return Survey(npos, valid, total, squares, least, most, isolated, marked, used, sums, good)


def brightest_neighbour(patterns: NDArray[Any]) -> NDArray[Any]:
    """Return the largest of the eight neighbours of each pixel, shape (..., ny, nx); 0 is assumed beyond the edges."""
    row = np.zeros_like(patterns)  # the larger of left and right
    row[..., 1:] = patterns[..., :-1]
    np.maximum(row[..., :-1], patterns[..., 1:], out=row[..., :-1])
    three = np.maximum(row, patterns)
    np.maximum(row[..., 1:, :], three[..., :-1, :], out=row[..., 1:, :])
    np.maximum(row[..., :-1, :], three[..., 1:, :], out=row[..., :-1, :])
    return row
