"""Beam pointing: the diffraction pattern of frame j is shifted by t_j detector pixels.

A change of the angle of incidence multiplies the exit wave by a phase ramp (`State.pointing`). With the derivatives
d psi / d t_y = 2 pi i (r - ny//2) / ny psi, and likewise for columns, and their mean curvature K relative to <psi, psi>
(`curvature`), every frame takes Gauss-Newton steps

    t_j <- t_j + step (K <psi_j, psi_j>)^-1 (<d psi / d t_y, chi_j>, <d psi / d t_x, chi_j>)

of at most `LARGEST_STEP`. After M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018),
section 2.5, which does the same for positions. The mean of the shifts is 0, because a common ramp belongs to the probe.

A shift in proportion to the position, t = A s with a symmetric A, cannot be distinguished from curved phases of object
and probe, because (r + s)^2 = r^2 + 2 r s + s^2. It depends on the start of the run only.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.model.curvature import Waves, mean_curvature
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError

LARGEST_STEP = 0.5
"""Longest step along rows, and along columns, in detector pixels."""


class PointingUpdate(RefinementSettings):
    """Settings of the refinement of the beam pointing in every frame."""

    step: float = Field(0.5, gt=0, le=1, description="length of the step; 1 is a Gauss-Newton step")
    schedule: Schedule = Schedule(start=2)


def initialise(state: State, problem: Problem, settings: PointingUpdate) -> None:
    """Start from 0.

    Raises
    ------
    InputError
        For a scan in the near field, where a change of the angle does not shift the image as a whole, and a fly scan.
    """
    if problem.exposures is not None:
        remedy = "Leave pointing_update out"
        raise InputError(
            "The beam pointing cannot be refined in a fly scan", found="frames of several exposures", remedy=remedy
        )
    if problem.propagator is not None:
        remedy = "Leave pointing_update out; positions can be refined"
        raise InputError(
            "The beam pointing can be refined in the far field only", found="a scan in the near field", remedy=remedy
        )
    if state.pointing is None:
        state.pointing = np.zeros((len(problem.pixels), 2))


def update(state: State, responses: Responses, settings: PointingUpdate, problem: Problem, memory: Memory) -> None:
    """Refine the pointing of all frames."""
    assert state.pointing is not None
    axes = ((np.arange(n) - n // 2) / n for n in problem.shape)
    ramps = (2j * np.pi * np.stack(np.meshgrid(*axes, indexing="ij"))).astype(state.probe.dtype)

    def changes(window: Waves) -> Waves:
        return np.asarray(ramps[:, None] * (state.probe * window))

    curvature = mean_curvature(state, problem, changes)
    relative = responses.relative_to_power(responses.pointing)
    change: NDArray[np.float64] = relative @ np.linalg.pinv(curvature, hermitian=True)
    pointing = state.pointing + np.clip(settings.step * change, -LARGEST_STEP, LARGEST_STEP)
    state.pointing = pointing - pointing[problem.used].mean(0)


REFINEMENT = Refinement(
    "pointing_update",
    PointingUpdate,
    initialise,
    update,
    "refine the pointing of the beam",
    order=50,
)
