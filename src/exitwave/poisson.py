"""The misfit and the deviance of Poisson counts from their mean, which photon noise alone causes."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

READOUT = 1.0
"""Variance of the readout in counts, as in the noise model of the engine (`exitwave.engine.backend.READOUT`)."""


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


def deviance(counts: NDArray[Any], model: NDArray[Any], readout: float = READOUT) -> NDArray[np.float64]:
    """Return the deviance of Poisson counts n from their modelled mean m, per pixel.

    It is twice the log-likelihood of a model that is equal to the counts, minus that of the model:
    2 ((m - n) + (n + r) log((n + r) / (m + r))), with a readout of variance r. It is never negative. Its expectation
    is smallest for the true mean, so that of two models the one with the smaller deviance of counts that were not used
    for the fit is better. (The misfit of amplitudes prefers a model that is too dark where there are few counts.)

    Parameters
    ----------
    counts : ndarray
        Counts n, zero or positive, of any shape.
    model : ndarray
        Modelled counts m, zero or positive, same shape.
    readout : float
        Variance r of the readout in counts.

    Returns
    -------
    ndarray
        Deviance, same shape; 4 times the loss of the noise model ``Poisson`` in `exitwave.engine.backend`.

    References
    ----------
    P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd ed. (1989), section 2.3; readout: D. L. Snyder et al.,
    J. Opt. Soc. Am. A 12, 272 (1995).
    """
    lack, variance = np.asarray(counts, np.float64) - model, np.asarray(counts, np.float64) + readout
    return np.asarray(-2 * (lack + variance * np.log1p(-lack / variance)))


def deviance_moments(expected: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance of the deviance for Poisson counts n of mean m, with the readout `READOUT`.

    They are proportional to m for m much less than 1, and tend to 1 and 2 for large m (chi-squared distribution with
    one degree of freedom).

    Parameters
    ----------
    expected : ndarray
        Mean m of every pixel in counts, of any shape.

    Returns
    -------
    mean, variance : ndarray
        Same shape.
    """
    table, *moments = _deviance_table()
    m = np.asarray(expected, np.float64)
    place = np.log(np.maximum(m, table[0]))
    scale = np.minimum(m / table[0], 1)
    mean, variance = (scale * np.interp(place, np.log(table), moment) for moment in moments)
    return mean, variance


@cache
def _deviance_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return means m from 1e-6 to 1e3, and mean and variance of the deviance, summed term by term."""
    mean = np.geomspace(1e-6, 1e3, 400)
    n = np.arange(1400)
    probability = np.exp(n * np.log(mean[:, None]) - mean[:, None] - gammaln(n + 1))
    values = deviance(np.broadcast_to(n, probability.shape), mean[:, None])
    first = (probability * values).sum(axis=1)
    return mean, first, (probability * (values - first[:, None]) ** 2).sum(axis=1)
