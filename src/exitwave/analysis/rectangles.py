"""Bounding box of an area, and the largest rectangle inside it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FINENESS = 200
"""Number of blocks along the longer side of an area in the search for the largest rectangle."""


def bounding_box(area: NDArray[Any]) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last pixel inside an area, of length zero if it is empty."""
    if not area.any():
        return slice(0, 0), slice(0, 0)
    rows, columns = (np.flatnonzero(area.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def largest_rectangle(area: NDArray[Any]) -> tuple[slice, slice]:
    """Return the largest rectangle inside an area with sides along the axes, to one part in `FINENESS`.

    Parameters
    ----------
    area : ndarray of bool, shape (ny, nx)
        True inside.

    Returns
    -------
    rows, columns : slice
        Of length zero if the area is empty.
    """
    box = bounding_box(area)
    inside = area[box]
    block = max(1, max(inside.shape) // FINENESS)
    ny, nx = (n // block for n in inside.shape)
    coarse = np.all(inside[: ny * block, : nx * block].reshape(ny, block, nx, block), axis=(1, 3))
    best, corners = 0, (0, 0, 0, 0)
    height = np.zeros(nx, dtype=np.int64)
    for row, line in enumerate(coarse):
        height = np.where(line, height + 1, 0)
        size, left, right, tall = _largest_under(height.tolist())
        if size > best:
            best, corners = size, (row + 1 - tall, row + 1, left, right)
    top, bottom, left, right = (edge * block for edge in corners)
    rows, columns = box[0].start, box[1].start
    return slice(rows + top, rows + bottom), slice(columns + left, columns + right)


def _largest_under(heights: list[int]) -> tuple[int, int, int, int]:
    """Return (area, left, right, height) of the largest rectangle under a histogram, in one pass with a stack."""
    best = (0, 0, 0, 0)
    stack: list[tuple[int, int]] = []
    for right, height in enumerate([*heights, 0]):
        left = right
        while stack and stack[-1][1] >= height:
            left, tall = stack.pop()
            best = max(best, (tall * (right - left), left, right, tall))
        stack.append((left, height))
    return best
