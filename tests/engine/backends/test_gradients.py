"""Identities of ML, Adam, PIE and mPIE, on the float64 reference and on the CPU."""

import dataclasses
import functools

import numpy as np
import pytest
from problems import correction, double, make_problem, perturb, single

import exitwave
from exitwave.engine.algorithms import adam, ml, momentum, mpie, pie, rpie
from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.backend import NOISE, Line
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.parallel.tiles import WHOLE_OBJECT
from exitwave.engine.recipe import Stage, make_recipe
from exitwave.engine.settings import Update
from exitwave.engine.state import Memory
from exitwave.errors import InputError
from exitwave.simulation import simulate
from exitwave.simulation.presets import preset

GRADIENT_ALGORITHMS = [ml.ALGORITHM, adam.ALGORITHM, pie.ALGORITHM, mpie.ALGORITHM]


def start(**case):
    problem, truth = make_problem((16, 18), frames=30, **case)
    return problem, truth, perturb(truth)


def iterate(algorithm, state, backend, stage, iterations):
    misfits, runner = [], Runner(algorithm, stage)
    for _ in range(iterations):
        misfits.append(runner.iterate(state, backend).error)
        state.iteration += 1
    return misfits


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("build", ["reference", "cpu"])
def test_the_loss_of_ml_never_rises(noise, build):
    problem, _, state = start(dtype=np.float32, modes=2)
    backend = ReferenceBackend(problem) if build == "reference" else CpuBackend(problem, 2, 2)
    state = state if build == "reference" else single(state)
    losses = []
    for _ in range(12):
        losses.append(backend.gather(state, problem.used, noise=noise).loss)
        iterate(ml.ALGORITHM, state, backend, Stage(algorithm="ML", noise=noise), 1)
    assert np.all(np.diff(losses) < 0)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("noise", NOISE)
def test_the_line_search_ends_at_zero_slope(noise):
    problem, _, state = start(mask=0.05)
    backend = ReferenceBackend(problem)
    sums = backend.gather(state, problem.used, noise=noise)
    gradient = Line(sums.object, sums.probe)
    line, product = ml.conjugate_direction(None, gradient, sums, (ml.OBJECT, ml.PROBE), None, WHOLE_OBJECT)
    assert product == pytest.approx(ml.inner(gradient, line, WHOLE_OBJECT))
    derivatives = lambda lengths: backend.line_derivatives(state, line, problem.used, lengths, noise)  # noqa: E731
    slope = derivatives(np.zeros(1))[0, 0]
    for expected in (1.0, 30.0, 1e-3):
        length = ml.first_minimum(derivatives, slope, expected)
        assert abs(derivatives(np.array([length]))[0, 0]) < 2e-3 * abs(slope)


def test_the_line_search_is_exact_for_a_cubic_slope():
    derivatives = lambda t: np.stack([(t - 3) * (t**2 + 1), 3 * t**2 - 6 * t + 1], axis=1)  # noqa: E731
    for expected in (0.01, 1.0, 3.0, 500.0):
        assert ml.first_minimum(derivatives, -3.0, expected) == pytest.approx(3, rel=1e-9)


def test_the_line_search_ends_for_a_function_without_minimum():
    assert ml.first_minimum(lambda t: np.stack([-np.ones_like(t), 0 * t], axis=1), -1.0, 1.0) > 1


def test_ml_needs_fewer_iterations_than_steepest_descent():
    problem, _, state = start(dtype=np.float32)
    stage, backend = Stage(algorithm="ML"), ReferenceBackend(problem)
    conjugate, steepest = double(state), double(state)
    iterate(ml.ALGORITHM, conjugate, backend, stage, 15)
    for _ in range(15):
        iterate(ml.ALGORITHM, steepest, backend, stage, 1)
    errors = [backend.misfit(each, problem.used).error for each in (conjugate, steepest)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize(
    "algorithm", [ml.ALGORITHM, pie.ALGORITHM, mpie.ALGORITHM], ids=lambda algorithm: algorithm.name
)
def test_the_truth_is_a_fixed_point(algorithm):
    problem, truth, _ = start(dtype=np.float32)
    moved = double(truth)
    iterate(algorithm, moved, ReferenceBackend(problem), Stage(algorithm=algorithm.name, iterations=2), 2)
    assert np.linalg.norm(moved.object - truth.object) < 1e-4 * np.linalg.norm(truth.object)
    assert np.linalg.norm(moved.probe - truth.probe) < 1e-4 * np.linalg.norm(truth.probe)


def test_settings_that_an_algorithm_does_not_use_are_refused():
    with pytest.raises(InputError, match="noise"):
        make_recipe({"algorithm": "rPIE", "noise": "Poisson"})
    with pytest.raises(InputError, match="batch"):
        make_recipe({"algorithm": "ML", "batch": 8})


@pytest.mark.parametrize("algorithm", GRADIENT_ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_the_error_falls(algorithm):
    problem, _, state = start(dtype=np.float32, modes=2)
    state, backend = single(state), CpuBackend(problem, 2, 2)
    before = backend.misfit(state, problem.used).error
    iterate(algorithm, state, backend, Stage(algorithm=algorithm.name, iterations=20), 20)
    assert backend.misfit(state, problem.used).error < 0.2 * before


def test_pie_with_single_frames_has_the_weight_of_the_paper():
    problem, _, state = start()
    alpha, backend = 0.1, ReferenceBackend(problem)
    one = dataclasses.replace(problem, used=problem.used[:1])
    stage = Stage(algorithm="PIE", object_update=Update(alpha=alpha), probe_update=Update(enabled=False))
    window, frame_probe, _ = backend.model_frame(state, 0)
    chi = correction(backend, state, 0)
    power, expected = np.abs(frame_probe[0]) ** 2, state.object.copy()
    weight = np.sqrt(power / power.max()) * frame_probe[0].conj() / (power + alpha * power.max())
    expected[window] += weight * chi[0]
    pie.step(state, ReferenceBackend(one), stage, Memory())
    assert np.allclose(state.object, expected, rtol=1e-12)


def test_mpie_without_momentum_is_rpie(monkeypatch):
    monkeypatch.setattr(mpie, "ETA", 0.0)
    problem, _, state = start()
    other, update = double(state), Update(step=0.5, alpha=0.2)
    for each, step, name in ((state, mpie.ALGORITHM, "mPIE"), (other, rpie.ALGORITHM, "rPIE")):
        each.rng = np.random.default_rng(0)
        iterate(
            step, each, ReferenceBackend(problem), Stage(algorithm=name, object_update=update, probe_update=update), 2
        )
    assert np.array_equal(state.object, other.object)
    assert np.array_equal(state.probe, other.probe)


def test_momentum_follows_the_paper():
    value = np.zeros(3, complex)
    carried, eta, t = momentum.Momentum(np.zeros_like(value)), 0.7, 4
    for _ in range(2 * t):
        for each in (value, carried.velocity):  # as `Backend.descend` does
            each += 1
        momentum.apply_momentum(value, carried, eta, t)
    first = t
    second = eta * first + t
    assert np.allclose(value, 2 * t + eta * first + eta * second)


def test_first_steps_of_adam_have_equal_lengths():
    problem, _, state = start()
    state, backend = single(state), CpuBackend(problem, 1, 1)
    gradient = np.exp(1j * np.angle(state.object)) * 5
    before, scale = state.object.copy(), np.sqrt(np.mean(np.abs(state.object) ** 2))
    default = adam.OBJECT
    adam.descend(backend, state.object, gradient.astype(np.complex64), adam.initial_moments(state.object), default, 1.0)
    assert np.allclose(np.abs(state.object - before), default.length * scale, rtol=1e-4)


@functools.cache
def defocused():
    """Return a scan with a starting probe whose defocus is wrong by 15 %."""
    scan, optics = simulate("26-ID", frames=400, detector=128, photons=2e6), preset("26-ID")
    probe, _ = dataclasses.replace(optics, defocus=1.15 * optics.defocus).probe((128, 128))
    return dataclasses.replace(scan, probe=probe[None].astype(np.complex64))


@pytest.mark.parametrize(("algorithm", "iterations"), [("ML", 45), ("Adam", 60), ("mPIE", 40)])
def test_the_truth_is_recovered_from_a_probe_with_a_defocus_error(algorithm, iterations):
    result = exitwave.reconstruct(defocused(), algorithm=algorithm, iterations=iterations)
    assert exitwave.compare(result).error <= 0.08
