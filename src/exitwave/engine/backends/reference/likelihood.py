"""The loss of the noise models in one pixel, with its first and second derivative; see `backend.NOISE`.

With the counts I, the modelled counts m and the readout variance r (`backend.READOUT`):

    model        loss L                                     force -dL/dm                  curvature d2L/dm2
    amplitude    (sqrt(I) - sqrt(m))^2                      sqrt(I / m) - 1               sqrt(I / m) / (2 m)
    intensity    (I - m)^2 / (4 (I + r))                    (I - m) / (2 (I + r))         1 / (2 (I + r))
    Poisson      (m - I - (I + r) log((m + r) / (I + r)))/2 (I - m) / (2 (m + r))         (I + r) / (2 (m + r)^2)

P. Thibault and M. Guizar-Sicairos, New J. Phys. 14, 063004 (2012); readout: D. L. Snyder et al., J. Opt. Soc. Am. A 12,
272 (1995). With m = sum_k |psi_k|^2 at an ideal detector, -dL/d conj(psi_k) = force * psi_k. For the amplitude model
this is the amplitude correction, which replaces the modelled amplitude by the measured one:

    chi_k = (sqrt(I) / sqrt(m) - 1) psi_k

Where the model is zero up to rounding, its phase is random. So with the amplitude f (`Problem.floor`) the force of the
amplitude model fades to zero: (sqrt(I m) - m) / (m + f^2), and its curvature sqrt(I m) / (2 (m + f^2)^2).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import READOUT, Noise


class Likelihood(NamedTuple):
    """Loss and derivatives of every pixel, arrays of one shape."""

    loss: NDArray[Any]
    """Half the negative log-likelihood L, relative to a model that is equal to the counts."""
    force: NDArray[Any]
    """-dL/dm: the factor from a wave at an ideal detector to its correction."""
    curvature: NDArray[Any]
    """d2L/dm2."""


def likelihood(counts: NDArray[Any], model: NDArray[Any], noise: Noise, floor: float) -> Likelihood:
    """Return the loss of counts I at modelled counts m, with derivatives.

    Parameters
    ----------
    counts : ndarray
        Counts I.
    model : ndarray
        Modelled counts m, of the same shape.
    noise : str
        The noise model.
    floor : float
        Amplitude below which the amplitude model's derivatives fade to zero.
    """
    variance, lack = counts + READOUT, counts - model
    if noise == "amplitude":
        faded = model + floor**2
        root = np.sqrt(counts * model) / faded
        return Likelihood((np.sqrt(counts) - np.sqrt(model)) ** 2, root - model / faded, root / (2 * faded))
    if noise == "intensity":
        return Likelihood(lack**2 / (4 * variance), lack / (2 * variance), 1 / (2 * variance))
    expected = model + READOUT
    loss = -(lack + variance * np.log1p(-lack / variance)) / 2
    return Likelihood(loss, lack / (2 * expected), variance / (2 * expected**2))
