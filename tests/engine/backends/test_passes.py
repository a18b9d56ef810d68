"""Every pass of the backends against the reference backend, and identities of the reference."""

import numpy as np
import pytest
from problems import double, make_problem, model, on_each_number_of_threads, perturb, single

from exitwave.engine.backend import Step
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend


@pytest.fixture(params=[(16, 16), (15, 20)], ids=["square", "odd"])
def shape(request):
    return request.param


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


CASES = [
    {"modes": 1, "subpixel": False},
    {"modes": 1, "subpixel": True, "mask": 0.1},
    {"modes": 3, "subpixel": True, "dtype": np.float32},
]


@pytest.mark.parametrize("case", CASES)
@on_each_number_of_threads
def test_gather_agrees_with_the_reference(shape, case, build):
    problem, truth = make_problem(shape, **case)
    state = perturb(truth)
    expected = ReferenceBackend(problem).gather(state, problem.used)
    found = build(problem, len(state.probe)).gather(single(state), problem.used)
    assert close(found.object, expected.object)
    assert close(found.probe_density, expected.probe_density)
    assert close(found.probe, expected.probe)
    assert close(found.object_density, expected.object_density)
    assert found.misfit == pytest.approx(expected.misfit, rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_sequential_agrees_with_the_reference(shape, case, build):
    problem, truth = make_problem(shape, **case)
    start = perturb(truth)
    expected, found = double(start), single(start)
    steps = Step(0.9, 0.3), Step(0.5, 1.0)
    a = ReferenceBackend(problem).sequential(expected, problem.used[::-1], *steps)
    b = build(problem, len(start.probe)).sequential(found, problem.used[::-1].copy(), *steps)
    assert close(found.object, expected.object)
    assert close(found.probe, expected.probe)
    assert b == pytest.approx(a, rel=1e-4)


def test_descend_agrees_with_the_reference(shape, build):
    problem, state = make_problem(shape, modes=2)
    backend, reference = build(problem, 2), ReferenceBackend(problem)
    sums = reference.gather(perturb(state), problem.used)
    expected, found = double(state), single(state)
    reference.descend(expected.probe, sums.probe, sums.object_density, Step(0.7, 0.2))
    velocity = found.probe.copy()
    parts = sums.probe.astype(np.complex64), sums.object_density.astype(np.float32)
    backend.descend(found.probe, *parts, Step(0.7, 0.2), velocity)
    assert np.array_equal(velocity, found.probe)
    backend.descend(velocity, *parts, Step(0.7, 0.2))
    assert close(found.probe, expected.probe, 1e-5)


def test_the_number_of_threads_changes_only_the_rounding():
    problem, truth = make_problem((32, 32), frames=20, modes=2)
    state = single(perturb(truth))
    sums = [CpuBackend(problem, 2, threads).gather(state, problem.used) for threads in (1, 2, 2)]
    assert close(sums[0].object, sums[1].object, 1e-6)
    assert np.array_equal(sums[1].object, sums[2].object)
    assert np.array_equal(sums[1].probe, sums[2].probe)


def test_the_exact_state_is_a_fixed_point():
    problem, state = make_problem((16, 20), dtype=np.float32, modes=2)
    sums = ReferenceBackend(problem).gather(state, problem.used)
    assert np.abs(sums.object).max() < 1e-4 * np.abs(sums.probe_density).max()
    assert sums.misfit.error < 1e-10


def test_energy_is_conserved():
    problem, state = make_problem((16, 20), modes=2)
    obj = np.ones_like(state.object)
    state.object = obj
    assert model(problem, state).sum((1, 2)) == pytest.approx((np.abs(state.probe) ** 2).sum())


@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_gather_is_the_gradient_of_the_misfit(quantity):
    """sum conj(P) chi is minus the derivative of sum (sqrt I - sqrt model)^2 with respect to conj(O)."""
    problem, truth = make_problem((12, 14), frames=6, modes=2, mask=0.1)
    backend, state = ReferenceBackend(problem), perturb(truth)
    gradient = -2 * getattr(backend.gather(state, problem.used), quantity)
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(gradient.shape) + 1j * rng.standard_normal(gradient.shape)
    values, h = [], 1e-6
    for sign in (1, -1):
        moved = double(state)
        array = getattr(moved, quantity)
        array += sign * h * direction
        values.append(backend.misfit(moved, problem.used).difference)
    slope = (values[0] - values[1]) / (2 * h)
    assert slope == pytest.approx(np.real(np.vdot(gradient, direction)), rel=1e-5)


def test_invalid_pixels_change_nothing():
    problem, truth = make_problem((16, 16), mask=0.2)
    state = perturb(truth)
    valid = problem.counts != problem.invalid
    moved = np.where(valid, problem.counts, np.float32(-1)).astype(np.float32)
    other = ReferenceBackend(
        type(problem)(
            moved, -1.0, problem.pixels, problem.object_shape, problem.used, problem.held_out, problem.photons
        )
    )
    a, b = ReferenceBackend(problem).gather(state, problem.used), other.gather(state, problem.used)
    assert np.array_equal(a.object, b.object)


@pytest.mark.parametrize("change", [lambda a: a.astype(complex), lambda a: a[:-1], lambda a: a.T.copy().T])
def test_arrays_of_another_type_or_layout_are_refused(change):
    problem, state = make_problem((16, 20))
    wrong = single(state)
    wrong.object = change(wrong.object)
    with pytest.raises(TypeError, match="contiguous complex64"):
        CpuBackend(problem, 1, 1).gather(wrong, problem.used)
