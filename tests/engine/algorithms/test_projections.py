"""DM and RAAR: identities of the projections, agreement with the reference, and recovery of a known truth."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_problem, model, on_each_number_of_threads, perturb, single

import exitwave
from exitwave.engine.algorithms import dm, projections, raar
from exitwave.engine.algorithms.projections import ExitWaves
from exitwave.engine.backend import ProjectionWeights
from exitwave.engine.backends import host_memory
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.recipe import Stage, make_recipe
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.simulation.presets import preset

ALTERNATING = ProjectionWeights(0.0, 1.0, 1.0)


def projector(rng, dimension, rank):
    """Return the projector onto a random subspace of C^n."""
    basis, _ = np.linalg.qr(rng.standard_normal((dimension, rank)) + 1j * rng.standard_normal((dimension, rank)))
    return basis @ basis.conj().T


@pytest.fixture(params=range(3))
def projectors(request):
    rng = np.random.default_rng(request.param)
    return projector(rng, 9, 4), projector(rng, 9, 6), np.eye(9)


def combined(weights, overlap, fourier):
    """Return the step of `Backend.project` as a matrix."""
    a, b, c = weights
    one = np.eye(len(overlap))
    return (1 - a - b) * one + a * overlap + b * fourier @ (c * overlap + (1 - c) * one)


@pytest.mark.parametrize("beta", [0.5, 0.75, 0.9, 1.0])
def test_raar_is_the_relaxed_average_of_reflections(projectors, beta):
    overlap, fourier, one = projectors
    reflected = (2 * fourier - one) @ (2 * overlap - one)
    expected = beta / 2 * (reflected + one) + (1 - beta) * overlap
    assert np.abs(combined(raar.weights(beta), overlap, fourier) - expected).max() < 1e-12


def test_dm_is_the_average_of_reflections_at_alpha_1_and_alternating_projections_at_alpha_0(projectors):
    overlap, fourier, one = projectors
    reflected = (2 * fourier - one) @ (2 * overlap - one)
    assert np.abs(combined(dm.weights(1.0), overlap, fourier) - (reflected + one) / 2).max() < 1e-12
    assert np.abs(combined(dm.weights(0.0), overlap, fourier) - fourier @ overlap).max() < 1e-12
    assert np.abs(combined(projections.ALTERNATING, overlap, fourier) - fourier @ overlap).max() < 1e-12


@pytest.mark.parametrize("alpha", [0.3, 0.9])
def test_dm_subtracts_and_adds_the_part_that_violates_the_overlap(projectors, alpha):
    overlap, fourier, one = projectors
    rejected = one - overlap
    expected = fourier @ (overlap - alpha * rejected) + alpha * rejected
    assert np.abs(combined(dm.weights(alpha), overlap, fourier) - expected).max() < 1e-12


@pytest.mark.parametrize("modes", [1, 3])
def test_the_modulus_projection_sets_the_measured_amplitudes_and_is_idempotent(modes):
    problem, state = make_problem((15, 20), modes=modes, mask=0.2)
    backend, rng = ReferenceBackend(problem), np.random.default_rng(5)
    far = rng.standard_normal((modes, 15, 20, 2)) @ [1, 1j] * 10
    projected = backend.modulus(state, 4, far)
    valid = problem.counts[4] != problem.invalid
    assert np.array_equal(projected[:, ~valid], far[:, ~valid])
    # the amplitude is the measured one, except close to the floor, below which a wave has no phase
    amplitude, before = (np.sqrt((np.abs(wave) ** 2).sum(0))[valid] for wave in (projected, far))
    measured = np.sqrt(problem.counts[4][valid].astype(float))
    off = np.abs(before - measured) * (problem.floor / before) ** 2
    assert np.all(np.abs(amplitude - measured) <= off + 1e-12 * measured)
    assert (amplitude**2).sum() == pytest.approx((measured**2).sum(), rel=1e-6)
    assert np.linalg.norm(backend.modulus(state, 4, projected) - projected) < 1e-6 * np.linalg.norm(projected)


def test_modes_without_power_change_nothing():
    problem, state = make_problem((16, 16))
    far = np.random.default_rng(0).standard_normal((1, 16, 16, 2)) @ [3, 3j]
    several = np.concatenate([far, np.zeros((2, 16, 16))])
    backend = ReferenceBackend(problem)
    assert np.allclose(backend.modulus(state, 0, several)[:1], backend.modulus(state, 0, far), rtol=1e-12)


CASES = [
    {"modes": 1, "subpixel": False},
    {"modes": 1, "subpixel": True, "mask": 0.1},
    {"modes": 3, "subpixel": True, "dtype": np.float32, "mask": 0.1},
]


@pytest.mark.parametrize("shape", [(16, 16), (15, 20)], ids=["square", "odd"])
@pytest.mark.parametrize("case", CASES)
@on_each_number_of_threads
@pytest.mark.parametrize("weights", [dm.weights(0.9), raar.weights(0.75), None])
def test_project_agrees_with_the_reference(shape, case, weights, build):
    problem, truth = make_problem(shape, **case)
    state, frames = perturb(truth), np.array([7, 2, 3, 11, 0])
    rng = np.random.default_rng(2)
    expected_waves = rng.standard_normal((len(frames), len(state.probe), *shape, 2)) @ [4, 4j]
    waves = expected_waves.astype(np.complex64)
    expected = ReferenceBackend(problem).project(state, frames, expected_waves, weights)
    found = build(problem, len(state.probe)).project(single(state), frames, waves, weights)
    pairs = [(waves, expected_waves)]
    pairs += [(getattr(found, n), getattr(expected, n)) for n in ("object", "probe_density", "probe", "object_density")]
    for a, b in pairs:
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(b)
    assert found.misfit == pytest.approx(expected.misfit, rel=1e-4)


def test_waves_of_an_unsupported_layout_are_refused():
    problem, state = make_problem((16, 20))
    waves = np.zeros((len(problem.used), 1, 20, 16), np.complex64).swapaxes(2, 3)
    with pytest.raises(TypeError, match="contiguous complex64"):
        CpuBackend(problem, 1, 1).project(single(state), problem.used, waves, ALTERNATING)


@pytest.mark.parametrize("step", [dm.step, raar.step])
@pytest.mark.parametrize("modes", [1, 3])
def test_the_exact_solution_is_a_fixed_point(step, modes):
    problem, truth = make_problem((15, 20), modes=modes, mask=0.1, dtype=np.float32)
    exact = ExactReference(problem, truth)
    state = double(truth)
    memory = ExitWaves()
    step(state, exact, Stage(), memory)
    before = memory.waves.astype(complex)
    for state.iteration in range(1, 4):
        step(state, exact, Stage(), memory)
    assert np.linalg.norm(memory.waves - before) < 1e-6 * np.linalg.norm(before)
    assert np.linalg.norm(state.object - truth.object) < 1e-6 * np.linalg.norm(truth.object)
    assert np.linalg.norm(state.probe - truth.probe) < 1e-6 * np.linalg.norm(truth.probe)


class ExactReference(ReferenceBackend):
    """The reference with noise-free counts of the truth in double precision."""

    def __init__(self, problem, truth):
        counts = model(problem, truth)
        counts[problem.counts == problem.invalid] = -1.0
        super().__init__(dataclasses.replace(problem, counts=counts, invalid=-1.0))


def test_the_decay_uses_alternating_projections():
    used_weights = []

    class RecordingReference(ReferenceBackend):
        def project(self, state, frames, waves, weights, **options):
            if weights is not None:
                used_weights.append(weights)
            return super().project(state, frames, waves, weights, **options)

    problem, truth = make_problem(frames=3)
    state, stage = perturb(truth), Stage(algorithm="DM", iterations=5, relaxation=0.8)
    memory = ExitWaves()
    for state.iteration in range(5):
        state.decaying = state.iteration >= 3
        dm.step(state, RecordingReference(problem), stage, memory)
    assert used_weights[1:] == [dm.weights(0.8)] * 2 + [ALTERNATING] * 2


def test_waves_that_do_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(host_memory, "free_memory", lambda: 2e9)
    with pytest.raises(InputError, match=r"12\.6 GB for 6000 frames and 4 modes, with 2 GB free.*rPIE"):
        host_memory.allocate_waves((6000, 4, 256, 256))
    assert host_memory.allocate_waves((2, 1, 8, 8)).shape == (2, 1, 8, 8)


def test_the_free_memory_is_plausible():
    assert 1e6 < host_memory.free_memory() < 1e16


@pytest.mark.parametrize(("algorithm", "setting"), [("rPIE", {"relaxation": 0.5}), ("ML", {"decay": 0.2})])
def test_settings_that_an_algorithm_does_not_use_are_refused(algorithm, setting):
    with pytest.raises(InputError, match=f"does not use {next(iter(setting))}"):
        make_recipe({"algorithm": algorithm} | setting)


@pytest.fixture(scope="module")
def defocused():
    """Return a scan with a starting probe whose defocus is wrong by 15 %."""
    scan = exitwave.simulate("26-ID", frames=400, detector=128, photons=2e6)
    optics = preset("26-ID")
    probe, _ = dataclasses.replace(optics, defocus=1.15 * optics.defocus).probe((128, 128))
    return dataclasses.replace(scan, probe=probe[None].astype(np.complex64))


@pytest.mark.parametrize("algorithm", ["DM", "RAAR"])
def test_the_truth_is_recovered_from_a_probe_with_a_defocus_error(defocused, algorithm):
    result = exitwave.reconstruct(defocused, algorithm=algorithm, iterations=90, threads=2)
    assert exitwave.compare(result).error < 0.08
    assert result.holdout_errors[-1] < 1.2 * result.errors[-1]


@pytest.mark.parametrize("algorithm", ["DM", "RAAR"])
def test_results_are_identical_for_the_same_seed_and_number_of_threads(defocused, algorithm):
    few = dataclasses.replace(defocused, patterns=Frames(defocused.patterns[:40]), positions=defocused.positions[:40])
    settings = {"algorithm": algorithm, "iterations": 4, "modes": 2, "threads": 2}
    first, second = (exitwave.reconstruct(few, **settings) for _ in range(2))
    assert np.array_equal(first.object, second.object)
    assert np.array_equal(first.probe, second.probe)
    assert np.array_equal(first.errors, second.errors)
