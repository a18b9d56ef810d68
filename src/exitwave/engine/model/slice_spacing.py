"""Slice spacing: the distance between slices, relative to the assumed one.

With Z = d psi / ds the derivative of the exit wave with respect to the relative spacing s, which follows from that of
the transfer function, i phi exp(i s phi), minus half the derivative of the loss is

    g = sum_j Re <Z_j, chi_j>

Object and probe have adapted to the spacing that they were reconstructed with. Therefore the Gauss-Newton step
g / sum <Z, Z>, with both fixed, is far too short, but the sign of g is right. The length of the steps is adapted
instead: it grows while the sign of g stays the same, and shrinks when the sign changes, as in M. Riedmiller and H.
Braun, Proc. IEEE Int. Conf. Neural Networks, 586 (1993).
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.model.slices import refuse_thin
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State

GROW, SHRINK = 1.3, 0.5
"""Factors of the step length."""
LARGEST_STEP = 0.03
"""Largest change of the relative spacing in an iteration."""
RANGE = (0.2, 5.0)
"""Smallest and largest relative spacing."""


class SpacingUpdate(RefinementSettings):
    """Settings of the refinement of the slice spacing."""

    step: float = Field(0.01, gt=0, le=LARGEST_STEP, description="first change, relative to the spacing")
    schedule: Schedule = Schedule(start=4)


@dataclass
class SpacingMemory(Memory):
    """Length and sign of the last change of the spacing; length 0: there was none."""

    length: float = 0.0
    sign: float = 0.0

    def restart(self) -> None:
        """Keep both: they do not depend on object and probe."""


def initialise(state: State, problem: Problem, settings: SpacingUpdate) -> None:
    """Start from the assumed spacing. Raise InputError for a thin sample."""
    if problem.slices is None:
        raise refuse_thin("spacing_update")
    if state.slice_spacing is None:
        state.slice_spacing = np.array(1.0)


def update(
    state: State, responses: Responses, settings: SpacingUpdate, problem: Problem, memory: SpacingMemory
) -> None:
    """Refine the spacing."""
    assert state.slice_spacing is not None
    length, before = memory.length or settings.step, memory.sign
    sign = float(np.sign(responses.slice_spacing))
    if before:
        length = min(length * (GROW if sign == before else SHRINK), LARGEST_STEP)
    state.slice_spacing = np.clip(state.slice_spacing + sign * length, *RANGE)
    memory.length, memory.sign = length, sign


REFINEMENT = Refinement(
    "spacing_update",
    SpacingUpdate,
    initialise,
    update,
    "refine the distance between slices",
    memory=SpacingMemory,
    order=70,
)
