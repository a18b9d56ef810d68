"""Search for lost frames."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_problem, model

from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.lost_frames import PositionMemory, search
from exitwave.engine.model.responses import RecordingBackend


@pytest.mark.parametrize("counts", [None, 1000.0])
def test_lost_frames_are_found_and_the_others_do_not_move(counts):
    problem, state = make_problem((24, 24), frames=20, margin=4, dtype=np.float32, seed=2)
    patterns = model(problem, state)
    if counts is not None:  # with so few photons in a frame, the misfit of a lost one is hardly twice that of others
        dim = counts / np.mean(patterns.sum((1, 2)))
        state.probe *= np.sqrt(dim)
        patterns = np.random.default_rng(4).poisson(dim * patterns)
    problem = dataclasses.replace(problem, counts=patterns.astype(np.float32))
    problem = dataclasses.replace(problem, nominal=problem.pixels.astype(float))
    state = double(state)
    state.positions = problem.pixels + np.random.default_rng(0).normal(0, 0.1, (20, 2))
    lost = np.array([3, 11])
    truth = state.positions
    state.positions = np.clip(state.positions + 4.0 * np.isin(np.arange(20), lost)[:, None], *problem.reach)
    memory = PositionMemory(np.ones((20, 2)))
    backend, start = ReferenceBackend(problem), state.positions
    for _ in range(12):
        search(state, RecordingBackend(backend, state).complete(state), problem, memory)
    error = np.hypot(*(state.positions - truth).T)
    assert (error[lost] < 1.0).all()
    assert (memory.velocity[lost] == 0).all()
    others = np.setdiff1d(np.arange(20), lost)
    assert np.mean(np.all(state.positions[others] == start[others], axis=1)) > 0.7
