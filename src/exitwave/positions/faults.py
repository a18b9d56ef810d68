"""Find outlying and duplicate positions, and interpolate over bad ones."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

FAR = 8.0
"""A position is apart from the scan if the gap is this many times the median distance between neighbours."""
FEW = 0.05
"""Largest share of the positions that are treated as outliers; a larger group is a separate part of the scan."""
STUCK = 0.2
"""Largest share of the positions that are treated as duplicates by mistake; more are intended repetitions."""


def find_outliers(plane: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which positions, shape (npos, 2), are outliers: few, and separated from the scan by a gap.

    Positions that are closer than the gap, `FAR` times the median distance between neighbours, form a group. The
    largest group is the scan. All others are outliers if together they are at most the share `FEW` of the positions.
    """
    outliers = np.zeros(len(plane), np.bool_)
    finite = np.flatnonzero(np.isfinite(plane).all(axis=1))
    points = np.unique(plane[finite], axis=0)
    if len(points) < 4:
        return outliers
    distances = cKDTree(points).query(points, k=2)[0][:, 1]
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
    """Return which positions, shape (npos, 2), equal that of an earlier frame exactly, as from a blocked encoder.

    If their share is more than `STUCK`, the repetition is intended, and none is reported.
    """
    finite = np.flatnonzero(np.isfinite(plane).all(axis=1))
    first = np.unique(plane[finite], axis=0, return_index=True)[1]
    double = np.zeros(len(plane), np.bool_)
    double[finite] = True
    double[finite[first]] = False
    return double if double.mean() <= STUCK else np.zeros_like(double)


def interpolate_bad(positions: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return positions, shape (npos, 3), with bad ones interpolated between the good ones before and after them."""
    order, good = np.arange(len(positions)), ~bad
    columns = np.where(np.isfinite(positions), positions, 0)
    return np.stack([np.where(bad, np.interp(order, order[good], c[good]), c) for c in columns.T], axis=1)
