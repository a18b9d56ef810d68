"""Beam pointing: the diffraction pattern of frame j is shifted by t_j detector pixels.

A beam that hits the sample at another angle has a phase ramp, and so has the exit wave (`State.tilts`). With the
derivatives d psi / d t_y = 2 pi i (r - ny//2) / ny psi and the like for columns, and their mean curvature K relative to
<psi, psi> (`curvature`), every frame takes steps of Gauss and Newton,

    t_j <- t_j + step (K <psi_j, psi_j>)^-1 (<d psi / d t_y, chi_j>, <d psi / d t_x, chi_j>)

of at most `REACH`. After M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 2.5,
which does the same for positions. The mean of the shifts is 0: a ramp of all frames belongs to the probe.

Nothing but where a run starts tells a shift in proportion to the position, t = A s with a symmetric A, from curved
phases of object and probe: (r + s)^2 = r^2 + 2 r s + s^2.
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

REACH = 0.5
"""Longest step along rows, and along columns, in detector pixels."""


class PointingUpdate(RefinementSettings):
    """How the pointing of the beam in every frame is refined."""

    step: float = Field(0.5, gt=0, le=1, description="length of the step")
    schedule: Schedule = Schedule(start=2)


def initialise(state: State, problem: Problem, settings: PointingUpdate) -> None:
    """Start from 0.

    Raises
    ------
    InputError
        In the near field, where another angle of the beam does not shift an image as a whole; and in a fly scan.
    """
    if problem.exposures is not None:
        remedy = "Leave pointing_update out"
        raise InputError("Pointing is not refined in a fly scan", found="frames of several exposures", remedy=remedy)
    if problem.propagator is not None:
        remedy = "Leave pointing_update out; positions can be refined"
        raise InputError("Pointing is refined in the far field only", found="a scan in the near field", remedy=remedy)
    if state.pointing is None:
        state.pointing = np.zeros((len(problem.pixels), 2))


def update(state: State, told: Responses, settings: PointingUpdate, problem: Problem, memory: Memory) -> None:
    """Refine the pointing of all frames."""
    assert state.pointing is not None
    axes = ((np.arange(n) - n // 2) / n for n in problem.shape)
    ramps = (2j * np.pi * np.stack(np.meshgrid(*axes, indexing="ij"))).astype(state.probe.dtype)

    def changes(window: Waves) -> Waves:
        return np.asarray(ramps[:, None] * (state.probe * window))

    curvature = mean_curvature(state, problem, changes)
    change: NDArray[np.float64] = told.relative(told.pointing) @ np.linalg.pinv(curvature, hermitian=True)
    pointing = state.pointing + np.clip(settings.step * change, -REACH, REACH)
    state.pointing = pointing - pointing[problem.used].mean(0)


REFINEMENT = Refinement(
    "pointing_update",
    PointingUpdate,
    initialise,
    update,
    "refine the pointing of the beam",
    order=50,
)
