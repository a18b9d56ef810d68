"""What photon noise leaves of the error metric."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln


def noise_misfit(expected: NDArray[Any]) -> NDArray[np.float64]:
    """Return E[(sqrt(n) - sqrt(m))^2] of counts n that follow Poisson's law with the mean m: 1/4 of many, 2 m of few.

    The error metric of a perfect model is its sum over all pixels, over the counts.

    Parameters
    ----------
    expected : ndarray
        The mean m of every pixel in counts, of any shape.

    Returns
    -------
    ndarray
        In counts, of the same shape.
    """
    mean, misfit = _noise_table()
    m = np.asarray(expected, np.float64)
    return np.asarray(np.where(m < mean[0], 2 * m, np.interp(np.log(np.maximum(m, mean[0])), np.log(mean), misfit)))


@cache
def _noise_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means from 1e-6 to 1e3, beyond which it is 1/4, and 2 m - 2 sqrt(m) E[sqrt(n)], summed term by term."""
    mean = np.geomspace(1e-6, 1e3, 400)
    n = np.arange(1, 1400)
    roots = np.exp(n * np.log(mean[:, None]) - mean[:, None] - gammaln(n + 1)) @ np.sqrt(n)
    return mean, 2 * mean - 2 * np.sqrt(mean) * roots
