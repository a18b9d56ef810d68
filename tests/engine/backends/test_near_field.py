"""The near field: identities of the propagation, and every pass against the reference backend."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_near, make_problem, model, perturb, single
from test_responses import with_parameters

from exitwave.engine.backend import NOISE, RESPONSES, Line, ProjectionWeights, Step
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.near_field import Propagator


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


CASES = [((16, 16), 1, True), ((15, 20), 3, True), ((16, 20), 1, False)]


@pytest.fixture(params=CASES, ids=["square", "odd, 3 modes", "whole pixels"])
def case(request, build):
    shape, modes, subpixel = request.param
    problem, truth = make_problem(shape, modes=modes, margin=4, mask=0.05, subpixel=subpixel)
    problem = make_near(problem, truth)
    state, found = perturb(truth), single(perturb(truth))
    if subpixel:
        state, found = with_parameters(problem, state), with_parameters(problem, found)
    return problem, state, found, build(problem, modes)


def test_back_propagation_is_the_adjoint_and_the_inverse():
    rng = np.random.default_rng(0)
    problem, truth = make_problem((16, 18))
    propagator, rest = make_near(problem, truth).propagator, np.array([0.3, -0.4])
    a, b = (rng.standard_normal((2, 16, 18)) + 1j * rng.standard_normal((2, 16, 18)) for _ in range(2))
    assert np.vdot(propagator.forth(a, rest), b) == pytest.approx(np.vdot(a, propagator.back(b, rest)))
    assert np.allclose(propagator.back(propagator.forth(a, rest), rest), a)


def test_only_a_moved_sample_changes_the_image():
    """Without a sample the image is the same at every position, because probe and detector do not move."""
    problem, truth = make_problem((16, 18), dtype=np.float32)
    truth.object[:] = 1
    frames = model(make_near(problem, truth), truth)
    assert np.allclose(frames, frames[0], rtol=1e-10)


def test_at_distance_zero_the_image_is_that_of_the_exit_wave():
    problem, truth = make_problem((16, 18), subpixel=False, dtype=np.float32)
    near = dataclasses.replace(problem, propagator=Propagator(np.ones((16, 18), complex)))
    (top, left), frames = near.windows()[0][3], model(near, truth)
    exit_wave = truth.probe[0] * truth.object[top : top + 16, left : left + 18]
    assert np.allclose(frames[3], np.abs(exit_wave) ** 2)


def test_the_exact_state_is_a_fixed_point():
    problem, state = make_problem((16, 20), dtype=np.float32, modes=2)
    sums = ReferenceBackend(make_near(problem, state)).gather(state, problem.used)
    assert np.abs(sums.object).max() < 1e-4 * np.abs(sums.probe_density).max()
    assert sums.misfit.error < 1e-10


@pytest.mark.parametrize("noise", NOISE)
def test_gather_agrees_with_the_reference(case, noise):
    problem, state, found, backend = case
    opr_modes = 0 if state.opr_modes is None else len(state.opr_modes)
    responses = [np.zeros((len(problem.used), len(RESPONSES) + opr_modes)) for _ in range(2)]
    expected = ReferenceBackend(problem).gather(state, problem.used, responses=responses[0], noise=noise)
    sums = backend.gather(found, problem.used, responses=responses[1], noise=noise)
    for name in ("object", "probe_density", "probe", "object_density"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    assert sums.loss == pytest.approx(expected.loss, rel=1e-4)
    assert sums.misfit == pytest.approx(expected.misfit, rel=1e-4)
    for column in range(responses[0].shape[1]):
        np.testing.assert_allclose(
            responses[1][:, column], responses[0][:, column], atol=1e-4 * np.abs(responses[0][:, column]).max()
        )
    assert backend.misfit(found, problem.used) == pytest.approx(expected.misfit, rel=1e-4)


def test_the_other_passes_agree_with_the_reference(case):
    problem, state, found, backend = case
    reference, frames, rng = ReferenceBackend(problem), problem.used, np.random.default_rng(0)
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)
    lengths = np.array([0.0, 0.5])
    single_line = Line(*(each.astype(np.complex64) for each in line[:2]))
    for noise in NOISE:
        expected = reference.line_derivatives(state, line, frames, lengths, noise)
        assert close(backend.line_derivatives(found, single_line, frames, lengths, noise), expected)
    waves = rng.standard_normal((len(frames), *state.probe.shape, 2)) @ [1, 1j]
    mine = waves.astype(np.complex64)
    for weights in (ProjectionWeights(-0.9, 1.0, 1.9), None):
        expected = reference.project(state, frames, waves, weights)
        sums = backend.project(found, frames, mine, weights)
        assert close(mine, waves)
        assert close(sums.object, expected.object)
        assert close(sums.probe, expected.probe)
    exact = dataclasses.replace(state, object=state.object.copy(), probe=state.probe.copy())
    reference.sequential(exact, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    backend.sequential(found, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)


@pytest.mark.parametrize("quantity", ["object", "probe"])
@pytest.mark.parametrize("noise", NOISE)
def test_gather_is_the_gradient_of_the_loss(quantity, noise):
    problem, truth = make_problem((12, 14), frames=6, modes=2, mask=0.1)
    problem = make_near(problem, truth)
    backend, state = ReferenceBackend(problem), perturb(truth)
    gradient = -2 * getattr(backend.gather(state, problem.used, noise=noise), quantity)
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(gradient.shape) + 1j * rng.standard_normal(gradient.shape)
    values, h = [], 1e-6
    for sign in (1, -1):
        moved = double(state)
        getattr(moved, quantity)[:] += sign * h * direction
        values.append(backend.gather(moved, problem.used, noise=noise).loss)
    slope = (values[0] - values[1]) / (2 * h)
    assert slope == pytest.approx(np.real(np.vdot(gradient, direction)), rel=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_responses_of_positions_are_gradients(axis):
    """It holds for well-sampled waves within the window, because the propagation shifts the wave back."""
    problem, state = make_problem((32, 32), frames=3, modes=2, margin=4, dtype=np.float32)
    state.positions = problem.pixels.astype(float)
    r, c = np.mgrid[:32, :32] - 16
    state.probe[:] = (
        20 * np.exp(-(r**2 + c**2) / 20 + 0.02j * (r**2 + c**2)) * np.stack([1 + 0j * r, 0.3 * r + 0.1j * c])
    )
    problem = make_near(problem, state)
    rows, columns = np.mgrid[: state.object.shape[0], : state.object.shape[1]]
    state.object = np.exp(0.5j * np.sin(rows / 15) + 0.3 * np.cos(columns / 18 + rows / 27))
    reference, frames = ReferenceBackend(problem), problem.used
    responses = np.zeros((3, len(RESPONSES)))
    reference.gather(state, frames, responses=responses)

    def differences(step):
        moved, out = dataclasses.replace(state, positions=state.positions.copy()), np.zeros_like(responses)
        moved.positions[:, axis] += step
        reference.gather(moved, frames, responses=out)
        return out[:, 0]

    step = 2.0**-8  # sub-pixel shifts are rounded to float32
    gradients = (differences(step) - differences(-step)) / (2 * step)
    expected = -2 * responses[:, RESPONSES.index("yx"[axis])]
    np.testing.assert_allclose(gradients, expected, atol=1e-4 * np.abs(expected).max())
