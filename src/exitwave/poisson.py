"""Deviance and misfit of Poisson counts, and the values that photon noise alone causes."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

READOUT = 1.0
"""Variance r of the readout in counts, which limits the weight of a photon where the model is dark. Counts with a
readout are Poisson counts plus a readout of mean and variance r: D. L. Snyder et al., J. Opt. Soc. Am. A 12, 272
(1995)."""


def deviance(counts: NDArray[Any], model: NDArray[Any]) -> NDArray[np.float64]:
    """Return the deviance of counts, D = 2 [m - n - (n + r) log((m + r) / (n + r))].

    It is twice the logarithm of the likelihood of a perfect model (m = n) divided by the likelihood of this model. In
    the mean over the noise it is smallest for the true m, so that it ranks any two models of the same counts.

    Parameters
    ----------
    counts : ndarray
        Counts n, zero or positive, of any shape.
    model : ndarray
        Modelled counts m, same shape.

    Returns
    -------
    ndarray
        Deviance of every pixel, same shape; about 1 in the mean if m is right and large.
    """
    n, m = np.asarray(counts, np.float64) + READOUT, np.asarray(model, np.float64) + READOUT
    return np.asarray(2 * (m - n - n * np.log1p((m - n) / n)))


def deviance_moments(expected: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance of the deviance of Poisson counts at their own mean.

    They tend to 1 and 2, those of chi squared with one degree of freedom, for many counts.

    Parameters
    ----------
    expected : ndarray
        Mean m of every pixel in counts, of any shape.

    Returns
    -------
    mean, variance : ndarray
        Same shape.
    """
    grid, mean, variance = _deviance_table()
    m = np.log(np.clip(np.asarray(expected, np.float64), grid[0], grid[-1]))
    small = np.minimum(np.asarray(expected, np.float64) / grid[0], 1)  # proportional to m where m is small
    return small * np.interp(m, np.log(grid), mean), small * np.interp(m, np.log(grid), variance)


@cache
def _deviance_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return means m from 1e-6 to 1e3, and mean and variance of the deviance there, summed term by term."""
    grid = np.geomspace(1e-6, 1e3, 400)
    n = np.arange(0, 1400)
    weights = np.exp(n * np.log(grid[:, None]) - grid[:, None] - gammaln(n + 1))
    values = deviance(np.broadcast_to(n, weights.shape), np.broadcast_to(grid[:, None], weights.shape))
    mean = (weights * values).sum(axis=1)
    return grid, mean, (weights * values**2).sum(axis=1) - mean**2


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
