"""The declarations of every registered algorithm: what it supports, and what the runner does with its memory."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_problem, model, perturb

import exitwave
from exitwave.engine.algorithms.algorithm import Algorithm, Runner
from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.backend import Misfit
from exitwave.engine.backends.reference.multislice import MultisliceReference
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.fly_scan import Exposures
from exitwave.engine.model.slices import Slices
from exitwave.engine.recipe import Stage, make_recipe
from exitwave.engine.state import QuantityMemory
from exitwave.errors import InputError

SCAN = exitwave.simulate(frames=9, detector=128)
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.all().values(), ids=lambda item: item.name)


def iterate(algorithm, backend, state, iterations, **settings):
    """Do some iterations, and return the error metric before each."""
    stage = Stage(algorithm=algorithm.name, iterations=iterations, **settings)
    runner, errors = Runner(algorithm, stage), []
    for state.iteration in range(iterations):
        errors.append(runner.iterate(state, backend).error)
    return errors


class CountingReference(ReferenceBackend):
    """The reference backend, with the number of calls of two passes."""

    updates_after_every_frame = 0
    stored_waves = 0

    def sequential(self, *arguments):
        self.updates_after_every_frame += 1
        return super().sequential(*arguments)

    def allocate_waves(self, shape):
        self.stored_waves += 1
        return super().allocate_waves(shape)


@every_algorithm
def test_processes_and_keeps_waves_describe_the_passes_that_an_algorithm_uses(algorithm):
    problem, truth = make_problem(frames=9)
    backend = CountingReference(problem)
    iterate(algorithm, backend, perturb(truth), 2)
    assert algorithm.processes == (backend.updates_after_every_frame == 0)
    assert algorithm.keeps_waves == (backend.stored_waves > 0)


@every_algorithm
def test_an_algorithm_that_keeps_waves_refuses_refined_positions(algorithm):
    settings = {"algorithm": algorithm.name, "position_update": True}
    if algorithm.keeps_waves:
        with pytest.raises(InputError, match="stores exit waves, so that positions cannot be refined"):
            make_recipe(settings)
    else:
        assert make_recipe(settings).stages[0].refinement("position_update") is not None


@every_algorithm
def test_refines_positions_means_that_the_iteration_itself_moves_them(algorithm):
    problem, truth = make_problem(frames=9, margin=3)
    state = perturb(truth)
    if not algorithm.keeps_waves:
        iterate(algorithm, ReferenceBackend(problem), state, 4, position_update={"schedule": {"start": 0}})
    assert algorithm.refines_positions == (state.positions is not None)


def thick_problem():
    """Return a problem of two slices with exact counts, and its state."""
    problem, truth = make_problem((16, 16), frames=20, margin=4, subpixel=False)
    frequency = np.fft.fftfreq(16)
    slices = Slices(2, -25 * (frequency[:, None] ** 2 + frequency**2), (1.0, 1.0))
    phase = np.random.default_rng(7).uniform(-0.3, 0.3, truth.object.shape)
    truth.object = np.stack([truth.object, np.exp(1j * phase)])
    counts = []
    for row, column in problem.windows()[0]:
        first, second = truth.object[:, row : row + 16, column : column + 16]
        entering = np.fft.ifft2(np.fft.fft2(truth.probe * first) * np.exp(1j * slices.phase))
        counts.append((np.abs(np.fft.fft2(entering * second, norm="ortho")) ** 2).sum(0))
    return dataclasses.replace(problem, counts=np.float32(counts), invalid=-1.0, slices=slices), truth


def fly_scan_problem():
    """Return a problem of three exposures in a frame with exact counts, and its state."""
    problem, truth = make_problem((16, 16), frames=20, margin=4)
    offsets = np.random.default_rng(4).uniform(-1.5, 1.5, (len(problem.counts), 3, 2))
    shifted = [dataclasses.replace(problem, pixels=problem.pixels + offsets[:, e]) for e in range(3)]
    counts = np.mean([model(exposure, truth) for exposure in shifted], axis=0)
    return dataclasses.replace(problem, counts=np.float32(counts), invalid=-1.0, exposures=Exposures(offsets)), truth


def test_the_problems_of_the_tests_are_exact():
    for (problem, truth), backend in ((thick_problem(), MultisliceReference), (fly_scan_problem(), ReferenceBackend)):
        assert backend(problem).misfit(truth, problem.used).error < 1e-10


@every_algorithm
def test_slices_means_that_the_error_falls_for_a_thick_sample(algorithm):
    problem, truth = thick_problem()
    if algorithm.slices:
        errors = iterate(algorithm, MultisliceReference(problem), perturb(truth), 5)
        assert errors[-1] < 0.5 * errors[0]
    else:
        with pytest.raises(InputError, match="does not support several slices"):
            exitwave.reconstruct(SCAN, algorithm=algorithm.name, slices=2, device="cpu")


@every_algorithm
def test_fly_scan_means_that_the_error_falls_for_frames_of_several_exposures(algorithm):
    problem, truth = fly_scan_problem()
    if algorithm.fly_scan:
        errors = iterate(algorithm, ReferenceBackend(problem), perturb(truth), 5)
        assert errors[-1] < 0.5 * errors[0]
    else:
        with pytest.raises(InputError, match="does not support fly scans"):
            exitwave.reconstruct(SCAN, algorithm=algorithm.name, fly={"exposures": 3}, device="cpu")


@pytest.mark.parametrize("flag", ["slices", "fly_scan", "processes", "keeps_waves", "refines_positions"])
def test_messages_list_the_algorithms_with_a_flag(flag):
    names = [name for name, algorithm in ALGORITHMS.all().items() if getattr(algorithm, flag)]
    assert supporting(flag) == ", ".join(names)
    others = [name for name in names if not ALGORITHMS.get(name).refines_positions]
    assert supporting(flag, without="refines_positions") == ", ".join(others)


def test_the_memory_receives_the_last_updates_and_starts_again_after_a_restart():
    received, used = [], []

    class RecordingMemory(QuantityMemory):
        def resume(self, before, now):
            received.append((before, now))
            super().resume(before, now)

    def step(state, backend, stage, memory):
        used.append((memory.object, memory.probe))
        memory.object, memory.probe = state.iteration, state.iteration
        return Misfit(0.0, 1.0)

    problem, truth = make_problem(frames=3)
    state, stage = double(truth), Stage(probe_update={"schedule": {"stop": 2}})
    runner = Runner(Algorithm("test", step, memory=RecordingMemory), stage)
    for state.iteration in range(5):
        if state.iteration == 4:
            state.restart()
        runner.iterate(state, ReferenceBackend(problem))
    both, only_object = frozenset({"object", "probe"}), frozenset({"object"})
    assert [before for before, _ in received] == [frozenset(), both, both, only_object, frozenset()]
    assert [now for _, now in received] == [both, both, only_object, only_object, only_object]
    assert used == [(None, None), (0, 0), (1, 1), (2, None), (None, None)]
