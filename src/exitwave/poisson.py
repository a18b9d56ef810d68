"""The misfit of Poisson counts to their mean, which photon noise alone causes."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln


def noise_misfit(expected: NDArray[Any]) -> NDArray[np.float64]:
    """Return E[(sqrt(n) - sqrt(m))^2] for Poisson counts n of mean m.

    It is 2 m for m much less than 1 and tends to 1/4 for large m. The error metric of a perfect model is the sum of
    this over all pixels, divided by the sum of the counts.

    Parameters
    ----------
    expected : ndarray
        Mean m of every pixel in counts, of any shape.

    Returns
    -------
    ndarray
        Misfit in counts, same shape.
    """
    mean, misfit = _noise_table()
    m = np.asarray(expected, np.float64)
    return np.asarray(np.where(m < mean[0], 2 * m, np.interp(np.log(np.maximum(m, mean[0])), np.log(mean), misfit)))


@cache
def _noise_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means m from 1e-6 to 1e3 and 2 m - 2 sqrt(m) E[sqrt(n)], summed term by term; above 1e3 it is 1/4."""
    mean = np.geomspace(1e-6, 1e3, 400)
    n = np.arange(1, 1400)
    roots = np.exp(n * np.log(mean[:, None]) - mean[:, None] - gammaln(n + 1)) @ np.sqrt(n)
    return mean, 2 * mean - 2 * np.sqrt(mean) * roots
