"""Positions that cannot be right, and what to put in their place."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

FAR = 8.0
"""A gap of so many usual distances between neighbours parts a position from the scan."""
FEW = 0.05
"""Part of the positions that may be outliers; more are an island of the scan."""
STUCK = 0.2
"""Part of the positions that may be duplicates by mistake; more are repeated on purpose."""


def find_outliers(plane: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which positions, shape (npos, 2), lie far from the scan: few, behind a gap of `FAR` usual distances.

    Positions that are nearer to each other than the gap belong together; the largest group is the scan, and small ones
    that hold up to `FEW` of all together are outliers.
    """
    outliers = np.zeros(len(plane), np.bool_)
    finite = np.flatnonzero(np.isfinite(plane).all(axis=1))
    places = np.unique(plane[finite], axis=0)
    if len(places) < 4:
        return outliers
    distances = cKDTree(places).query(places, k=2)[0][:, 1]
    gap = FAR * float(np.median(distances))
    tree = cKDTree(plane[finite])
    pairs = tree.query_pairs(gap, output_type="ndarray")
    joined = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(finite),) * 2)
    count, group = connected_components(joined, directed=False)
    sizes = np.bincount(group, minlength=count)
    apart = group != int(np.argmax(sizes))
    if apart.mean() <= FEW:
        outliers[finite[apart]] = True
    return outliers


def find_duplicates(plane: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which positions, shape (npos, 2), are exactly those of an earlier frame, as of an encoder that was stuck.

    Where more than `STUCK` of all are, frames were repeated on purpose, and none is reported.
    """
    finite = np.flatnonzero(np.isfinite(plane).all(axis=1))
    first = np.unique(plane[finite], axis=0, return_index=True)[1]
    double = np.zeros(len(plane), np.bool_)
    double[finite] = True
    double[finite[first]] = False
    return double if double.mean() <= STUCK else np.zeros_like(double)


def between(positions: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return positions, shape (npos, 3), with the bad ones on the way from the good one before to the one after."""
    order, good = np.arange(len(positions)), ~bad
    columns = np.where(np.isfinite(positions), positions, 0)
    return np.stack([np.where(bad, np.interp(order, order[good], c[good]), c) for c in columns.T], axis=1)
