"""The pixel grid of the object: where its pixels lie on the sample, and where the positions lie among them."""

import math

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError

MARGIN = 8
"""Pixels around the outermost probe."""
ROOM = 24
"""The same where positions are refined: several pixels of error, in the outermost frames too, stay inside."""
LARGEST = 20_000
"""More pixels than this along a side are a mistake in the units."""


def object_grid(
    positions: NDArray[np.float64], shape: tuple[int, int], pixel: tuple[float, float], margin: int = MARGIN
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sample coordinates of the object's pixel centres.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Centre of the probe on the sample in metres, columns x, y, z.
    shape : tuple of int
        Shape (ny, nx) of the probe. Its index n//2 sits on the position.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    margin : int
        Pixels around the outermost probe.

    Returns
    -------
    y, x : ndarray of shape (rows,), ndarray of shape (columns,)
        Coordinates in metres; row 0 is the smallest y, column 0 the smallest x.

    Raises
    ------
    InputError
        If the object would be larger than `LARGEST` pixels: the positions are in the wrong unit.
    """
    axes = []
    for column, n, step in zip((1, 0), shape, pixel, strict=True):
        low, high = positions[:, column].min(), positions[:, column].max()
        count = math.ceil((high - low) / step) + n + 2 * margin
        if not count <= LARGEST:
            raise InputError(
                "The scan is too large for its object pixel",
                where="the positions",
                found=f"{high - low:.4g} m along {'xy'[column]} at {step:.4g} m a pixel, so {count} pixels",
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
    """Return (row, column) on the object's grid, shape (npos, 2), as (y, x) in metres: the inverse of `to_pixels`."""
    return np.array([y[0], x[0]]) + pixels * np.array([y[1] - y[0], x[1] - x[0]])


def split(pixels: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Split (row, column) positions into window corners and the rest.

    Returns
    -------
    corners : ndarray of int, shape (npos, 2)
        First row and column of the object window that the probe of ``shape`` sees.
    rest : ndarray of shape (npos, 2)
        Sub-pixel shift of the probe, within -0.5 to 0.5 pixels.
    """
    whole = np.rint(pixels)
    return whole.astype(np.int64) - np.array(shape) // 2, pixels - whole
