"""The distance between slices, relative to what was assumed.

With Z = d psi / ds the derivative of the exit wave by the relative spacing s, through that of the transfer function,
i phi exp(i s phi), minus half the derivative of the loss is

    g = sum_j Re <Z_j, chi_j>

Object and probe hold on to the spacing that they were found with, so that the nearest minimum with both as they are,
g / sum <Z, Z> away, is far nearer than the true one. But its sign is right. So the steps have a length of their own: it
grows while the sign of g stays, and shrinks when it changes, as in M. Riedmiller and H. Braun, Proc. IEEE Int. Conf.
Neural Networks, 586 (1993).
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
LARGEST = 0.03
"""Change of the spacing in an iteration, at most."""
RANGE = (0.2, 5.0)
"""Least and greatest spacing, relative to what was assumed."""


class SpacingUpdate(RefinementSettings):
    """How the distance between slices is refined."""

    step: float = Field(0.01, gt=0, le=LARGEST, description="first change, relative to the spacing")
    schedule: Schedule = Schedule(start=4)


@dataclass
class SpacingMemory(Memory):
    """Length and sign of the last change of the spacing; length 0: there was none."""

    length: float = 0.0
    sign: float = 0.0

    def restart(self) -> None:
        """Keep both: they do not depend on object and probe."""


def initialise(state: State, problem: Problem, settings: SpacingUpdate) -> None:
    """Start from what was assumed; refuse a thin sample."""
    if problem.slices is None:
        raise refuse_thin("spacing_update")
    if state.slice_spacing is None:
        state.slice_spacing = np.array(1.0)


def update(state: State, told: Responses, settings: SpacingUpdate, problem: Problem, memory: SpacingMemory) -> None:
    """Refine the spacing."""
    assert state.slice_spacing is not None
    length, before = memory.length or settings.step, memory.sign
    sign = float(np.sign(told.slice_spacing))
    if before:
        length = min(length * (GROW if sign == before else SHRINK), LARGEST)
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
