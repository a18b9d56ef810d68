"""LSQ-ML: lengths of the steps, invariances, and recovery of a known truth."""

import dataclasses

import numpy as np
import pytest
from problems import correction, double, make_problem, on_each_number_of_threads, perturb, single
from scipy.optimize import minimize

import exitwave
from exitwave.engine.algorithms import lsqml
from exitwave.engine.algorithms.algorithm import Runner
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.recipe import Stage, make_recipe
from exitwave.engine.settings import Schedule, Update
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.simulation.presets import preset

GROUPINGS = ["random", "sparse", "compact"]
CASES = [
    {"modes": 1, "subpixel": False},
    {"modes": 1, "subpixel": True, "mask": 0.1},
    {"modes": 3, "subpixel": True, "dtype": np.float32},
]


def start(shape=(16, 18), **case):
    problem, truth = make_problem(shape, frames=30, **case)
    return problem, truth, perturb(truth)


def stage(**settings):
    return Stage(algorithm="LSQ-ML", **settings)


def directions(backend, state):
    """Return the sums over all frames, and a change of the object and one of the probe."""
    sums = backend.gather(state, backend.problem.used)
    return sums, sums.object / sums.probe_density.max(), sums.probe / sums.object_density.max()


def changes(backend, state, d_object, d_probe):
    """Yield the change of every frame's exit waves by the change of the object, and by that of the probe."""
    for j in backend.problem.used:
        window, frame_probe, *_ = backend.model_frame(state, j)
        yield (
            window,
            frame_probe,
            d_object[window] * frame_probe,
            backend.to_frame(state, j, d_probe) * state.object[window],
        )


def run(backend, state, settings, iterations=1):
    runner = Runner(lsqml.ALGORITHM, settings)
    for state.iteration in range(iterations):
        misfit = runner.iterate(state, backend)
    return misfit


@pytest.mark.parametrize("shape", [(16, 16), (15, 20)], ids=["square", "odd"])
@pytest.mark.parametrize("case", CASES)
@on_each_number_of_threads
def test_the_inner_products_agree_with_the_reference(shape, case, build):
    problem, _, state = start(shape, **case)
    reference, backend = ReferenceBackend(problem), build(problem, len(state.probe))
    sums, *line = directions(reference, state)
    expected = lsqml.inner_products(state, reference, problem.used, sums, *line)
    found = backend.cross_term(single(state), problem.used[::2], *(each.astype("c8") for each in line))
    assert found == pytest.approx(reference.cross_term(state, problem.used[::2], *line), rel=1e-4)
    mine = backend.gather(single(state), problem.used)
    found = lsqml.inner_products(single(state), backend, problem.used, mine, *(each.astype("c8") for each in line))
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_inner_products_are_sums_over_the_exit_waves(monkeypatch):
    """The sums are exact for whole-pixel positions; otherwise two of the five are taken at the nearest pixel."""
    monkeypatch.setattr(lsqml, "CROSS_TERM_FRAMES", 30)
    for subpixel, tolerance in ((False, 1e-9), (True, 0.05)):
        problem, _, state = start(modes=2, mask=0.05, subpixel=subpixel)
        backend = ReferenceBackend(problem)
        sums, *line = directions(backend, state)
        found = lsqml.inner_products(state, backend, problem.used, sums, *line)
        expected = np.zeros(5)
        for j, (_, _, a, b) in zip(problem.used, changes(backend, state, *line), strict=True):
            chi = correction(backend, state, j)
            pairs = (a, a), (b, b), (a, b), (a, chi), (b, chi)
            expected += [np.vdot(x, y).real for x, y in pairs]
        assert found == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_lengths_are_those_of_a_brute_force_minimisation(damping, monkeypatch):
    monkeypatch.setattr(lsqml, "CROSS_TERM_FRAMES", 30)
    problem, _, state = start(modes=2, mask=0.05, subpixel=False)
    backend = ReferenceBackend(problem)
    sums, *line = directions(backend, state)
    a, b = (np.array(each) for each in zip(*((a, b) for *_, a, b in changes(backend, state, *line)), strict=True))
    chi = np.array([correction(backend, state, j) for j in problem.used])
    weight = damping * (np.linalg.norm(a) ** 2 + np.linalg.norm(b) ** 2) / 2

    def loss(x):
        return np.linalg.norm(chi - x[0] * a - x[1] * b) ** 2 + weight * (x[0] ** 2 + x[1] ** 2)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}).x
    assert best.min() > 0
    products = lsqml.inner_products(state, backend, problem.used, sums, *line)
    assert lsqml.solve(*products, damping) == pytest.approx(best, 1e-4)


@pytest.mark.parametrize("which", [0, 1])
def test_a_change_that_equals_the_correction_has_the_length_one(which, monkeypatch):
    monkeypatch.setattr(lsqml, "CROSS_TERM_FRAMES", 30)
    problem, _, state = start(modes=2, subpixel=False)
    backend, rng = ReferenceBackend(problem), np.random.default_rng(5)
    line = [rng.standard_normal((*each.shape, 2)) @ [1, 1j] for each in (state.object, state.probe)]
    sums = backend.gather(state, problem.used)
    sums.object[:], sums.probe[:] = 0, 0
    for window, frame_probe, *both in changes(backend, state, *line):
        sums.object[window] += (frame_probe.conj() * both[which]).sum(0)
        sums.probe[:] += state.object[window].conj() * both[which]
    lengths = lsqml.solve(*lsqml.inner_products(state, backend, problem.used, sums, *line), damping=0)
    assert np.allclose(lengths, np.eye(2)[which], atol=1e-9)


def test_lengths_are_finite_and_not_negative():
    rows = [[0.0, 0, 0, 0, 0], [2, 0, 0, -3, 0], [2, 0, 0, 3, 0], [1, 1, 1, 1, 1]]
    assert np.allclose([lsqml.solve(*row, damping=0.1) for row in rows[:3]], [[0, 0], [0, 0], [3 / 2.1, 0]])
    assert np.isfinite([lsqml.solve(*row, damping=0.0) for row in rows]).all()


def test_one_batch_makes_all_groupings_equal(monkeypatch):
    monkeypatch.setattr(lsqml, "CROSS_TERM_FRAMES", 30)
    problem, _, state = start(modes=2, mask=0.05)
    found = []
    for grouping in GROUPINGS:
        moved, steps = double(state), Update(step=0.9, alpha=0.1)
        run(
            ReferenceBackend(problem),
            moved,
            stage(batching=grouping, batch=30, object_update=steps, probe_update=steps),
        )
        found.append(moved)
    for other in found[1:]:
        assert np.allclose(other.object, found[0].object, rtol=1e-9, atol=1e-12)
        assert np.allclose(other.probe, found[0].probe, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_the_truth_is_a_fixed_point(grouping):
    problem, truth, _ = start(dtype=np.float32, modes=2)
    moved = double(truth)
    run(ReferenceBackend(problem), moved, stage(batching=grouping), iterations=2)
    assert np.linalg.norm(moved.object - truth.object) < 1e-4 * np.linalg.norm(truth.object)
    assert np.linalg.norm(moved.probe - truth.probe) < 1e-4 * np.linalg.norm(truth.probe)


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_whole_iterations_agree_with_the_reference(grouping):
    problem, _, state = start(modes=3, mask=0.05)
    expected, found = double(state), single(state)
    settings = stage(batching=grouping, batch=11)
    a = run(ReferenceBackend(problem), expected, settings, iterations=3)
    b = run(CpuBackend(problem, 3, 2), found, settings, iterations=3)
    assert np.linalg.norm(found.object - expected.object) < 1e-4 * np.linalg.norm(expected.object)
    assert np.linalg.norm(found.probe - expected.probe) < 1e-4 * np.linalg.norm(expected.probe)
    assert b == pytest.approx(a, rel=1e-4)


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("quantity", ["object", "probe"])
def test_a_quantity_does_not_change_outside_its_schedule(grouping, quantity):
    problem, _, state = start(modes=2)
    state = single(state)
    before = getattr(state, quantity).copy()
    backend = CpuBackend(problem, 2, 2)
    settings = {f"{quantity}_update": Update(schedule=Schedule(start=2))}
    run(backend, state, stage(batching=grouping, **settings), iterations=2)
    assert np.array_equal(getattr(state, quantity), before)
    other = {"object": "probe", "probe": "object"}[quantity]
    assert not np.array_equal(getattr(state, other), getattr(single(start(modes=2)[2]), other))
    state.iteration = 2
    lsqml.step(state, backend, stage(batching=grouping, **settings), lsqml.LsqMlMemory())
    assert not np.array_equal(getattr(state, quantity), before)


def test_without_updates_only_the_misfit_is_computed():
    problem, _, state = start()
    moved, off = single(state), Update(enabled=False)
    backend = CpuBackend(problem, 1, 1)
    found = lsqml.step(moved, backend, stage(object_update=off, probe_update=off), lsqml.LsqMlMemory())
    assert found == backend.misfit(single(state), problem.used)
    assert np.array_equal(moved.object, single(state).object)


def test_momentum_saves_more_than_half_of_the_iterations():
    """Compare with the same steps without momentum: the memory is reset after every iteration."""
    problem, truth = make_problem((24, 24), frames=60, dtype=np.float32)
    backend, settings = CpuBackend(problem, 1, 1), stage(batching="compact")
    errors = {}
    for momentum in (True, False):
        state, errors[momentum], memory = single(perturb(truth, amount=0.3)), [], lsqml.LsqMlMemory()
        for state.iteration in range(40 if momentum else 80):
            errors[momentum].append(lsqml.step(state, backend, settings, memory).error)
            if not momentum:
                memory.restart()
    assert min(errors[True]) < min(errors[False])


@pytest.mark.parametrize("grouping", ["compact", "random"])
def test_momentum_starts_again_after_a_gap(grouping):
    problem, _, state = start()
    gap = {"schedule": {"start": 0, "stop": 3}}, {"schedule": {"start": 9}}
    backend = ReferenceBackend(problem)
    settings = stage(batching=grouping, object_update=gap[0], probe_update=gap[1])
    runner = Runner(lsqml.ALGORITHM, settings)
    for state.iteration in range(9):
        runner.iterate(state, backend)
    fresh = State(state.object.copy(), state.probe.copy(), np.random.default_rng(7), iteration=9)
    state.rng, state.iteration = np.random.default_rng(7), 9
    runner.iterate(state, backend)
    Runner(lsqml.ALGORITHM, settings).iterate(fresh, backend)
    assert np.array_equal(state.probe, fresh.probe)


def test_batching_is_refused_for_an_algorithm_without_batches():
    with pytest.raises(InputError, match="does not use batching"):
        exitwave.reconstruct(exitwave.simulate(detector=128, frames=9), algorithm="ePIE", batching="sparse")


@pytest.mark.parametrize("batching", ["random", "compact"])
def test_the_truth_is_recovered_from_a_probe_with_a_defocus_error(batching):
    scan = exitwave.simulate("26-ID", frames=100, detector=128, photons=2e6)
    optics = preset("26-ID")
    probe, _ = dataclasses.replace(optics, defocus=1.15 * optics.defocus).probe((128, 128))
    defocused = dataclasses.replace(scan, patterns=Frames(scan.patterns[:]), probe=np.complex64(probe[None] * 2e6**0.5))
    result = exitwave.reconstruct(defocused, algorithm="LSQ-ML", batching=batching, iterations=50, threads=2)
    assert exitwave.compare(result).error < 0.11
    assert result.holdout_errors[-1] < 0.004


def test_compact_batches_refuse_a_decay():
    with pytest.raises(InputError, match="does not use decay"):
        make_recipe({"algorithm": "LSQ-ML", "batching": "compact", "decay": 0.2})
