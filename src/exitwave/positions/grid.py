"""The pixel grid of the object on the sample, and positions in pixels of this grid."""

import math

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError

MARGIN = 8
"""Pixels between the outermost probe and the edge of the object."""
REFINEMENT_MARGIN = 24
"""Additional pixels where positions are refined, so that corrected positions stay inside the object."""
LARGEST = 20_000
"""Largest number of pixels along a side; a larger grid results from wrong units."""


def object_grid(
    positions: NDArray[np.float64], shape: tuple[int, int], pixel: tuple[float, float], margin: int = MARGIN
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sample coordinates of the object's pixel centres.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Centre of the probe on the sample in metres, columns x, y, z.
    shape : tuple of int
        Shape (ny, nx) of the probe; its index n//2 is at the position.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    margin : int
        Pixels between the outermost probe and the edge of the object.

    Returns
    -------
    y, x : ndarray of shape (rows,), ndarray of shape (columns,)
        Coordinates in metres; row 0 is the smallest y, column 0 the smallest x.

    Raises
    ------
    InputError
        If the object is larger than `LARGEST` pixels along a side, which results from wrong units.
    """
    axes = []
    for column, n, step in zip((1, 0), shape, pixel, strict=True):
        low, high = positions[:, column].min(), positions[:, column].max()
        count = math.ceil((high - low) / step) + n + 2 * margin
        if not count <= LARGEST:
            raise InputError(
                "The scan is too large for its object pixel",
                found=f"positions span {high - low:.4g} m along {'xy'[column]}: {count} object pixels of {step:.4g} m",
                remedy="Check the units of positions, energy, distance and pixel size; "
                "--set positions=um reads the positions as micrometres",
            )
        axes.append(low + (np.arange(count) - n // 2 - margin) * step)
    return axes[0], axes[1]


def to_pixels(positions: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions in metres, shape (npos, 3), as (row, column) on the object's grid, shape (npos, 2)."""
    step = np.array([y[1] - y[0], x[1] - x[0]])
    return (positions[:, [1, 0]] - np.array([y[0], x[0]])) / step


def to_metres(pixels: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (row, column) on the object's grid, shape (npos, 2), as (y, x) in metres; the inverse of `to_pixels`."""
    return np.array([y[0], x[0]]) + pixels * np.array([y[1] - y[0], x[1] - x[0]])


def split(pixels: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Split positions (row, column), shape (npos, 2), into window corners and sub-pixel shifts.

    Returns
    -------
    corners : ndarray of int, shape (npos, 2)
        First row and column of the object window under a probe of ``shape``.
    shifts : ndarray of shape (npos, 2)
        Sub-pixel shift of the probe, from -0.5 to 0.5 pixels.
    """
    whole = np.rint(pixels)
    return whole.astype(np.int64) - np.array(shape) // 2, pixels - whole
