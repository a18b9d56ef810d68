"""Damping of differences between slices."""

from dataclasses import replace

import numpy as np
import pytest
from problems import make_problem
from scipy.ndimage import gaussian_filter

from exitwave.engine.model.slice_smoothing import SliceSmoothing, initialise, update, wedge_filter
from exitwave.engine.model.slices import Slices
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError


class Thick:
    """A problem with slices only."""

    slices = Slices(3, np.zeros((8, 8)), (4.0, 2.0))


def test_the_wedge_filter_is_1_at_zero_kz_and_one_half_at_its_edge():
    found = wedge_filter((4, 32, 64), (4.0, 2.0), 1.0)
    assert (found[0] == 1).all()
    assert (found[1:, 0, 0] == 0).all()
    assert found[1, 2, 0] == pytest.approx(0.5)  # kz = 1/4, ky * 4 = 2/32 * 4
    assert found[1, 0, 8] == pytest.approx(0.5)  # and kx * 2 = 8/64 * 2
    assert (np.diff(found[2, :16, 0]) > 0).all()
    assert (wedge_filter((4, 32, 64), (4.0, 2.0), 0.1)[1] >= found[1]).all()


def make_slices(seed=0, smooth=0.0):
    """Return random slices, smoothed along rows and columns."""
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.standard_normal((2, 3, 40, 50)), (0, 0, smooth, smooth), mode="wrap")
    fields *= 0.2 / fields.std()
    return np.exp(fields[0] + 1j * (fields[1] + 3)).astype(np.complex64)


def test_the_product_of_the_slices_does_not_change():
    state = State(make_slices(), np.ones((1, 8, 8), complex), np.random.default_rng(0))
    before = state.object.copy()
    update(state, None, SliceSmoothing(strength=1.0), Thick, Memory())
    assert np.abs(state.object - before).max() > 0.05
    np.testing.assert_allclose(state.object.prod(0), before.prod(0), rtol=1e-4)


def test_coarse_differences_are_damped_and_fine_ones_are_kept():
    left = []
    for smooth in (0.5, 8.0):
        state = State(make_slices(1, smooth), np.ones((1, 8, 8), complex), np.random.default_rng(0))
        before = np.log(state.object[0] / state.object[1])
        update(state, None, SliceSmoothing(strength=0.2), Thick, Memory())
        left.append(np.linalg.norm(np.log(state.object[0] / state.object[1])) / np.linalg.norm(before))
    assert left[0] > 0.8
    assert left[1] < 0.6


def test_a_thin_sample_is_refused():
    problem, state = make_problem()
    with pytest.raises(InputError, match="no slices"):
        initialise(state, replace(problem), SliceSmoothing())
