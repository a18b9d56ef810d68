"""Scan patterns. Every function returns positions in metres, shape (npos, 3), columns x, y, z, centred on 0."""

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


def _require(condition: bool, what: str, found: str) -> None:
    if not condition:
        remedy = "Give numbers of points >= 1 and a step > 0 m"
        raise InputError("The scan pattern is not possible", where=what, found=found, remedy=remedy)


def _positions(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])


def raster(shape: tuple[int, int], step: float) -> NDArray[np.float64]:
    """Return a regular grid, line by line; x is the fast axis and every line runs towards +x.

    Parameters
    ----------
    shape : tuple of int
        Number of lines and of points per line, (rows, columns).
    step : float
        Distance between neighbours in metres.

    Returns
    -------
    ndarray of shape (rows * columns, 3)
        Positions in metres.

    Raises
    ------
    InputError
        If the shape has no point or the step is not positive.
    """
    rows, columns = shape
    _require(rows >= 1 and columns >= 1 and step > 0, "raster", f"shape {shape}, step {step:g} m")
    y, x = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
    return _positions(x * step, y * step)


def fermat_spiral(n_points: int, step_size: float = 100e-9) -> NDArray[np.float64]:
    """Return a Fermat spiral: point k is at radius ``step_size * sqrt(k)`` and at k times the golden angle.

    The points are not periodic and have a constant density of one in ``pi * step_size**2``. The median distance to the
    nearest neighbour is `FERMAT_NEIGHBOUR` times ``step_size``.

    Parameters
    ----------
    n_points : int
        Number of points.
    step_size : float
        Radius of point 1 in metres.

    Returns
    -------
    ndarray of shape (n_points, 3)
        Positions in metres, from the centre outwards.

    Raises
    ------
    InputError
        If there is no point or the step is not positive.

    References
    ----------
    X. Huang et al., "Optimization of overlap uniformness for ptychography", Opt. Express 22, 12634 (2014).
    """
    _require(n_points >= 1 and step_size > 0, "fermat_spiral", f"{n_points} points, step {step_size:g} m")
    golden_angle = np.pi * (3 - np.sqrt(5))
    indices = np.arange(n_points)
    radii = step_size * np.sqrt(indices)
    angles = golden_angle * indices
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles), np.zeros(n_points)])


FERMAT_NEIGHBOUR = 1.69
"""Median distance to the nearest neighbour in a Fermat spiral, in units of its step size (measured)."""


def concentric_rings(nrings: int, points_per_ring: int, step: float) -> NDArray[np.float64]:
    """Return the centre and rings around it: ring k at radius ``k * step`` has ``k * points_per_ring`` points.

    The density is the same on every ring. With 6 points per ring, neighbours on a ring are ``1.05 * step`` apart.

    Parameters
    ----------
    nrings : int
        Number of rings around the centre; 0 gives only the centre.
    points_per_ring : int
        Number of points on the first ring.
    step : float
        Distance between rings in metres.

    Returns
    -------
    ndarray of shape (1 + points_per_ring * nrings * (nrings + 1) / 2, 3)
        Positions in metres, from the centre outwards.

    Raises
    ------
    InputError
        If a number is negative or the step is not positive.
    """
    found = f"{nrings} rings, {points_per_ring} points per ring, step {step:g} m"
    _require(nrings >= 0 and points_per_ring >= 1 and step > 0, "concentric_rings", found)
    counts = points_per_ring * np.arange(nrings + 1)
    counts[0] = 1
    radii = np.repeat(np.arange(nrings + 1) * step, counts)
    angles = np.concatenate([2 * np.pi * np.arange(count) / count for count in counts])
    return _positions(radii * np.cos(angles), radii * np.sin(angles))


def jittered_grid(shape: tuple[int, int], step: float, jitter_amplitude: float, seed: int = 0) -> NDArray[np.float64]:
    """Return a raster with random displacements, uniform within ``+-jitter_amplitude`` along x and along y.

    Parameters
    ----------
    shape : tuple of int
        Number of lines and of points per line, (rows, columns).
    step : float
        Distance between neighbours of the regular grid in metres.
    jitter_amplitude : float
        Largest displacement along an axis in metres.
    seed : int
        Seed of the displacements.

    Returns
    -------
    ndarray of shape (rows * columns, 3)
        Positions in metres.

    Raises
    ------
    InputError
        If the shape has no point, the step is not positive or the amplitude is negative.
    """
    _require(jitter_amplitude >= 0, "jittered_grid", f"jitter {jitter_amplitude:g} m")
    positions = raster(shape, step)
    positions[:, :2] += np.random.default_rng(seed).uniform(-jitter_amplitude, jitter_amplitude, (len(positions), 2))
    return positions
