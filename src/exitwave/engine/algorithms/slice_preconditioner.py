"""Preconditioner of the slices of a thick sample, which separates the gradients of the slices.

Let the slices be weak, O_l = 1 + o_l at z_l, upstream of the exit plane Z, and let phi(q) be the phase that a plane
wave of frequency q gains per unit of length. A wave of the probe that is scattered from q to q + k at slice l leaves
the sample as

    P(q) o_l(k) exp(i [z_l phi(q) + (Z - z_l) phi(q + k)])

and in a frame at the position r it has the additional factor exp(i k r). So in a dense scan the frequencies k of the
sample are independent of each other, and the Gauss-Newton matrix of the exit waves has one block for every k, whose
rows and columns are the slices. With phi(q) = -c q^2 and relative to the power of the probe the block is

    M_lm(k) = exp(i c d k^2) G(2 c d k),   G(s) = sum_q |P(q)|^2 exp(i q s) / sum_q |P(q)|^2,   d = z_m - z_l

where G is the autocorrelation of the probe. The waves of the illumination cone project a detail of one slice onto
another slice along their own directions. G falls from 1 where these projections no longer coincide. For coarser detail
all slices receive nearly the same gradient. Their sum converges fast; their differences have the eigenvalue 1 - |G| and
hardly change in an iteration: this is the missing wedge of the cone. So the gradient g is replaced by

    z(k) = (1 + eps) (M(k) + eps)^-1 g(k)

The gradient does not change if the slices are far apart for their detail (M = 1), or if there is only one.

Multislice: A. M. Maiden, M. J. Humphry and J. M. Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). Separation of slices:
E. H. R. Tsai, I. Usov, A. Diaz, A. Menzel and M. Guizar-Sicairos, Opt. Express 24, 29089 (2016).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.problem import Problem

EPS = 0.03
"""Regularisation eps: differences of slices with smaller eigenvalues are not amplified further. The sample is not weak,
and only amplitudes are measured, so that the smallest eigenvalues are not those of the true Hessian. With 0.1 coarse
detail converges more slowly, and with 0.003 everything else does."""
ROWS = 64
"""Rows of frequencies that are inverted at a time, to limit memory."""


def overlaps(problem: Problem, probe: NDArray[np.complexfloating[Any]], spacing: float = 1.0) -> NDArray[Any]:
    """Return the blocks M between the first slice and every slice.

    Parameters
    ----------
    problem : Problem
        The problem of a thick sample.
    probe : ndarray of shape (modes, ny, nx)
        Probe modes.
    spacing : float
        Distance from one slice to the next, relative to that of the problem.

    Returns
    -------
    ndarray of shape (slices, rows, columns)
        M_1m(k), zero frequency at [0, 0]. M_lm is the entry of index m - l, or for m < l the conjugate of l - m.
    """
    assert problem.slices is not None
    shape = probe.shape[1:]
    power = (np.abs(np.fft.fft2(probe)) ** 2).sum(0)
    power /= power.sum()
    curvature = [-spacing * problem.slices.phase[at] * n**2 for at, n in zip(((1, 0), (0, 1)), shape, strict=True)]
    q, k = ([np.fft.fftfreq(n) for n in axes] for axes in (shape, problem.object_shape))
    phase = curvature[0] * k[0][:, None] ** 2 + curvature[1] * k[1] ** 2
    blocks = []
    for d in range(problem.slices.number):
        shifts = [d * c / np.pi * b for c, b in zip(curvature, k, strict=True)]  # of the projections, in object pixels
        waves = [
            np.exp(2j * np.pi * np.outer(shift, a)) * _inside_window(shift, n)
            for shift, a, n in zip(shifts, q, shape, strict=True)
        ]
        blocks.append(np.exp(1j * d * phase) * (waves[0] @ power @ waves[1].T))
    return np.array(blocks)


def _inside_window(shift: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Return which shifts stay in the window, shape (shifts, 1); larger ones would reenter it on the other side."""
    return np.abs(shift)[:, None] <= size / 2


def inverse(overlap: NDArray[Any], eps: float = EPS) -> NDArray[np.complex64]:
    """Return (1 + eps) (M + eps)^-1, shape (slices, slices, rows, columns).

    Negative eigenvalues of M are replaced by 0; they occur with three slices or more if projections leave the window.

    Parameters
    ----------
    overlap : ndarray of shape (slices, rows, columns)
        M, as `overlaps` returns it.
    eps : float
        The regularisation.
    """
    number = len(overlap)
    distance = np.arange(number) - np.arange(number)[:, None]
    filters = np.empty((number, *overlap.shape), np.complex64)
    for start in range(0, overlap.shape[1], ROWS):
        rows = np.moveaxis(overlap[:, start : start + ROWS], 0, -1)
        block = np.where(distance >= 0, rows[..., np.abs(distance)], rows[..., np.abs(distance)].conj())
        values, vectors = np.linalg.eigh(block)
        scaled = vectors * ((1 + eps) / (np.maximum(values, 0) + eps))[..., None, :]
        filters[:, :, start : start + ROWS] = np.moveaxis(scaled @ vectors.conj().swapaxes(-2, -1), (-2, -1), (0, 1))
    return filters


def precondition(filters: Any, gradient: Any, workers: int = 1) -> Any:
    """Return the preconditioned gradient z, shape (slices, rows, columns).

    Parameters
    ----------
    filters : array of shape (slices, slices, rows, columns)
        (1 + eps) (M + eps)^-1, as `inverse` returns it, on the device of the gradient.
    gradient : array of shape (slices, rows, columns)
        g.
    workers : int
        Threads of the Fourier transforms on the host.
    """
    spectrum, result = arrays.fourier(gradient, workers), arrays.zeros_like(gradient)
    for target, row in zip(result, filters, strict=True):
        for factor, wave in zip(row, spectrum, strict=True):
            target += factor * wave
    return arrays.fourier(result, workers, inverse=True)
