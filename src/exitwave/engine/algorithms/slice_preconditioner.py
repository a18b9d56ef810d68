"""What a gradient asks of all slices of a thick sample alike, given to the slices that it belongs to.

Let the slices be weak, O_l = 1 + o_l at z_l, in front of Z, and phi(q) the phase that a plane wave of frequency q gains
over a unit of length. A wave of the beam that is scattered from q to q + k at slice l leaves the sample as

    P(q) o_l(k) exp(i [z_l phi(q) + (Z - z_l) phi(q + k)])

and in frames at the position r it has the factor exp(i k r) as well, so that a dense scan makes the frequencies k of
the sample independent of each other. The Gauss-Newton matrix of the exit waves then has a block for every k, whose rows
and columns are the slices. With phi(q) = -c q^2 and relative to the power of the beam it is

    M_lm(k) = exp(i c d k^2) G(2 c d k),   G(s) = sum_q |P(q)|^2 exp(i q s) / sum_q |P(q)|^2,   d = z_m - z_l

where G is the autocorrelation of the probe: it falls from 1 where the shadows of a detail, which the waves of the cone
cast from one slice on the other, come apart. For coarser detail all slices get nearly the same gradient, and their sum
is found soon, but of their differences, with the eigenvalue 1 - |G|, an iteration finds next to nothing: this is the
missing wedge of the cone. So the gradient g becomes

    z(k) = (1 + eps) (M(k) + eps)^-1 g(k)

Slices that are far apart for their detail (M = 1), and a single one, keep their gradient.

Multislice: A. M. Maiden, M. J. Humphry and J. M. Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). How slices are told
apart: E. H. R. Tsai, I. Usov, A. Diaz, A. Menzel and M. Guizar-Sicairos, Opt. Express 24, 29089 (2016).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.problem import Problem

EPS = 0.03
"""The eigenvalue below which a difference of slices is not lifted any further. The sample is not weak, and what is
measured is amplitudes: so the smallest eigenvalues are not those of the true Hessian. With 0.1 coarse detail is found
later, and with 0.003 all the rest."""
ROWS = 64
"""Rows of frequencies that are inverted at a time."""


def overlaps(problem: Problem, probe: NDArray[np.complexfloating[Any]], spacing: float = 1.0) -> NDArray[Any]:
    """Return M between the first slice and every other one.

    Parameters
    ----------
    problem : Problem
        That of a thick sample.
    probe : ndarray of shape (modes, ny, nx)
        The beam.
    spacing : float
        Distance between slices, relative to that of the problem.

    Returns
    -------
    ndarray of shape (slices, rows, columns)
        M_1m(k), zero frequency at [0, 0]; M_lm is that of m - l, or its conjugate for l - m.
    """
    assert problem.slices is not None
    shape = probe.shape[1:]
    power = (np.abs(np.fft.fft2(probe)) ** 2).sum(0)
    power /= power.sum()
    curve = [-spacing * problem.slices.phase[at] * n**2 for at, n in zip(((1, 0), (0, 1)), shape, strict=True)]
    q, k = ([np.fft.fftfreq(n) for n in each] for each in (shape, problem.object_shape))
    own = curve[0] * k[0][:, None] ** 2 + curve[1] * k[1] ** 2
    found = []
    for d in range(problem.slices.number):
        shift = [d * c / np.pi * b for c, b in zip(curve, k, strict=True)]  # of the shadows, in object pixels
        waves = [np.exp(2j * np.pi * np.outer(s, a)) * _near(s, n) for s, a, n in zip(shift, q, shape, strict=True)]
        found.append(np.exp(1j * d * own) * (waves[0] @ power @ waves[1].T))
    return np.array(found)


def _near(shift: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Say which shadows are on one beam: those that leave the window on one side come in again on the other."""
    return np.abs(shift)[:, None] <= size / 2


def inverse(overlap: NDArray[Any], eps: float = EPS) -> NDArray[np.complex64]:
    """Return (1 + eps) (M + eps)^-1 from what `overlaps` returns, shape (slices, slices, rows, columns).

    Eigenvalues of M below 0, which shadows that leave the window can make of three slices or more, count as 0.
    """
    number = len(overlap)
    between = np.arange(number) - np.arange(number)[:, None]
    out = np.empty((number, *overlap.shape), np.complex64)
    for start in range(0, overlap.shape[1], ROWS):
        part = np.moveaxis(overlap[:, start : start + ROWS], 0, -1)
        block = np.where(between >= 0, part[..., np.abs(between)], part[..., np.abs(between)].conj())
        values, vectors = np.linalg.eigh(block)
        scaled = vectors * ((1 + eps) / (np.maximum(values, 0) + eps))[..., None, :]
        out[:, :, start : start + ROWS] = np.moveaxis(scaled @ vectors.conj().swapaxes(-2, -1), (-2, -1), (0, 1))
    return out


def precondition(filters: Any, gradient: Any, workers: int = 1) -> Any:
    """Return the gradient, shape (slices, rows, columns), behind the filters that `inverse` returns."""
    spectrum, out = arrays.fourier(gradient, workers), arrays.zeros_like(gradient)
    for own, row in zip(out, filters, strict=True):
        for each, wave in zip(row, spectrum, strict=True):
            own += each * wave
    return arrays.fourier(out, workers, inverse=True)
