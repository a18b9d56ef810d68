"""The artefact of a raster scan: an object with the period of the scan, and how to suppress it.

Where all positions lie on a lattice, O f and P / f explain every frame as well as O and P do, for any f with the period
of the lattice. An error of the probe so returns in the object with this period: as spikes of its spectrum at the
points of the reciprocal lattice. They are cut down to what the spectrum has around them. Appl. Phys. Lett. (2017),
doi:10.1063/1.4993744. At zero frequency, which is a point of the lattice too, everything stays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree

RESIDUAL = 0.1
"""Root mean square distance of the positions to their lattice, in its shorter period, up to which it is a lattice."""
FEWEST = 9
"""Positions that can tell a lattice."""
SPIKE = 3.0
"""Height of a spike over the median of its surroundings; the speckle of a spectrum is seldom as high."""
CORE, RING = 1.5, 5.0
"""Radius of a spike and of its surroundings, in units of the spectrum's resolution over the scanned field."""


def find(positions: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
    """Return the two periods of a lattice that all positions lie on, shape (2, 2), as rows of (row, column), or None.

    Parameters
    ----------
    positions : ndarray of shape (npos, 2)
        Positions in pixels.
    """
    if len(positions) < FEWEST:
        return None
    places = np.asarray(positions, np.float64)
    basis = _neighbours(places)
    if basis is None:
        return None
    for _ in range(3):  # from what two neighbours say to what all positions say
        index = np.rint((places - places[0]) @ np.linalg.inv(basis))
        design = np.column_stack([index, np.ones(len(index))])
        if np.linalg.matrix_rank(design) < 3:
            return None
        solution = np.linalg.lstsq(design, places, rcond=None)[0]
        basis = solution[:2]
        if abs(np.linalg.det(basis)) < 1e-6:
            return None
    spread = np.sqrt(((places - design @ solution) ** 2).sum(1).mean())
    crowded = len(np.unique(index, axis=0)) < 0.9 * len(index)
    return None if crowded or spread > RESIDUAL * np.linalg.norm(basis, axis=1).min() else basis


def _neighbours(places: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the median step to the nearest neighbours, and that to the nearest in another direction."""
    _, nearest = cKDTree(places).query(places, k=min(9, len(places)))
    steps = (places[nearest[:, 1:]] - places[:, None]).reshape(-1, 2)
    steps *= np.where(steps @ (1, 1e-3) < 0, -1, 1)[:, None]
    lengths = np.linalg.norm(steps, axis=1)
    first = steps[np.argsort(lengths)[len(places) // 2]]
    size = np.linalg.norm(first)
    if size == 0:
        return None
    first = np.median(steps[np.linalg.norm(steps - first, axis=1) < 0.3 * size], axis=0)
    aside = np.abs(steps @ (first[1], -first[0])) / size
    others = steps[aside > 0.5 * size]
    if len(others) == 0:
        return None
    second = others[np.argsort(np.linalg.norm(others, axis=1))[min(len(others) - 1, len(places) // 4)]]
    near = np.linalg.norm(others - second, axis=1) < 0.3 * np.linalg.norm(second)
    return np.stack([first, np.median(others[near], axis=0)])


def suppress(
    obj: NDArray[np.complexfloating[Any]], basis: NDArray[np.float64], positions: NDArray[np.floating[Any]]
) -> NDArray[np.complexfloating[Any]]:
    """Return the object without the spikes of its spectrum at the reciprocal lattice.

    Parameters
    ----------
    obj : ndarray of shape (..., rows, columns)
        Complex transmission.
    basis : ndarray of shape (2, 2)
        The periods of the scan, in pixels.
    positions : ndarray of shape (npos, 2)
        The positions, whose extent says how sharp a spike is.
    """
    shape = obj.shape[-2:]
    spectrum = fft.fft2(obj)
    # of the extent of the scan in parts of the array: how many frequencies a spike covers
    blur = np.array(shape) / np.maximum(np.ptp(positions, axis=0), 1)
    for place in reciprocal(basis, shape):
        _cut(spectrum, place * shape, blur)
    return np.asarray(fft.ifft2(spectrum), obj.dtype)


def reciprocal(basis: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the points of the reciprocal lattice but zero, in cycles per pixel, below the largest frequency."""
    inverse = np.linalg.inv(basis).T
    most = int(np.ceil(np.linalg.norm(basis, axis=1).max()))
    orders = np.mgrid[-most : most + 1, -most : most + 1].reshape(2, -1).T
    points = orders[np.any(orders != 0, axis=1)] @ inverse
    return np.asarray(points[np.all(np.abs(points) < 0.5, axis=1)])


def _cut(spectrum: NDArray[np.complexfloating[Any]], place: NDArray[np.float64], blur: NDArray[np.float64]) -> None:
    """Lower the spectrum in place around one point, given in indices, to the median of its surroundings."""
    shape = spectrum.shape[-2:]
    reach = np.ceil(RING * blur).astype(int)
    rows, columns = (np.rint(p).astype(int) + np.arange(-r, r + 1) for p, r in zip(place, reach, strict=True))
    distance = np.hypot(((rows - place[0]) / blur[0])[:, None], (columns - place[1]) / blur[1])
    window = (..., (rows % shape[0])[:, None], columns % shape[1])
    values = spectrum[window]
    size = np.abs(values)
    around = np.median(size[..., (distance > CORE) & (distance <= RING)], axis=-1)[..., None, None]
    spikes = (distance <= CORE) & (size > SPIKE * around)
    spectrum[window] = np.where(spikes, values * around / np.where(spikes, size, 1), values)
