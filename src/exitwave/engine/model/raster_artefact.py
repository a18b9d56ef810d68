"""Artefact of a raster scan: an error of the object with the periods of the scan, and its suppression.

If all positions lie on a lattice, O f and P / f explain every frame as well as O and P, for any f with the periods of
the lattice. Therefore an error of the probe appears in the object with these periods, as spikes of its spectrum at the
points of the reciprocal lattice. The spikes are reduced to the level of the spectrum around them. Appl. Phys. Lett.
(2017), doi:10.1063/1.4993744. Zero frequency, which is a point of the reciprocal lattice too, is not changed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree

RESIDUAL = 0.1
"""Largest root mean square distance of the positions from a lattice, relative to its shorter period."""
FEWEST_POSITIONS = 9
"""Smallest number of positions in which a lattice is searched for."""
SPIKE = 3.0
"""Smallest height of a spike relative to the median of its surroundings; speckle of a spectrum is seldom as high."""
CORE, RING = 1.5, 5.0
"""Radius of a spike and of its surroundings, in units of the spectrum's resolution over the scanned field."""


def find_periods(positions: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
    """Return the two periods of a lattice that all positions lie on, shape (2, 2), as rows of (row, column), or None.

    Parameters
    ----------
    positions : ndarray of shape (npos, 2)
        Positions in pixels.
    """
    if len(positions) < FEWEST_POSITIONS:
        return None
    points = np.asarray(positions, np.float64)
    periods = _neighbour_steps(points)
    if periods is None:
        return None
    for _ in range(3):  # refine the steps between neighbours with all positions
        index = np.rint((points - points[0]) @ np.linalg.inv(periods))
        design = np.column_stack([index, np.ones(len(index))])
        if np.linalg.matrix_rank(design) < 3:
            return None
        solution = np.linalg.lstsq(design, points, rcond=None)[0]
        periods = solution[:2]
        if abs(np.linalg.det(periods)) < 1e-6:
            return None
    residual = np.sqrt(((points - design @ solution) ** 2).sum(1).mean())
    repeated = len(np.unique(index, axis=0)) < 0.9 * len(index)
    return None if repeated or residual > RESIDUAL * np.linalg.norm(periods, axis=1).min() else periods


def _neighbour_steps(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the median step to the nearest neighbours, and that to the nearest in another direction."""
    _, nearest = cKDTree(points).query(points, k=min(9, len(points)))
    steps = (points[nearest[:, 1:]] - points[:, None]).reshape(-1, 2)
    steps *= np.where(steps @ (1, 1e-3) < 0, -1, 1)[:, None]
    lengths = np.linalg.norm(steps, axis=1)
    first = steps[np.argsort(lengths)[len(points) // 2]]
    size = np.linalg.norm(first)
    if size == 0:
        return None
    first = np.median(steps[np.linalg.norm(steps - first, axis=1) < 0.3 * size], axis=0)
    across = np.abs(steps @ (first[1], -first[0])) / size
    others = steps[across > 0.5 * size]
    if len(others) == 0:
        return None
    second = others[np.argsort(np.linalg.norm(others, axis=1))[min(len(others) - 1, len(points) // 4)]]
    near = np.linalg.norm(others - second, axis=1) < 0.3 * np.linalg.norm(second)
    return np.stack([first, np.median(others[near], axis=0)])


def suppress(
    obj: NDArray[np.complexfloating[Any]], periods: NDArray[np.float64], positions: NDArray[np.floating[Any]]
) -> NDArray[np.complexfloating[Any]]:
    """Return the object without the spikes of its spectrum at the reciprocal lattice.

    Parameters
    ----------
    obj : ndarray of shape (..., rows, columns)
        Complex transmission.
    periods : ndarray of shape (2, 2)
        The periods of the scan, in pixels.
    positions : ndarray of shape (npos, 2)
        The positions, in pixels. Their extent determines the width of a spike.
    """
    shape = obj.shape[-2:]
    spectrum = fft.fft2(obj)
    # extent of the array relative to that of the scan: number of frequencies that a spike covers
    width = np.array(shape) / np.maximum(np.ptp(positions, axis=0), 1)
    for point in reciprocal_lattice(periods, shape):
        _suppress_spike(spectrum, point * shape, width)
    return np.asarray(fft.ifft2(spectrum), obj.dtype)


def reciprocal_lattice(periods: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the points of the reciprocal lattice except zero, in cycles per pixel, below the largest frequency."""
    inverse = np.linalg.inv(periods).T
    most = int(np.ceil(np.linalg.norm(periods, axis=1).max()))
    orders = np.mgrid[-most : most + 1, -most : most + 1].reshape(2, -1).T
    points = orders[np.any(orders != 0, axis=1)] @ inverse
    return np.asarray(points[np.all(np.abs(points) < 0.5, axis=1)])


def _suppress_spike(
    spectrum: NDArray[np.complexfloating[Any]], point: NDArray[np.float64], width: NDArray[np.float64]
) -> None:
    """Reduce a spike around one point, given in indices, to the median of its surroundings, in place."""
    shape = spectrum.shape[-2:]
    radius = np.ceil(RING * width).astype(int)
    rows, columns = (np.rint(p).astype(int) + np.arange(-r, r + 1) for p, r in zip(point, radius, strict=True))
    distance = np.hypot(((rows - point[0]) / width[0])[:, None], (columns - point[1]) / width[1])
    window = (..., (rows % shape[0])[:, None], columns % shape[1])
    values = spectrum[window]
    modulus = np.abs(values)
    median = np.median(modulus[..., (distance > CORE) & (distance <= RING)], axis=-1)[..., None, None]
    spikes = (distance <= CORE) & (modulus > SPIKE * median)
    spectrum[window] = np.where(spikes, values * median / np.where(spikes, modulus, 1), values)
