"""The spacing goes the way of its gradient, in steps that grow and shrink."""

import numpy as np
import pytest
from problems import make_problem

from exitwave.engine.model.slice_spacing import GROW, LARGEST, SHRINK, SpacingMemory, SpacingUpdate, initialise, update
from exitwave.engine.state import State
from exitwave.errors import InputError


class Responses:
    def __init__(self, spacing):
        self.slice_spacing = spacing


def moves(forces, step=0.01):
    """What the spacing does under the forces."""
    state = State(np.ones((2, 4, 4), complex), np.ones((1, 4, 4), complex), np.random.default_rng(0))
    state.slice_spacing, found = np.array(1.0), []
    memory = SpacingMemory()
    for force in forces:
        before = float(state.slice_spacing)
        update(state, Responses(force), SpacingUpdate(step=step), None, memory)
        found.append(float(state.slice_spacing) - before)
    return found


def test_steps_grow_while_the_sign_stays_and_shrink_when_it_changes():
    first, second, third, fourth = moves([3.0, 1.0, -2.0, -0.1])
    assert first == pytest.approx(0.01)
    assert second == pytest.approx(0.01 * GROW)
    assert third == pytest.approx(-0.01 * GROW * SHRINK)
    assert fourth == pytest.approx(-0.01 * GROW**2 * SHRINK)
    assert max(moves([1.0] * 20)) == pytest.approx(LARGEST)
    assert moves([0.0]) == [0.0]


def test_a_thin_sample_is_refused():
    problem, state = make_problem()
    with pytest.raises(InputError, match="no slices"):
        initialise(state, problem, SpacingUpdate())
