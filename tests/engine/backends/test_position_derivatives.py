"""Positions as unknowns of maximum likelihood: gradient, Gauss-Newton matrix, and derivatives along a line."""

from dataclasses import replace

import numpy as np
import pytest
from problems import make_near, make_problem, perturb, single
from test_detector import KINDS, problem_of, with_background

from exitwave.engine.algorithms import ml
from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.backend import NOISE, Line
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.recipe import Stage
from exitwave.errors import InputError


def with_frame_parameters(problem, state, seed=3):
    """Set probe factors, OPR modes and pointing of a state, and return it."""
    rng, npos = np.random.default_rng(seed), len(problem.counts)
    state.probe_factors = rng.uniform(0.8, 1.2, npos)
    state.opr_modes = 0.3 * perturb(state, 9).probe[:1]
    state.opr_weights = rng.standard_normal((npos, 1))
    state.pointing = rng.uniform(-1, 1, (npos, 2))
    return state


def case_of(kind):
    problem, truth = make_problem((16, 18), frames=8, modes=2, mask=0.1, margin=3)
    state = perturb(truth)
    state.positions = problem.pixels + np.random.default_rng(2).uniform(-0.4, 0.4, problem.pixels.shape)
    return problem, with_frame_parameters(problem, state) if kind == "parameters" else state


def like(state, other):
    """Return a state with the parameters of another, except object and probe."""
    return replace(other, object=state.object, probe=state.probe)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("kind", ["plain", "parameters"])
def test_position_derivatives_are_the_gradient_of_the_loss(kind, noise):
    problem, state = case_of(kind)
    backend, h = ReferenceBackend(replace(problem, photons=1e-6)), 1e-4
    found = backend.position_derivatives(state, problem.used, noise)
    for axis in (0, 1):
        for j in (0, 5):
            losses = []
            for sign in (1, -1):
                positions = state.positions.copy()
                positions[j, axis] += sign * h
                losses.append(backend.gather(replace(state, positions=positions), np.array([j]), noise=noise).loss)
            assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(-2 * found[j, axis], rel=1e-4)


def test_two_steps_of_the_gauss_newton_matrix_correct_the_positions():
    """With exact object and probe, two steps leave less than a hundredth of the error."""
    problem, truth = make_problem((24, 24), frames=6, dtype=np.float32, margin=3)
    truth = replace(truth, positions=problem.pixels + 0.0)
    backend, off = ReferenceBackend(problem), np.random.default_rng(0).uniform(-0.15, 0.15, (6, 2))
    state = replace(truth, positions=truth.positions + off)
    for _ in range(2):
        y, x, yy, xx, yx = backend.position_derivatives(state, problem.used, "amplitude").T
        matrix = np.array([[yy, yx], [yx, xx]]).transpose(2, 0, 1)
        moves = np.linalg.solve(matrix, np.stack([y, x], 1)[..., None])[..., 0]
        state = replace(state, positions=state.positions + moves)
    assert np.abs(state.positions - truth.positions).max() < 0.01 * np.abs(off).max()


def test_a_common_move_of_all_frames_is_not_suppressed():
    """Detail as fine as the pixels determines the common position; without this move the field breaks into domains."""
    problem, truth = make_problem((24, 24), frames=30, dtype=np.float32, margin=3)
    off = np.array([0.4, -0.3])
    state = replace(single(truth), positions=problem.pixels + off)
    backend, stage = CpuBackend(problem, 1, 1), Stage(algorithm="ML", position_update=True)
    runner = Runner(ml.ALGORITHM, stage)
    for state.iteration in range(16):
        runner.iterate(state, backend)
    assert (np.abs((state.positions - problem.pixels).mean(0)) < 0.8 * np.abs(off)).all()


@pytest.mark.parametrize("noise", NOISE)
def test_the_derivative_at_the_start_of_a_line_with_moves_is_that_of_the_gradient(noise):
    problem, state = case_of("parameters")
    backend, moves = ReferenceBackend(problem), np.random.default_rng(1).standard_normal((8, 2))
    line = Line(0 * state.object, 0 * state.probe, moves)
    slope = -2 * (backend.position_derivatives(state, problem.used, noise)[:, :2] * moves).sum()
    assert backend.line_derivatives(state, line, problem.used, np.zeros(1), noise)[0, 0] == pytest.approx(
        slope, rel=1e-9
    )


@pytest.mark.parametrize("kind", ["plain", "parameters", *KINDS])
def test_the_backends_agree_with_the_reference(kind, build):
    if kind in KINDS:
        problem, _, state = problem_of(kind)
        found, at = with_background(single(state), state), problem.used
    else:
        problem, state = case_of(kind)
        found, at = like(single(state), state), problem.used
        if kind == "parameters":
            found.opr_modes = state.opr_modes.astype(np.complex64)
    reference, backend = ReferenceBackend(problem), build(problem, 2)
    a, b = (0.1 * each for each in (perturb(state, 7).object, perturb(state, 8).probe))
    moves = np.random.default_rng(5).standard_normal((len(problem.counts), 2))
    for noise in NOISE:
        expected = reference.position_derivatives(state, at, noise)
        mine = backend.position_derivatives(found, at, noise)
        np.testing.assert_allclose(mine / np.abs(expected).max(0), expected / np.abs(expected).max(0), atol=1e-4)
        gradients = reference.line_derivatives(state, Line(a, b, moves), at, np.array([0.0, 0.4]), noise)
        line = Line(a.astype(np.complex64), b.astype(np.complex64), moves)
        np.testing.assert_allclose(
            backend.line_derivatives(found, line, at, np.array([0.0, 0.4]), noise), gradients, rtol=1e-4
        )


def test_the_near_field_is_refused(build):
    problem, state = case_of("plain")
    near = make_near(problem, state)
    for backend in (ReferenceBackend(near), build(near, 2)):
        with pytest.raises(InputError, match="near field"):
            backend.position_derivatives(single(state), near.used, "amplitude")
