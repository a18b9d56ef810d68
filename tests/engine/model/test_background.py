"""Refinement of the background: expectation maximisation and the forms of the background."""

from dataclasses import replace

import numpy as np
import pytest

from exitwave.engine.model.background import SMALLEST_START, BackgroundUpdate, initialise, update
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.state import Memory, State
from exitwave.errors import InputError

SHAPE, FRAMES = (24, 24), 200


def make_case(background, seed=0):
    """Return a problem whose frames have a bright spot on a background, the counts of the spot, and a state."""
    rng = np.random.default_rng(seed)
    y, x = (np.fft.fftfreq(n, 1 / n) for n in SHAPE)
    beam = 50 * np.exp(-(y[:, None] ** 2 + x**2) / 20)
    counts = rng.poisson(beam + background, (FRAMES, *SHAPE)).astype(np.float32)
    counts[:, 3, 4] = -1
    problem = Problem(counts, -1.0, np.zeros((FRAMES, 2)), (40, 40), np.arange(FRAMES), np.arange(0), 1e3)
    return problem, beam, State(np.ones((40, 40)), np.ones((1, *SHAPE)), rng)


def responses(problem, beam, state):
    model = beam + state.background
    good = problem.counts != problem.invalid
    change = np.where(good, (problem.counts - model) / model, 0)
    return Responses(np.zeros((FRAMES, 8)), 0, None, background=np.stack([change.sum(0), good.sum(0)]))


@pytest.mark.parametrize("form", ["pixels", "radial", "scalar"])
def test_the_background_converges_with_a_known_beam(form):
    truth = np.full(SHAPE, 0.4)
    problem, beam, state = make_case(truth)
    settings = BackgroundUpdate(form=form)
    initialise(state, problem, settings)
    assert state.background.min() >= SMALLEST_START
    for _ in range(30):
        update(state, responses(problem, beam, state), settings, problem, Memory())
    dark = beam < 1
    assert np.abs(state.background[dark] - 0.4).mean() < 0.03
    if form == "scalar":
        assert np.ptp(state.background) < 1e-12


def test_each_step_increases_the_likelihood():
    truth = np.random.default_rng(1).uniform(0.1, 1, SHAPE)
    problem, beam, state = make_case(truth)
    settings = BackgroundUpdate(smooth=0)
    initialise(state, problem, settings)
    good, last = problem.counts >= 0, -np.inf
    for _ in range(10):
        update(state, responses(problem, beam, state), settings, problem, Memory())
        model = beam + state.background
        likelihood = np.sum(np.where(good, problem.counts * np.log(model) - model, 0))
        assert likelihood >= last - 1e-9 * abs(likelihood)
        last = likelihood


def test_pixels_without_a_measurement_keep_their_background():
    problem, beam, state = make_case(np.full(SHAPE, 0.4))
    settings = BackgroundUpdate(smooth=0)
    initialise(state, problem, settings)
    before = state.background[3, 4]
    update(state, responses(problem, beam, state), settings, problem, Memory())
    assert state.background[3, 4] == before
    assert state.background[12, 12] != before


@pytest.mark.parametrize("field", ["propagator", "slices", "exposures"])
def test_near_field_slices_and_fly_scans_are_refused(field):
    problem, _, state = make_case(0.4)
    with pytest.raises(InputError, match="The background cannot be refined yet"):
        initialise(state, replace(problem, **{field: object()}), BackgroundUpdate())
