"""Noise models: gradients against finite differences, derivatives along a line, the backends against the reference."""

import numpy as np
import pytest
from problems import double, make_problem, on_each_number_of_threads, perturb, single

from exitwave.engine.backend import NOISE, Line
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.state import State

CASES = [
    {"modes": 1, "subpixel": False},
    {"modes": 1, "subpixel": True, "mask": 0.1},
    {"modes": 3, "subpixel": True, "dtype": np.float32},
]


@pytest.fixture(params=[(16, 16), (15, 20)], ids=["square", "odd"])
def shape(request):
    return request.param


@pytest.fixture(params=NOISE)
def noise(request):
    return request.param


def line(state, seed=4, amount=0.3):
    """Return a random direction through the state, as large as the change by ``perturb``."""
    moved = perturb(state, seed, amount)
    return Line(moved.object - state.object, moved.probe - state.probe)


def at(state, line, t):
    return State(state.object + t * line.object, state.probe + t * line.probe, state.rng)


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_gather_gives_the_gradient_of_the_loss(noise, quantity):
    problem, truth = make_problem((12, 14), frames=6, modes=2, mask=0.1)
    backend, state = ReferenceBackend(problem), perturb(truth)
    gradient = -2 * getattr(backend.gather(state, problem.used, noise=noise), quantity)
    direction, h = getattr(line(state), quantity), 1e-6
    values = []
    for sign in (1, -1):
        moved = double(state)
        array = getattr(moved, quantity)
        array += sign * h * direction
        values.append(backend.gather(moved, problem.used, noise=noise).loss)
    slope = (values[0] - values[1]) / (2 * h)
    assert slope == pytest.approx(np.real(np.vdot(gradient, direction)), rel=1e-5)


@pytest.mark.parametrize("modes", [1, 2])
def test_the_derivatives_along_a_line_are_those_of_the_loss(noise, modes):
    problem, truth = make_problem((12, 14), frames=6, modes=modes, mask=0.1)
    backend, state = ReferenceBackend(problem), perturb(truth)
    direction, lengths, h = line(state), np.array([0.0, 0.4, -0.7]), 1e-5
    found = backend.line_derivatives(state, direction, problem.used, lengths, noise)
    for t, (first, second) in zip(lengths, found, strict=True):
        low, high = (backend.gather(at(state, direction, t + s), problem.used, noise=noise).loss for s in (-h, h))
        assert first == pytest.approx((high - low) / (2 * h), rel=1e-6)
        around = backend.line_derivatives(state, direction, problem.used, np.array([t - h, t + h]), noise)[:, 0]
        assert second == pytest.approx((around[1] - around[0]) / (2 * h), rel=1e-5)


def test_the_derivative_at_the_start_of_a_line_is_that_of_the_gradient(noise):
    problem, truth = make_problem((12, 14), frames=6, modes=2, mask=0.1)
    backend, state = ReferenceBackend(problem), perturb(truth)
    sums, direction = backend.gather(state, problem.used, noise=noise), line(state)
    slope = -2 * (np.vdot(sums.object, direction.object) + np.vdot(sums.probe, direction.probe)).real
    assert backend.line_derivatives(state, direction, problem.used, np.zeros(1), noise)[0, 0] == pytest.approx(
        slope, rel=1e-9
    )


def test_the_noise_models_agree_close_to_the_counts():
    problem, truth = make_problem((16, 16), dtype=np.float32, photons=1e8)
    state = perturb(truth, amount=1e-4)
    sums = [ReferenceBackend(problem).gather(state, problem.used, noise=noise) for noise in NOISE]
    for each in sums[1:]:
        assert each.loss == pytest.approx(sums[0].loss, rel=0.02)
        assert close(each.object, sums[0].object, 0.05)


@pytest.mark.parametrize("case", CASES)
@on_each_number_of_threads
def test_gather_agrees_with_the_reference(shape, case, noise, build):
    problem, truth = make_problem(shape, **case)
    state = perturb(truth)
    expected = ReferenceBackend(problem).gather(state, problem.used, noise=noise)
    found = build(problem, len(state.probe)).gather(single(state), problem.used, noise=noise)
    assert close(found.object, expected.object)
    assert close(found.probe, expected.probe)
    assert close(found.probe_density, expected.probe_density)
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)
    assert found.misfit == pytest.approx(expected.misfit, rel=1e-4)


@pytest.mark.parametrize("case", CASES)
@on_each_number_of_threads
def test_line_derivatives_agree_with_the_reference(shape, case, noise, build):
    problem, truth = make_problem(shape, **case)
    state = perturb(truth)
    direction, lengths = line(state), np.array([0.0, 0.5, 1.5])
    expected = ReferenceBackend(problem).line_derivatives(state, direction, problem.used, lengths, noise)
    one = single(State(direction.object, direction.probe, state.rng))
    backend = build(problem, len(state.probe))
    found = backend.line_derivatives(single(state), Line(one.object, one.probe), problem.used, lengths, noise)
    assert close(found[:, 0], expected[:, 0])
    assert close(found[:, 1], expected[:, 1])


def test_invalid_pixels_do_not_change_the_sums(noise, build):
    problem, truth = make_problem((16, 16), mask=0.2)
    state, direction = single(perturb(truth)), line(truth)
    one = single(State(direction.object, direction.probe, state.rng))
    results = []
    for mark in (65535.0, 65534.0):
        counts = np.where(problem.counts == problem.invalid, np.uint16(mark), problem.counts)
        other = type(problem)(
            counts, mark, problem.pixels, problem.object_shape, problem.used, problem.held_out, problem.photons
        )
        backend = build(other, 1)
        sums = backend.gather(state, problem.used, noise=noise)
        results.append(
            (sums, backend.line_derivatives(state, Line(one.object, one.probe), problem.used, np.ones(1), noise))
        )
    (a, first), (b, second) = results
    assert np.array_equal(a.object, b.object)
    assert a.loss == b.loss
    assert np.array_equal(first, second)
