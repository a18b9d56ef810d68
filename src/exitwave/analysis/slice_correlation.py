"""Correlation of the slices of a multislice object with the known slices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.registration import register


def slice_correlations(slices: NDArray[Any], known: NDArray[Any], area: NDArray[Any]) -> NDArray[np.float64]:
    """Correlate every slice with every known slice, after aligning it to the known slice of the same number.

    The patterns do not determine a phase ramp that two slices have with opposite signs, and the shift of the following
    slices that compensates it. Therefore each slice is aligned separately.

    Parameters
    ----------
    slices, known : ndarray of complex, shape (slices, ny, nx)
        Slices of the same field.
    area : ndarray of bool, shape (ny, nx)
        Pixels to use.

    Returns
    -------
    ndarray of shape (slices, slices)
        |<a, b>| / (||a|| ||b||) of slice a and known slice b, with their means subtracted.
    """
    level = [remove_ramp(b, area)[0] for b in known]
    aligned = [register(a, b, area).apply(a) for a, b in zip(slices, level, strict=True)]
    return np.array([[_correlation(a[area], b[area]) for b in level] for a in aligned])


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.abs(np.vdot(a, b))) / size if size > 0 else 0.0
