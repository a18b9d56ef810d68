"""Identities of the algorithms, on the float64 reference."""

import numpy as np
import pytest
from problems import double, make_problem, perturb

from exitwave.engine.algorithms import epie, rpie
from exitwave.engine.recipe import Stage, Update
from exitwave.engine.reference import ReferenceSweeps


def start(**case):
    problem, truth = make_problem((16, 18), frames=30, **case)
    return problem, truth, perturb(truth)


@pytest.mark.parametrize("modes", [1, 2])
def test_rpie_with_single_frames_and_alpha_one_is_epie(modes):
    problem, _, state = start(modes=modes, mask=0.05)
    stage = Stage(batch=1, object_update=Update(alpha=1, step=0.8), probe_update=Update(alpha=1, step=0.6))
    first, second = double(state), double(state)
    # the reference's largest illumination is that of one frame, as batches of one do not overlap
    epie.step(first, ReferenceSweeps(problem), stage)
    rpie.step(second, ReferenceSweeps(problem), stage)
    assert np.allclose(first.object, second.object, rtol=1e-9, atol=1e-12)
    assert np.allclose(first.probe, second.probe, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("step", [epie.step, rpie.step])
def test_scaling_the_object_against_the_probe_changes_nothing(step):
    problem, _, state = start()
    scaled = double(state)
    scaled.object *= 2 - 1j
    scaled.probe /= 2 - 1j
    for each in (state, scaled):
        each.rng = np.random.default_rng(0)
        step(each, ReferenceSweeps(problem), Stage())
    assert np.allclose(scaled.object / (2 - 1j), state.object, rtol=1e-6, atol=1e-9)
    assert np.allclose(scaled.probe * (2 - 1j), state.probe, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("step", [epie.step, rpie.step])
def test_the_truth_stays_where_it_is(step):
    problem, truth, _ = start(dtype=np.float32)
    moved = double(truth)
    step(moved, ReferenceSweeps(problem), Stage())
    assert np.linalg.norm(moved.object - truth.object) < 1e-4 * np.linalg.norm(truth.object)
    assert np.linalg.norm(moved.probe - truth.probe) < 1e-4 * np.linalg.norm(truth.probe)


def test_epie_with_the_known_probe_comes_closer_every_iteration():
    problem, truth, state = start(dtype=np.float32)
    state.probe = truth.probe.copy()
    stage = Stage(algorithm="ePIE", probe_update=Update(enabled=False))
    sweeps = ReferenceSweeps(problem)
    errors = []
    for _ in range(6):
        epie.step(state, sweeps, stage)
        errors.append(sweeps.misfit(state, problem.used).error)
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.2 * errors[0]
