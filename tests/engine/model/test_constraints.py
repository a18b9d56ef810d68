"""Constraints on object and probe: each one holds afterwards, and changes only quantities that are updated."""

import dataclasses

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.algorithms.algorithm import Algorithm, Runner
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backend import Misfit
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model import object_constraints as of_object
from exitwave.engine.model import probe_constraints as of_probe
from exitwave.engine.model.runner import StageRunner
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Stage
from exitwave.engine.state import QuantityMemory, State
from exitwave.errors import InputError
from exitwave.simulation import simulate

ALL_CONSTRAINTS = {
    "object_constraints": {"amplitude": (0.5, 1.0), "total_variation": 0.01, "smoothness": 0.1, "grid_artefact": True},
    "probe_constraints": {
        "support": 0.6,
        "fourier_support": "pattern",
        "power": True,
        "centre": "subpixel",
        "ramp": True,
    },
}

MEMORY = of_probe.ConstraintMemory()


@pytest.fixture(scope="module")
def scan():
    return simulate(detector=128, frames=16, photons=1e5, seed=3)


def switched_off(name):
    """Return the settings that exclude object or probe from the updates."""
    return {f"{name}_update": {"enabled": False}}


def make_case(shape=(48, 56), frames=16, seed=0):
    """Return a problem, and a state with a compact probe of smooth spectrum and a random object."""
    rng = np.random.default_rng(seed)
    y, x = (np.arange(n) - n // 2 for n in shape)
    focus = np.exp(-((y[:, None] - 3.3) ** 2 + (x + 2.4) ** 2) / 18 + 0.2j * y[:, None] / 9)
    probe = 100 * np.stack([focus, 0.4 * x * focus / 4])
    size = (shape[0] + 30, shape[1] + 30)
    obj = np.exp(0.3j * rng.standard_normal(size)) * (1 + 0.1 * rng.standard_normal(size))
    pixels = (rng.uniform(8, 22, (frames, 2)) + np.array(shape) // 2).astype(np.float32)
    counts = np.zeros((frames, *shape), np.float32)
    problem = Problem(counts, -1.0, pixels, size, np.arange(frames), np.arange(0), float((abs(probe) ** 2).sum()))
    return problem, State(obj.astype(np.complex64), probe.astype(np.complex64), rng)


def patterns(problem, state):
    """Return the modelled intensities from the reference backend."""
    backend = ReferenceBackend(problem)
    waves = [backend.frame_probe(state, j) * state.object[backend.window(state, j)] for j in problem.used]
    return (np.abs(np.fft.fft2(waves, norm="ortho")) ** 2).sum(1)


@pytest.mark.parametrize("algorithm", ALGORITHMS.all())
@pytest.mark.parametrize("fixed", ["object", "probe"])
def test_a_quantity_that_is_not_updated_does_not_change(scan, algorithm, fixed):
    settings = {"algorithm": algorithm, "iterations": 2, "threads": 1} | ALL_CONSTRAINTS | switched_off(fixed)
    given = exitwave.reconstruct(scan, iterations=1, threads=1, **switched_off("object"), **switched_off("probe"))
    probe, obj = given.probe, given.object * np.complex64(0.9 + 0.3j)
    start = dataclasses.replace(given, object=obj, probe=probe)
    result = exitwave.reconstruct(start, **settings)
    assert np.array_equal(getattr(result, fixed), getattr(start, fixed))
    assert not np.array_equal(result.object, obj) or fixed == "object"
    assert not np.array_equal(result.probe, probe) or fixed == "probe"
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)


IDLE = Algorithm("idle", lambda state, backend, stage, memory: Misfit(0.0, 0.0))
"""An algorithm that changes nothing."""


def test_constraints_act_only_in_scheduled_iterations():
    problem, state = make_case()
    stage = Stage(
        object_constraints={"phase_only": True, "schedule": {"start": 2}},
        probe_update={"schedule": {"start": 3}},
        probe_constraints={"support": 0.3},
    )
    before = state.object.copy(), state.probe.copy()
    changed, runner = [], StageRunner(IDLE, stage, state, problem)
    for state.iteration in range(4):
        runner.iterate(state, ReferenceBackend(problem))
        changed.append((not np.array_equal(state.object, before[0]), not np.array_equal(state.probe, before[1])))
    assert changed == [(False, False), (False, False), (True, False), (True, True)]


def test_amplitudes_and_phases_move_to_the_nearest_limit():
    obj = np.array([[0.2j, -2.0], [0.7, 0.0]], np.complex64)
    assert np.allclose(of_object.limit_amplitude(obj, 0.5, 1.0), [[0.5j, -1], [0.7, 0.5]])
    limited = of_object.limit_phase(np.exp(1j * np.array([0.1, 1.5, -0.7, 3.0, -3.0])), -0.5, 1.0)
    # the middle of the arc outside is at 0.25 - pi, beyond -2.9
    assert np.allclose(np.angle(limited), [0.1, 1.0, -0.5, 1.0, 1.0])


@pytest.mark.parametrize("algorithm", ALGORITHMS.all())
def test_a_result_stays_within_limits(scan, algorithm):
    settings = {"amplitude": (0.7, 1.0), "phase": (-1.0, 0.5)}
    result = exitwave.reconstruct(scan, algorithm=algorithm, iterations=5, threads=1, object_constraints=settings)
    assert np.abs(result.object).min() > 0.7 - 1e-6
    assert np.abs(result.object).max() < 1 + 1e-6
    assert np.angle(result.object).min() > -1 - 1e-6
    assert np.angle(result.object).max() < 0.5 + 1e-6


def test_limits_of_the_amplitude_do_not_slow_convergence():
    scan = simulate(detector=128, frames=49, photons=1e6, seed=3)
    free = exitwave.reconstruct(scan, threads=1)
    limited = exitwave.reconstruct(scan, threads=1, object_constraints={"amplitude": (0.0, 1.0)})
    assert limited.errors[-1] < 1.05 * free.errors[-1]
    assert exitwave.compare(limited).error < 1.02 * exitwave.compare(free).error
    assert np.all(np.diff(limited.errors[-10:-1]) < 5e-3 * limited.errors[-1])


@pytest.mark.parametrize("change", [of_object.denoise_total_variation, of_object.smooth])
def test_regularisation_scales_with_the_object_and_lowers_the_variation(change):
    _, state = make_case()
    obj, factor = state.object.astype(complex), 3.0 * np.exp(2j)
    regular = change(obj, 0.1)
    variation = [sum(np.abs(np.diff(o, axis=axis)).sum() for axis in (0, 1)) for o in (obj, regular)]
    assert variation[1] < 0.95 * variation[0]
    assert np.allclose(change(factor * obj, 0.1), factor * regular, rtol=1e-6)
    assert np.isclose(regular.mean(), obj.mean(), atol=1e-3)
    assert np.allclose(change(np.full((9, 8), 2j), 0.1), 2j)
    assert np.allclose(change(np.stack([obj, obj[::-1]]), 0.1)[0], regular, rtol=0.1, atol=0.02)


def test_the_smoothing_kernel_is_binomial():
    dot = np.zeros((5, 5), complex)
    dot[2, 2] = 16
    assert np.allclose(of_object.smooth(dot, 1.0)[1:4, 1:4], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_total_variation_keeps_an_edge_where_smoothing_does_not():
    edge = np.where(np.arange(40) < 20, 1.0, 1j) * np.ones((30, 1))
    noisy = edge + 0.1 * np.random.default_rng(0).standard_normal(edge.shape)
    apart = [np.linalg.norm(each - edge) for each in (noisy, of_object.denoise_total_variation(noisy, 0.1))]
    assert apart[1] < 0.4 * apart[0]


def test_the_probe_is_zero_outside_its_support_in_both_spaces():
    problem, state = make_case()
    of_probe.constrain(state, problem, of_probe.ProbeConstraints(support=0.5), MEMORY, with_object=True)
    y, x = np.indices(problem.shape)
    outside = np.hypot(y - 24, x - 28) > 12
    assert not state.probe[:, outside].any()
    assert state.probe[0, ~outside].all()
    of_probe.constrain(state, problem, of_probe.ProbeConstraints(fourier_support=0.5), MEMORY, with_object=True)
    far = np.fft.fftshift(np.fft.fft2(state.probe), axes=(1, 2))
    assert np.abs(far[:, outside]).max() < 1e-5 * np.abs(far).max()


def test_the_shrink_wrap_support_contains_the_bright_part():
    _, state = make_case()
    support = of_probe.shrink_wrap_support(state.probe)
    assert support[27, 26]
    assert 0.1 < support.mean() < 0.6
    power = np.abs(state.probe) ** 2
    assert power[:, support].sum() > 0.999 * power.sum()


def test_the_pupil_is_found_in_the_mean_pattern(scan):
    from exitwave.reconstruction.loading import load_problem

    problem = load_problem(scan, scan.truth.positions, (scan.truth.y, scan.truth.x), holdout=0, seed=0)
    pupil = of_probe.pupil_from_pattern(problem)
    far = np.abs(np.fft.fftshift(np.fft.fft2(scan.truth.probe[0]))) ** 2
    assert far[pupil].sum() > 0.99 * far.sum()
    assert pupil.mean() < 0.7


@pytest.mark.parametrize("constraint", [{"power": True}, {"centre": "subpixel"}, {"centre": "whole"}, {"ramp": True}])
def test_removing_an_ambiguity_does_not_change_the_model(constraint):
    problem, state = make_case()
    state.object *= np.exp(2j * np.pi * np.arange(state.object.shape[1]) * 2.2 / problem.shape[1]).astype(np.complex64)
    problem = dataclasses.replace(problem, photons=7.0 * problem.photons)
    before, start = patterns(problem, state), state.probe.copy()
    of_probe.constrain(state, problem, of_probe.ProbeConstraints(**constraint), MEMORY, with_object=True)
    after = patterns(problem, state)
    assert not np.allclose(state.probe, start, rtol=1e-2)
    assert np.abs(after - before).sum() < 1e-5 * before.sum()


def test_centring_moves_the_probe_to_the_middle():
    problem, state = make_case()
    assert np.allclose(of_probe.centre_offset(state.probe[:1]), (3.3, -2.4), atol=1e-3)
    of_probe.centre_probe(state, problem, "whole")
    assert state.positions is None
    assert np.abs(of_probe.centre_offset(state.probe)).max() <= 0.51
    of_probe.centre_probe(state, problem, "subpixel")
    assert np.abs(of_probe.centre_offset(state.probe)).max() < 0.01
    assert np.abs((state.positions - problem.pixels).mean(0)).max() <= 0.5


def test_the_phase_ramp_moves_from_the_object_to_the_probe():
    problem, state = make_case()
    state.object *= np.exp(2j * np.pi * np.arange(state.object.shape[1]) * 3 / problem.shape[1]).astype(np.complex64)
    before = of_probe.mean_phase_slope(state.object, problem)
    of_probe.move_phase_ramp(state, problem)
    after = of_probe.mean_phase_slope(state.object, problem)
    assert np.allclose(before - after, [0, 2 * np.pi * 3 / problem.shape[1]], atol=1e-5)


def test_an_algorithm_restarts_after_a_constraint_has_moved_object_and_probe():
    problem, state = make_case()
    memories = []

    def step(state, backend, stage, memory):
        memories.append(memory.object)
        memory.object = "kept"
        if len(memories) == 2:
            of_probe.centre_probe(state, problem, "whole")
        return Misfit(0.0, 0.0)

    runner = Runner(Algorithm("test", step, memory=QuantityMemory), Stage())
    for state.iteration in range(4):
        runner.iterate(state, ReferenceBackend(problem))
    assert memories == [None, "kept", None, "kept"]


def test_a_shifted_probe_is_centred_in_a_reconstruction(scan):
    moved = dataclasses.replace(scan, probe=np.roll(scan.probe, (4, -3), (1, 2)))
    free = exitwave.reconstruct(moved, threads=1, iterations=20)
    centred = exitwave.reconstruct(moved, threads=1, iterations=20, probe_constraints={"centre": "whole"})
    assert np.abs(of_probe.centre_offset(free.probe)).max() > 2
    assert np.abs(of_probe.centre_offset(centred.probe)).max() < 1.1
    assert centred.errors[-1] < 1.1 * free.errors[-1]
    assert recompute(centred) == pytest.approx(centred.errors[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"object_constraints": {"amplitude": (1, 0.5)}}, "lowest first"),
        ({"object_constraints": {"phase": (-4, 1)}}, "from -pi to pi"),
        ({"object_constraints": {"phase_only": True, "amplitude": (0, 1)}}, "one of them"),
        ({"object_constraints": {"amplitud": (0, 1)}}, "Did you mean object_constraints.amplitude"),
        ({"probe_constraints": {"support": 0}}, "probe_constraints"),
        ({"coarse": 2, "probe_constraints": {"centre": "whole"}}, "coarse"),
    ],
)
def test_invalid_constraints_are_refused(scan, settings, words):
    with pytest.raises(InputError, match=words):
        exitwave.reconstruct(scan, **settings)


@pytest.mark.parametrize("constraint", [{"centre": "whole"}, {"fourier_support": "pattern"}])
def test_centring_and_the_pupil_of_the_pattern_are_refused_in_the_near_field(constraint):
    scan = simulate("near-field", detector=64, frames=9, photons=1e5)
    with pytest.raises(InputError, match=r"near field|Images"):
        exitwave.reconstruct(scan, iterations=1, threads=1, probe_constraints=constraint)


def test_constraints_do_not_record_responses(scan, monkeypatch):
    requested = []
    gather = CpuBackend.gather
    monkeypatch.setattr(
        CpuBackend, "gather", lambda self, *a, **k: requested.append(k.get("responses")) or gather(self, *a, **k)
    )
    exitwave.reconstruct(scan, threads=1, iterations=1, **ALL_CONSTRAINTS)
    assert requested
    assert all(responses is None for responses in requested)
