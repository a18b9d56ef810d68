"""Slice smoothing: damp differences between slices that the data do not determine.

The data contain no information on spatial frequencies of the sample with |kz| > a |k_perp|, where a is the half-angle
of the beam's cone: the missing wedge. There the logarithm of the slices (absorption and phase) is damped in
three-dimensional Fourier space by

    W = 1 - (2 / pi) atan[(beta |kz| / (a |k_perp|))^2]

Z. Chen et al., Science 372, 826 (2021). With beta = 1, W is one half at the edge of the wedge, in every iteration. W is
1 at kz = 0: the sum over the slices, and so the product of their transmissions, does not change.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import fft

from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.model.slices import refuse_thin
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings
from exitwave.engine.state import Memory, State

SMALLEST_AMPLITUDE = 1e-3
"""Smaller amplitudes are replaced by this one before the logarithm."""


class SliceSmoothing(RefinementSettings):
    """Settings of the damping of differences between slices."""

    strength: float = Field(0.02, gt=0, description="beta: size of the damped wedge, relative to the missing wedge")


def initialise(state: State, problem: Problem, settings: SliceSmoothing) -> None:
    """Raise InputError for a thin sample."""
    if problem.slices is None:
        raise refuse_thin("slice_smoothing")


def update(
    state: State, responses: Responses | None, settings: SliceSmoothing, problem: Problem, memory: Memory
) -> None:
    """Damp the differences between slices in place; the product of the slices does not change."""
    assert problem.slices is not None
    slices = state.object
    mean = np.exp(1j * np.angle(slices.sum((1, 2), keepdims=True))).astype(slices.dtype)
    phase = np.angle(slices * mean.conj())
    logarithm = np.log(np.maximum(np.abs(slices), SMALLEST_AMPLITUDE)) + 1j * phase
    damped = fft.ifftn(fft.fftn(logarithm) * wedge_filter(slices.shape, problem.slices.cone, settings.strength))
    slices *= np.exp(damped - logarithm).astype(slices.dtype)


def wedge_filter(shape: tuple[int, ...], cone: tuple[float, float], beta: float) -> NDArray[np.float32]:
    """Return W, with zero frequency at [0, 0, 0].

    Parameters
    ----------
    shape : tuple of int
        Shape (slices, rows, columns) of the object.
    cone : tuple of float
        Number of pixels (row, column) by which the beam's cone widens from one slice to the next.
    beta : float
        Strength.
    """
    kz = np.fft.fftfreq(shape[0])[:, None, None]
    ky, kx = (np.fft.fftfreq(n) * widening for n, widening in zip(shape[1:], cone, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(kz == 0, 0, beta * np.abs(kz) / np.hypot(ky[:, None], kx))
    return (1 - np.arctan(ratio**2) / (np.pi / 2)).astype(np.float32)


REFINEMENT = Refinement(
    "slice_smoothing",
    SliceSmoothing,
    initialise,
    update,
    "damp differences between slices that the data do not determine",
    needs_responses=False,
    order=80,
)
