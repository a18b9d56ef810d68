"""Refinement of the slice spacing: steps in the direction of the gradient that grow and shrink."""

import numpy as np
import pytest
from problems import make_problem

from exitwave.engine.model.slice_spacing import (
    GROW,
    LARGEST_STEP,
    SHRINK,
    SpacingMemory,
    SpacingUpdate,
    initialise,
    update,
)
from exitwave.engine.state import State
from exitwave.errors import InputError


class Responses:
    def __init__(self, spacing):
        self.slice_spacing = spacing


def changes(gradients, step=0.01):
    """Return the changes of the spacing for a sequence of gradients."""
    state = State(np.ones((2, 4, 4), complex), np.ones((1, 4, 4), complex), np.random.default_rng(0))
    state.slice_spacing, found = np.array(1.0), []
    memory = SpacingMemory()
    for gradient in gradients:
        before = float(state.slice_spacing)
        update(state, Responses(gradient), SpacingUpdate(step=step), None, memory)
        found.append(float(state.slice_spacing) - before)
    return found


def test_steps_grow_while_the_sign_stays_and_shrink_when_it_changes():
    first, second, third, fourth = changes([3.0, 1.0, -2.0, -0.1])
    assert first == pytest.approx(0.01)
    assert second == pytest.approx(0.01 * GROW)
    assert third == pytest.approx(-0.01 * GROW * SHRINK)
    assert fourth == pytest.approx(-0.01 * GROW**2 * SHRINK)
    assert max(changes([1.0] * 20)) == pytest.approx(LARGEST_STEP)
    assert changes([0.0]) == [0.0]


def test_a_thin_sample_is_refused():
    problem, state = make_problem()
    with pytest.raises(InputError, match="no slices"):
        initialise(state, problem, SpacingUpdate())
