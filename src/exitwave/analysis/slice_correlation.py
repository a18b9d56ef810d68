"""Slices of a thick sample: which of them is found where."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.registration import register


def correlations(found: NDArray[Any], known: NDArray[Any], area: NDArray[Any]) -> NDArray[np.float64]:
    """Correlate every slice found with every known one, after aligning it to the one of the same number.

    A phase ramp that goes from one slice to another with the opposite sign, and the shift of what lies behind that goes
    with it, cannot be told from the patterns: so each slice is aligned by itself.

    Parameters
    ----------
    found, known : ndarray of complex, shape (slices, ny, nx)
        Slices of the same field.
    area : ndarray of bool, shape (ny, nx)
        Pixels to look at.

    Returns
    -------
    ndarray of shape (slices, slices)
        |<a, b>| / (||a|| ||b||) of slice a found and known slice b, both about their means.
    """
    level = [remove_ramp(each, area)[0] for each in known]
    aligned = [register(a, b, area).apply(a) for a, b in zip(found, level, strict=True)]
    return np.array([[_correlation(a[area], b[area]) for b in level] for a in aligned])


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.abs(np.vdot(a, b))) / size if size > 0 else 0.0
