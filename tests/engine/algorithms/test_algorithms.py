"""Identities of the algorithms, on the float64 reference."""

import dataclasses

import numpy as np
import pytest
from problems import ON_TENSORS, double, make_problem, perturb, single

from exitwave.engine.algorithms import epie, rpie
from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.algorithms.step_decay import shortened
from exitwave.engine.backend import NOISE, Step, Sums
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.create import move_to_backend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.recipe import Stage
from exitwave.engine.settings import Update
from exitwave.engine.state import Memory, State

SETTINGS = [{"algorithm": each} for each in ALGORITHMS.all()]
SETTINGS += [{"algorithm": "LSQ-ML", "batching": batching} for batching in ("sparse", "compact")]
SETTINGS += [{"algorithm": each, "noise": noise} for each in ("ML", "Adam") for noise in NOISE[1:]]
ALL = {"batch": 30}
"""A batch of all frames that `start` has."""


def name(settings):
    """What pytest calls a case."""
    return " ".join(value for value in settings.values() if isinstance(value, str))


every = pytest.mark.parametrize("settings", SETTINGS, ids=name)


def start(**case):
    problem, truth = make_problem((16, 18), frames=30, **case)
    return problem, truth, perturb(truth)


def iterate(state, backend, settings, iterations=4):
    """Do some iterations, the last two of them settling."""
    stage, state.rng = Stage(**settings, iterations=iterations), np.random.default_rng(0)
    runner = Runner(ALGORITHMS.get(stage.algorithm), stage)
    for state.iteration in range(iterations):
        state.decaying = state.iteration >= iterations - 2
        runner.iterate(state, backend)


def close(a, b):
    # DM and RAAR keep their waves in single precision
    return np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("modes", [1, 2])
def test_rpie_with_single_frames_and_alpha_one_is_epie(modes):
    problem, _, state = start(modes=modes, mask=0.05)
    stage = Stage(batch=1, object_update=Update(alpha=1, step=0.8), probe_update=Update(alpha=1, step=0.6))
    first, second = double(state), double(state)
    # the reference's largest illumination is that of one frame, as batches of one do not overlap
    epie.step(first, ReferenceBackend(problem), stage, Memory())
    rpie.step(second, ReferenceBackend(problem), stage, Memory())
    assert np.allclose(first.object, second.object, rtol=1e-9, atol=1e-12)
    assert np.allclose(first.probe, second.probe, rtol=1e-9, atol=1e-9)


@every
def test_scaling_the_object_against_the_probe_changes_nothing(settings):
    problem, _, state = start(modes=2)
    scaled = State(state.object * (2 - 1j), state.probe / (2 - 1j), state.rng)
    for each in (state, scaled):
        iterate(each, ReferenceBackend(problem), settings)
    assert close(scaled.object / (2 - 1j), state.object)
    assert close(scaled.probe * (2 - 1j), state.probe)


@every
def test_opposite_ramps_of_object_and_probe_change_nothing(settings):
    """With whole-pixel positions, and a ramp that the probe's array closes: a frame's wave only gets another phase."""
    problem, _, state = start(modes=2, subpixel=False)
    ramps = [
        np.exp(2j * np.pi * (3 * r / 16 - 2 * c / 18)) for r, c in map(np.indices, (problem.object_shape, (16, 18)))
    ]
    tilted = State(state.object * ramps[0], state.probe / ramps[1], state.rng)
    for each in (state, tilted):
        iterate(each, ReferenceBackend(problem), settings)
    assert close(tilted.object / ramps[0], state.object)
    assert close(tilted.probe * ramps[1], state.probe)


@pytest.mark.parametrize("settings", [each | ALL for each in SETTINGS if each["algorithm"] != "ePIE"], ids=name)
def test_the_order_of_the_frames_does_not_matter_to_a_full_batch(settings):
    problem, _, state = start(modes=2, mask=0.05)
    settings = {
        key: value
        for key, value in settings.items()
        if key != "batch" or "batch" in ALGORITHMS.get(settings["algorithm"]).settings
    }
    other, used = double(state), np.random.default_rng(9).permutation(problem.used)
    iterate(state, ReferenceBackend(problem), settings)
    iterate(other, ReferenceBackend(dataclasses.replace(problem, used=used)), settings)
    assert close(other.object, state.object)
    assert close(other.probe, state.probe)


@every
@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_a_schedule_says_in_which_iterations_a_quantity_changes(settings, quantity):
    problem, _, state = start(modes=2)
    state, backend, changed = single(state), CpuBackend(problem, 2, 2), []
    schedule = {"schedule": {"start": 1, "stop": 6, "every": 2}}
    stage = Stage(**settings, **{f"{quantity}_update": schedule}, iterations=7)
    runner = Runner(ALGORITHMS.get(stage.algorithm), stage)
    for state.iteration in range(7):
        before = getattr(state, quantity).copy()
        runner.iterate(state, backend)
        changed.append(not np.array_equal(getattr(state, quantity), before))
    assert changed == [False, True, False, True, False, True, False]


@every
def test_what_is_switched_off_keeps_its_bits(settings):
    problem, _, state = start(modes=2, mask=0.05)
    for fixed, free in (("object", "probe"), ("probe", "object")):
        moved = single(state)
        before = getattr(moved, fixed).copy(), getattr(moved, free).copy()
        iterate(moved, CpuBackend(problem, 2, 2), settings | {f"{fixed}_update": {"enabled": False}})
        assert np.array_equal(getattr(moved, fixed), before[0])
        assert not np.array_equal(getattr(moved, free), before[1])


@every
def test_a_seed_and_a_number_of_threads_give_the_same_bits(settings):
    problem, _, state = start(modes=2)
    runs = [single(state), single(state)]
    for each in runs:
        iterate(each, CpuBackend(problem, 2, 2), settings)
    assert np.array_equal(runs[0].object, runs[1].object)
    assert np.array_equal(runs[0].probe, runs[1].probe)


@every
@pytest.mark.parametrize("on", ON_TENSORS)
def test_tensors_end_where_arrays_end(settings, on):
    problem, _, state = start(modes=2, mask=0.05)
    arrays, tensors = single(state), single(state)
    iterate(arrays, CpuBackend(problem, 2, 1), settings)
    backend = on(problem, 2)
    move_to_backend(tensors, backend)
    iterate(tensors, backend, settings)
    assert not isinstance(tensors.object, np.ndarray)
    for a, b in ((tensors.object, arrays.object), (tensors.probe, arrays.probe)):
        assert np.linalg.norm(a.cpu().numpy() - b) < 1e-3 * np.linalg.norm(b)


class Forgetful(CpuBackend):
    """A backend that takes the arrays of its sums back in its next pass."""

    arrays_on_host: Sums | None = None

    def gather(self, *arguments, **settings):
        return self._lend(super().gather(*arguments, **settings))

    def project(self, *arguments, **settings):
        return self._lend(super().project(*arguments, **settings))

    def _lend(self, sums):
        names = "object", "probe_density", "probe", "object_density"
        for name in names if self.arrays_on_host else ():
            getattr(self.arrays_on_host, name).fill(np.nan)
        self.arrays_on_host = dataclasses.replace(sums, **{name: getattr(sums, name).copy() for name in names})
        return self.arrays_on_host


@every
def test_no_algorithm_keeps_the_arrays_of_the_backend(settings):
    problem, _, state = start(modes=2)
    runs = [single(state), single(state)]
    for each, build in zip(runs, (CpuBackend, Forgetful), strict=True):
        iterate(each, build(problem, 2, 1), settings)
    assert np.array_equal(runs[0].object, runs[1].object)
    assert np.array_equal(runs[0].probe, runs[1].probe)


def test_the_steps_of_a_settling_stage_are_those_of_a_running_mean():
    state, step = State(np.ones(1), np.ones(1), np.random.default_rng(0)), Step(0.6, 0.1)
    lengths = []
    for state.iteration in range(6):
        state.decaying = state.iteration >= 2
        lengths.append([shortened(step, state).length for _ in range(2)])
    assert np.allclose(lengths, 0.6 / np.array([[1, 1, 2, 3, 4, 5]]).T)
    assert shortened(None, state) is None


@pytest.mark.parametrize("step", [epie.step, rpie.step])
def test_the_truth_stays_where_it_is(step):
    problem, truth, _ = start(dtype=np.float32)
    moved = double(truth)
    step(moved, ReferenceBackend(problem), Stage(), Memory())
    assert np.linalg.norm(moved.object - truth.object) < 1e-4 * np.linalg.norm(truth.object)
    assert np.linalg.norm(moved.probe - truth.probe) < 1e-4 * np.linalg.norm(truth.probe)


def test_epie_with_the_known_probe_comes_closer_every_iteration():
    problem, truth, state = start(dtype=np.float32)
    state.probe = truth.probe.copy()
    stage = Stage(algorithm="ePIE", probe_update=Update(enabled=False))
    backend = ReferenceBackend(problem)
    errors = []
    for _ in range(6):
        epie.step(state, backend, stage, Memory())
        errors.append(backend.misfit(state, problem.used).error)
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.2 * errors[0]
