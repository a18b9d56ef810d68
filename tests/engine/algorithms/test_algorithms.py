"""Identities that hold for every algorithm."""

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

SETTINGS = [{"algorithm": name} for name in ALGORITHMS.all()]
SETTINGS += [{"algorithm": "LSQ-ML", "batching": batching} for batching in ("sparse", "compact")]
SETTINGS += [{"algorithm": name, "noise": noise} for name in ("ML", "Adam") for noise in NOISE[1:]]
FULL_BATCH = {"batch": 30}
"""One batch of all frames of `start`."""


def case_name(settings):
    """Return the name of a case for pytest."""
    return " ".join(value for value in settings.values() if isinstance(value, str))


all_settings = pytest.mark.parametrize("settings", SETTINGS, ids=case_name)


def start(**case):
    problem, truth = make_problem((16, 18), frames=30, **case)
    return problem, truth, perturb(truth)


def iterate(state, backend, settings, iterations=4):
    """Do some iterations, the last two of them with the step decay."""
    stage, state.rng = Stage(**settings, iterations=iterations), np.random.default_rng(0)
    runner = Runner(ALGORITHMS.get(stage.algorithm), stage)
    for state.iteration in range(iterations):
        state.decaying = state.iteration >= iterations - 2
        runner.iterate(state, backend)


def close(a, b):
    # DM and RAAR store their exit waves in single precision
    return np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("modes", [1, 2])
def test_rpie_with_single_frames_and_alpha_one_is_epie(modes):
    problem, _, state = start(modes=modes, mask=0.05)
    stage = Stage(batch=1, object_update=Update(alpha=1, step=0.8), probe_update=Update(alpha=1, step=0.6))
    first, second = double(state), double(state)
    # batches of one frame do not overlap, so that the largest probe density is that of one frame
    epie.step(first, ReferenceBackend(problem), stage, Memory())
    rpie.step(second, ReferenceBackend(problem), stage, Memory())
    assert np.allclose(first.object, second.object, rtol=1e-9, atol=1e-12)
    assert np.allclose(first.probe, second.probe, rtol=1e-9, atol=1e-9)


@all_settings
def test_scaling_the_object_against_the_probe_changes_nothing(settings):
    problem, _, state = start(modes=2)
    scaled = State(state.object * (2 - 1j), state.probe / (2 - 1j), state.rng)
    for each in (state, scaled):
        iterate(each, ReferenceBackend(problem), settings)
    assert close(scaled.object / (2 - 1j), state.object)
    assert close(scaled.probe * (2 - 1j), state.probe)


@all_settings
def test_opposite_phase_ramps_of_object_and_probe_change_nothing(settings):
    """With whole-pixel positions and a periodic ramp, the exit wave of a frame changes only by a constant phase."""
    problem, _, state = start(modes=2, subpixel=False)
    ramps = [
        np.exp(2j * np.pi * (3 * r / 16 - 2 * c / 18)) for r, c in map(np.indices, (problem.object_shape, (16, 18)))
    ]
    ramped = State(state.object * ramps[0], state.probe / ramps[1], state.rng)
    for each in (state, ramped):
        iterate(each, ReferenceBackend(problem), settings)
    assert close(ramped.object / ramps[0], state.object)
    assert close(ramped.probe * ramps[1], state.probe)


@pytest.mark.parametrize(
    "settings", [settings | FULL_BATCH for settings in SETTINGS if settings["algorithm"] != "ePIE"], ids=case_name
)
def test_a_full_batch_does_not_depend_on_the_order_of_the_frames(settings):
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


@all_settings
@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_a_quantity_changes_only_in_the_iterations_of_its_schedule(settings, quantity):
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


@all_settings
def test_a_disabled_quantity_does_not_change(settings):
    problem, _, state = start(modes=2, mask=0.05)
    for fixed, free in (("object", "probe"), ("probe", "object")):
        moved = single(state)
        before = getattr(moved, fixed).copy(), getattr(moved, free).copy()
        iterate(moved, CpuBackend(problem, 2, 2), settings | {f"{fixed}_update": {"enabled": False}})
        assert np.array_equal(getattr(moved, fixed), before[0])
        assert not np.array_equal(getattr(moved, free), before[1])


@all_settings
def test_results_are_identical_for_the_same_seed_and_number_of_threads(settings):
    problem, _, state = start(modes=2)
    runs = [single(state), single(state)]
    for each in runs:
        iterate(each, CpuBackend(problem, 2, 2), settings)
    assert np.array_equal(runs[0].object, runs[1].object)
    assert np.array_equal(runs[0].probe, runs[1].probe)


@all_settings
@pytest.mark.parametrize("build", ON_TENSORS)
def test_tensors_give_the_results_of_arrays(settings, build):
    problem, _, state = start(modes=2, mask=0.05)
    arrays, tensors = single(state), single(state)
    iterate(arrays, CpuBackend(problem, 2, 1), settings)
    backend = build(problem, 2)
    move_to_backend(tensors, backend)
    iterate(tensors, backend, settings)
    assert not isinstance(tensors.object, np.ndarray)
    for a, b in ((tensors.object, arrays.object), (tensors.probe, arrays.probe)):
        assert np.linalg.norm(a.cpu().numpy() - b) < 1e-3 * np.linalg.norm(b)


class OverwritingBackend(CpuBackend):
    """A backend that overwrites the arrays of its sums in its next pass."""

    last_sums: Sums | None = None

    def gather(self, *arguments, **settings):
        return self._overwrite_last(super().gather(*arguments, **settings))

    def project(self, *arguments, **settings):
        return self._overwrite_last(super().project(*arguments, **settings))

    def _overwrite_last(self, sums):
        names = "object", "probe_density", "probe", "object_density"
        for name in names if self.last_sums else ():
            getattr(self.last_sums, name).fill(np.nan)
        self.last_sums = dataclasses.replace(sums, **{name: getattr(sums, name).copy() for name in names})
        return self.last_sums


@all_settings
def test_no_algorithm_uses_the_sums_of_an_earlier_pass(settings):
    problem, _, state = start(modes=2)
    runs = [single(state), single(state)]
    for run, backend in zip(runs, (CpuBackend, OverwritingBackend), strict=True):
        iterate(run, backend(problem, 2, 1), settings)
    assert np.array_equal(runs[0].object, runs[1].object)
    assert np.array_equal(runs[0].probe, runs[1].probe)


def test_steps_of_the_decay_are_those_of_a_running_mean():
    state, step = State(np.ones(1), np.ones(1), np.random.default_rng(0)), Step(0.6, 0.1)
    lengths = []
    for state.iteration in range(6):
        state.decaying = state.iteration >= 2
        lengths.append([shortened(step, state).length for _ in range(2)])
    assert np.allclose(lengths, 0.6 / np.array([[1, 1, 2, 3, 4, 5]]).T)
    assert shortened(None, state) is None


@pytest.mark.parametrize("step", [epie.step, rpie.step])
def test_the_truth_is_a_fixed_point(step):
    problem, truth, _ = start(dtype=np.float32)
    moved = double(truth)
    step(moved, ReferenceBackend(problem), Stage(), Memory())
    assert np.linalg.norm(moved.object - truth.object) < 1e-4 * np.linalg.norm(truth.object)
    assert np.linalg.norm(moved.probe - truth.probe) < 1e-4 * np.linalg.norm(truth.probe)


def test_the_error_of_epie_with_a_known_probe_falls_in_every_iteration():
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
