"""Intensity per frame: the probe of frame j is multiplied by a factor a_j.

The factor that explains a frame best, with all else fixed, minimises ||psi_j + chi_j - c psi_j||^2 over real c:

    a_j <- a_j (1 + step Re <psi_j, chi_j> / <psi_j, psi_j>)

M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 2.5. The factors are normalised to
a mean of 1, because a common factor belongs to the probe.
"""

import numpy as np
from pydantic import Field

from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings
from exitwave.engine.state import Memory, State


class IntensityUpdate(RefinementSettings):
    """Settings of the refinement of the intensity of every frame."""

    step: float = Field(0.5, gt=0, le=1, description="length of the step; 1 goes to the best factor")


def initialise(state: State, problem: Problem, settings: IntensityUpdate) -> None:
    """Start from 1."""
    if state.probe_factors is None:
        state.probe_factors = np.ones(len(problem.pixels))


def update(state: State, responses: Responses, settings: IntensityUpdate, problem: Problem, memory: Memory) -> None:
    """Refine the factors of all frames."""
    assert state.probe_factors is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        change = responses.response("gain") / responses.response("power")
    probe_factors = state.probe_factors * (
        1 + settings.step * np.clip(np.nan_to_num(change, posinf=0, neginf=0), -0.5, 0.5)
    )
    state.probe_factors = probe_factors / probe_factors[problem.used].mean()


REFINEMENT = Refinement(
    "intensity_update",
    IntensityUpdate,
    initialise,
    update,
    "refine the intensity of every frame",
    order=30,
)
