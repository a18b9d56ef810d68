"""Counts without the beam, learnt from the frames: expectation maximisation of the Poisson likelihood.

With m_j the modelled counts of frame j, the background B in them, every iteration does

    B <- B mean_j(I_j / m_j)

over the frames with a measurement (W. H. Richardson, J. Opt. Soc. Am. 62, 55 (1972); L. B. Lucy, Astron. J. 79, 745
(1974); the form for counts on a background of L. A. Shepp and Y. Vardi, IEEE Trans. Med. Imaging 1, 113 (1982)). It
never becomes negative. One number for all pixels, or for all of one distance from the beam, takes the mean over these
too: then it has less noise, and less freedom to explain what the object should.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter

from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError

DARKEST = 0.1
"""The start is the mean counts of the pixels that are darker than all but this part of them."""
LEAST = 1e-4
"""The start is at least this, in counts."""


class BackgroundUpdate(RefinementSettings):
    """How the background is learnt."""

    schedule: Schedule = Schedule(start=2)
    form: Literal["pixels", "radial", "scalar"] = Field(
        "pixels", description="one number for each pixel, for each distance from the beam, or for all pixels"
    )
    smooth: float = Field(4.0, ge=0, description="pixels over which a change of each pixel is averaged (Gaussian)")


def initialise(state: State, problem: Problem, settings: BackgroundUpdate) -> None:
    """Start from the darkest pixels, the same everywhere.

    Raises
    ------
    InputError
        If the frames are images in the near field, the sample is thick, or it is a fly scan.
    """
    refused = {"near field": problem.propagator, "slices": problem.slices, "exposures": problem.exposures}
    found = ", ".join(name for name, there in refused.items() if there is not None)
    if found:
        remedy = "Leave background_update out"
        raise InputError(
            "A background is not learnt in the near field, with slices or in a fly scan yet", found=found, remedy=remedy
        )
    if state.background is None:
        total, number = problem.sums(problem.used)
        if problem.detector:
            total -= number * problem.detector.background
        darkest = np.quantile((total / np.maximum(number, 1))[number > 0], DARKEST)
        state.background = np.full(total.shape, max(float(darkest), LEAST))


def update(state: State, told: Responses, settings: BackgroundUpdate, problem: Problem, memory: Memory) -> None:
    """Multiply by the mean ratio of measured and modelled counts."""
    assert state.background is not None
    assert told.background is not None
    change, number = (_pooled(each, settings) for each in told.background)
    state.background = state.background * np.clip(1 + change / np.maximum(number, 1e-9), 0.5, 2)


def _pooled(sums: NDArray[np.float64], settings: BackgroundUpdate) -> NDArray[np.float64]:
    """Return for every pixel the sum over those that have a number in common, zero frequency at [0, 0]."""
    if settings.form == "scalar":
        return np.full(sums.shape, sums.sum())
    if settings.form == "radial":
        y, x = (np.fft.fftfreq(n, 1 / n) for n in sums.shape)
        ring = np.rint(np.hypot(y[:, None], x)).astype(int)
        return np.asarray(np.bincount(ring.ravel(), sums.ravel())[ring])
    return np.asarray(gaussian_filter(sums, settings.smooth, mode="wrap") if settings.smooth else sums)


REFINEMENT = Refinement(
    "background_update",
    BackgroundUpdate,
    initialise,
    update,
    "refine the counts without the beam",
    order=60,
)
