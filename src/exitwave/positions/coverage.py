"""Coverage of the sample by a set of positions: overlap of neighbours, and probe density on the object grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.positions.grid import object_grid, split, to_pixels


def neighbour_distance(positions: NDArray[np.float64]) -> float:
    """Return the median distance to the nearest neighbour in the plane, in metres.

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
        found = f"{len(positions)} positions"
        raise InputError("At least two positions are needed", found=found, remedy="Give two positions or more")
    distances, _ = cKDTree(positions[:, :2]).query(positions[:, :2], k=2)
    return float(np.median(distances[:, 1]))


def linear_overlap(positions: NDArray[np.float64], diameter: float) -> float:
    """Return the linear overlap, ``1 - (median nearest-neighbour distance) / diameter``, not below 0.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres, columns x, y, z.
    diameter : float
        Diameter of the probe in metres, see `exitwave.optics.probe_diameter`.

    Raises
    ------
    InputError
        If there are fewer than two positions.

    Notes
    -----
    O. Bunk et al., Ultramicroscopy 108, 481 (2008), recommend 60 %.
    """
    return max(0.0, 1.0 - neighbour_distance(positions) / diameter)


def step_for_overlap(overlap: float, diameter: float) -> float:
    """Return the distance between neighbours in metres for a linear overlap (0 to 1) of probes of a diameter in metres.

    Raises
    ------
    InputError
        If the overlap is outside 0 <= overlap < 1.
    """
    if not 0 <= overlap < 1:
        remedy = "Give a fraction from 0 to below 1, such as 0.7"
        raise InputError(f"A linear overlap of {overlap} is not possible", remedy=remedy)
    return (1.0 - overlap) * diameter


def coverage(
    positions: NDArray[np.float64],
    probe: NDArray[np.complexfloating],
    pixel: tuple[float, float],
    grid: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the probe density of the object: the intensity of the probe, summed over modes and positions.

    Positions are rounded to whole pixels.

    Parameters
    ----------
    positions : ndarray of shape (npos, 3)
        Positions in metres, columns x, y, z.
    probe : ndarray of shape (ny, nx) or (modes, ny, nx)
        The probe; its index n//2 is at the position.
    pixel : tuple of float
        Object pixel (y, x) in metres.
    grid : tuple of ndarray, optional
        Sample coordinates y, x of an existing object; every window must lie inside it.

    Returns
    -------
    y, x : ndarray of shape (rows,), ndarray of shape (columns,)
        Sample coordinates in metres: those of ``grid``, or of `exitwave.positions.object_grid`.
    probe_density : ndarray of shape (rows, columns)
        Sum of the intensities, in the units of ``abs(probe)**2``.
    """
    ny, nx = probe.shape[-2:]
    intensity = np.sum(np.abs(probe.reshape(-1, ny, nx)).astype(np.float64) ** 2, axis=0)
    y, x = grid or object_grid(positions, (ny, nx), pixel)
    corners, _ = split(to_pixels(positions, y, x), (ny, nx))
    probe_density = np.zeros((y.size, x.size))
    for row, column in corners:
        probe_density[row : row + ny, column : column + nx] += intensity
    return y, x, probe_density


def innermost(points: NDArray[np.floating[Any]], number: int) -> NDArray[np.int64]:
    """Return the indices of the points that are nearest to the median of all points, nearest first.

    Parameters
    ----------
    points : ndarray of shape (npos, 2)
        Coordinates in any unit.
    number : int
        Largest number of indices.
    """
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return np.argsort(distance, kind="stable")[:number]
