"""Background: counts without the beam, refined by expectation maximisation of the Poisson likelihood.

With m_j the modelled counts of frame j, including the background B, every iteration does

    B <- B mean_j(I_j / m_j)

over the frames with a measurement (W. H. Richardson, J. Opt. Soc. Am. 62, 55 (1972); L. B. Lucy, Astron. J. 79, 745
(1974); the form for counts on a background: L. A. Shepp and Y. Vardi, IEEE Trans. Med. Imaging 1, 113 (1982)). B never
becomes negative. With one number for all pixels, or for all pixels at one distance from the beam, the mean includes
these pixels too. Such a background has less noise, and explains less of what belongs to the object.
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

DARK_QUANTILE = 0.1
"""The first background is this quantile of the pixels' mean counts."""
SMALLEST_START = 1e-4
"""Smallest first background in counts."""


class BackgroundUpdate(RefinementSettings):
    """Settings of the refinement of the background."""

    schedule: Schedule = Schedule(start=2)
    form: Literal["pixels", "radial", "scalar"] = Field(
        "pixels", description="one number for each pixel, for each distance from the beam, or for all pixels"
    )
    smooth: float = Field(
        4.0, ge=0, description="standard deviation in pixels of the Gaussian that smooths the change; form=pixels only"
    )


def initialise(state: State, problem: Problem, settings: BackgroundUpdate) -> None:
    """Start from the mean counts of the darkest pixels, the same number for all pixels.

    Raises
    ------
    InputError
        For a scan in the near field, a thick sample and a fly scan.
    """
    unsupported = {"near field": problem.propagator, "slices": problem.slices, "exposures": problem.exposures}
    found = ", ".join(name for name, part in unsupported.items() if part is not None)
    if found:
        remedy = "Leave background_update out"
        raise InputError(
            "The background cannot be refined yet in the near field, with slices or in a fly scan",
            found=found,
            remedy=remedy,
        )
    if state.background is None:
        total, number = problem.sums(problem.used)
        if problem.detector:
            total -= number * problem.detector.background
        darkest = np.quantile((total / np.maximum(number, 1))[number > 0], DARK_QUANTILE)
        state.background = np.full(total.shape, max(float(darkest), SMALLEST_START))


def update(state: State, responses: Responses, settings: BackgroundUpdate, problem: Problem, memory: Memory) -> None:
    """Multiply the background by the mean ratio of measured and modelled counts."""
    assert state.background is not None
    assert responses.background is not None
    change, number = (_pool(sums, settings) for sums in responses.background)
    state.background = state.background * np.clip(1 + change / np.maximum(number, 1e-9), 0.5, 2)


def _pool(sums: NDArray[np.float64], settings: BackgroundUpdate) -> NDArray[np.float64]:
    """Return for every pixel the sum over the pixels that share its number, zero frequency at [0, 0]."""
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
