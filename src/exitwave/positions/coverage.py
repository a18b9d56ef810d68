"""How well a set of positions covers the sample: overlap of neighbours, and the illumination that a pixel receives."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.positions.grid import object_grid, split, to_pixels


def neighbour_distance(positions: NDArray[np.float64]) -> float:
    """Return the median distance to the nearest neighbour in the plane, in metres.

    Uses `scipy.spatial.cKDTree`, so thousands of positions take milliseconds.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres, columns x, y, z.

    Raises
    ------
    InputError
        If there are fewer than two positions.
    """
    from scipy.spatial import cKDTree

    if len(positions) < 2:
        raise InputError(
            "Neighbours need at least two positions", found=f"{len(positions)} positions", remedy="Give two or more"
        )
    distances, _ = cKDTree(positions[:, :2]).query(positions[:, :2], k=2)
    return float(np.median(distances[:, 1]))


def linear_overlap(positions: NDArray[np.float64], diameter: float) -> float:
    """Return the linear overlap, ``1 - (median nearest-neighbour distance) / diameter``, not below 0.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres, columns x, y, z.
    diameter : float
        Diameter of the probe in metres, as `exitwave.optics.probe_diameter` gives it.

    Raises
    ------
    InputError
        If there are fewer than two positions.

    Notes
    -----
    The neighbours come from `scipy.spatial.cKDTree`. Bunk et al., Ultramicroscopy 108, 481 (2008), find 60 % best.
    """
    return max(0.0, 1.0 - neighbour_distance(positions) / diameter)


def step_for_overlap(overlap: float, diameter: float) -> float:
    """Return the distance between neighbours, in metres, that gives a linear overlap (0 to 1) with a probe in metres.

    Raises
    ------
    InputError
        If the overlap is not within 0 <= overlap < 1.
    """
    if not 0 <= overlap < 1:
        raise InputError("Not a linear overlap", found=overlap, remedy="Give a fraction from 0 to below 1, such as 0.7")
    return (1.0 - overlap) * diameter


def coverage(
    positions: NDArray[np.float64],
    probe: NDArray[np.complexfloating],
    pixel: tuple[float, float],
    grid: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the illumination of the object: the probe's intensity, summed over modes and over positions.

    Positions are rounded to whole pixels.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres, columns x, y, z.
    probe : ndarray of shape (ny, nx) or (modes, ny, nx)
        The probe; its index n//2 sits on the position.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    grid : tuple of ndarray, optional
        Sample coordinates y, x of an object that is there already; every window must lie inside it.

    Returns
    -------
    y, x : ndarray of shape (rows,), ndarray of shape (columns,)
        Sample coordinates in metres: those of the grid, or as `exitwave.positions.object_grid` gives them.
    illumination : ndarray of shape (rows, columns)
        Sum of the intensities, in the units of ``abs(probe)**2``.
    """
    ny, nx = probe.shape[-2:]
    intensity = np.sum(np.abs(probe.reshape(-1, ny, nx)).astype(np.float64) ** 2, axis=0)
    y, x = grid or object_grid(positions, (ny, nx), pixel)
    corners, _ = split(to_pixels(positions, y, x), (ny, nx))
    illumination = np.zeros((y.size, x.size))
    for row, column in corners:
        illumination[row : row + ny, column : column + nx] += intensity
    return y, x, illumination


def innermost(places: NDArray[np.floating[Any]], number: int) -> NDArray[np.int64]:
    """Return the indices of the places nearest to the middle of all, that is to their median, nearest first.

    Parameters
    ----------
    places : ndarray of shape (npos, 2)
        Coordinates in any unit.
    number : int
        How many, at most.
    """
    away = np.linalg.norm(places - np.median(places, axis=0), axis=1)
    return np.argsort(away, kind="stable")[:number]
