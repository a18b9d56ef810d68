"""Fly scans: frames of several exposures, and the backends against the reference backend."""

import dataclasses

import numpy as np
import pytest
from problems import double, make_near, make_problem, model, perturb, single
from test_responses import with_parameters

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.algorithms import mpie
from exitwave.engine.backend import NOISE, RESPONSES, Line, Step
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.fly_scan import Exposures
from exitwave.errors import InputError
from exitwave.simulation.presets import preset


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def with_exposures(problem, state, count=3, near=False):
    """Return the problem with exposures around the positions, and exact counts of the state."""
    offsets_of_exposures = np.random.default_rng(4).uniform(-1.5, 1.5, (len(problem.counts), count, 2))
    plain = make_near(problem, state) if near else problem
    counts = 0
    for e in range(count):
        counts = (
            counts + model(dataclasses.replace(plain, pixels=plain.pixels + offsets_of_exposures[:, e]), state) / count
        )
    counts = counts.astype(problem.counts.dtype)
    counts[problem.counts == problem.invalid] = problem.invalid
    return dataclasses.replace(plain, counts=counts, exposures=Exposures(offsets_of_exposures))


def test_the_exact_state_of_a_fly_scan_is_a_fixed_point():
    problem, state = make_problem((16, 18), dtype=np.float32, margin=4, modes=2)
    sums = ReferenceBackend(with_exposures(problem, state)).gather(state, problem.used)
    assert sums.misfit.error < 1e-10
    assert np.abs(sums.object).max() < 1e-4 * np.abs(sums.probe_density).max()


def test_one_exposure_at_the_position_is_a_step_scan():
    problem, truth = make_problem((16, 18), margin=4)
    state = perturb(truth)
    one = dataclasses.replace(problem, exposures=Exposures(np.zeros((len(problem.counts), 1, 2))))
    a, b = (ReferenceBackend(each).gather(state, problem.used) for each in (one, problem))
    for name in ("object", "probe_density", "probe", "object_density"):
        assert np.allclose(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize(("shape", "modes", "noise"), [((16, 16), 1, "amplitude"), ((15, 20), 2, "Poisson")])
def test_gather_agrees_with_the_reference(shape, modes, noise, near, build):
    problem, truth = make_problem(shape, modes=modes, margin=5, mask=0.05)
    problem = with_exposures(problem, truth, near=near)
    state, found = with_parameters(problem, perturb(truth)), with_parameters(problem, single(perturb(truth)))
    responses = [np.zeros((len(problem.used), len(RESPONSES) + 2)) for _ in range(2)]
    expected = ReferenceBackend(problem).gather(state, problem.used, responses=responses[0], noise=noise)
    backend = build(problem, modes)
    sums = backend.gather(found, problem.used, responses=responses[1], noise=noise)
    for name in ("object", "probe_density", "probe", "object_density", "opr_modes"):
        assert close(getattr(sums, name), getattr(expected, name)), name
    assert sums.loss == pytest.approx(expected.loss, rel=1e-4)
    assert backend.misfit(found, problem.used) == pytest.approx(expected.misfit, rel=1e-4)
    for column in range(responses[0].shape[1]):
        np.testing.assert_allclose(
            responses[1][:, column], responses[0][:, column], atol=1e-4 * np.abs(responses[0][:, column]).max()
        )


@pytest.mark.parametrize("quantity", ["object", "probe"])
@pytest.mark.parametrize("noise", NOISE)
def test_gather_is_the_gradient_of_the_loss(quantity, noise):
    problem, truth = make_problem((12, 14), frames=4, modes=2, mask=0.1, margin=4)
    problem = with_exposures(problem, truth)
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


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("with_moves", [False, True], ids=["no moves", "moves"])
@pytest.mark.parametrize("noise", NOISE)
def test_a_line_agrees_with_the_reference(noise, with_moves, near, build):
    problem, truth = make_problem((15, 20), modes=2, margin=5, mask=0.05)
    problem = with_exposures(problem, truth, near=near)
    state, lengths = perturb(truth), np.array([0.0, 0.6])
    moves = np.random.default_rng(5).standard_normal((len(problem.counts), 2)) if with_moves else None
    line = Line(0.1 * perturb(truth, 7).object, 0.1 * perturb(truth, 8).probe, moves)
    expected = ReferenceBackend(problem).line_derivatives(state, line, problem.used, lengths, noise)
    one = line._replace(object=line.object.astype(np.complex64), probe=line.probe.astype(np.complex64))
    found = build(problem, 2).line_derivatives(single(state), one, problem.used, lengths, noise)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


@pytest.mark.parametrize("noise", NOISE)
def test_a_line_has_the_derivatives_of_the_loss(noise):
    problem, truth = make_problem((12, 14), frames=4, modes=2, mask=0.1, margin=4)
    problem = with_exposures(problem, truth)
    backend, state, h = ReferenceBackend(problem), perturb(truth), 1e-4
    line = Line(0.1 * perturb(truth, 7).object, 0.1 * perturb(truth, 8).probe)

    def loss(t):
        moved = double(state)
        moved.object += t * line.object
        moved.probe += t * line.probe
        return backend.gather(moved, problem.used, noise=noise).loss

    first, second = backend.line_derivatives(state, line, problem.used, np.array([0.5]), noise)[0]
    assert first == pytest.approx((loss(0.5 + h) - loss(0.5 - h)) / (2 * h), rel=1e-5)
    assert second == pytest.approx((loss(0.5 + h) - 2 * loss(0.5) + loss(0.5 - h)) / h**2, rel=1e-3)


def test_a_pass_without_exposures_is_refused():
    problem, truth = make_problem((16, 18), margin=4)
    cpu = CpuBackend(with_exposures(problem, truth), 1, 1)
    with pytest.raises(InputError, match="fly scans"):
        cpu.sequential(single(truth), problem.used, Step(1, 0), None)


def test_algorithms_without_exposures_are_refused():
    scan = exitwave.simulate(frames=12, detector=128, fly=0.3)
    settings = {"fly": {"exposures": 2, "motion": tuple(scan.truth.model["motion"])}, "threads": 1}
    with pytest.raises(InputError, match="fly scans"):
        exitwave.reconstruct(scan, stages=[{"algorithm": "rPIE"}, {"algorithm": "LSQ-ML"}], **settings)
    with pytest.raises(InputError, match="positions"):
        exitwave.reconstruct(scan, algorithm="ML", position_update=True, **settings)


def test_a_result_can_be_recomputed_reopened_and_continued(tmp_path):
    scan = exitwave.simulate(frames=40, detector=128, fly=0.3)
    settings = {"exposures": 4, "motion": tuple(scan.truth.model["motion"])}
    result = exitwave.reconstruct(scan, iterations=2, fly=settings, threads=1)
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)
    result.save(tmp_path / "result.cxi")
    again = exitwave.open(tmp_path / "result.cxi")
    assert again.scan.truth.model["motion"] == pytest.approx(scan.truth.model["motion"])
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-4)
    further = exitwave.reconstruct(again, iterations=2, threads=1)
    assert further.errors[-1] < result.errors[-1]
    assert np.allclose(further.model["exposures"], result.model["exposures"])
    with pytest.raises(InputError, match="keeps the exposures"):
        exitwave.reconstruct(again, fly={"exposures": 8})


def test_mpie_finds_the_probe_of_a_fly_scan_sooner_than_with_the_steps_of_a_step_scan():
    scan = exitwave.simulate(frames=60, detector=128, photons=1e7, fly=0.5)
    optics = preset("26-ID")
    start, _ = dataclasses.replace(optics, defocus=1.15 * optics.defocus).probe((128, 128))
    scan = dataclasses.replace(scan, probe=start[None].astype(np.complex64))
    settings = {"iterations": 20, "threads": 1, "fly": {"exposures": 6, "motion": tuple(scan.truth.model["motion"])}}
    usual, shorter = ({}, {"probe_update": {"step": mpie.PROBE.length}})
    errors = [exitwave.compare(exitwave.reconstruct(scan, **settings, **each)).probe_error for each in (usual, shorter)]
    assert errors[0] < 0.85 * errors[1]


def test_ml_after_mpie_is_better_than_mpie_for_a_fly_scan_of_many_photons():
    scan = exitwave.simulate(frames=40, detector=128, photons=1e9, fly=0.15)
    settings = {"threads": 1, "fly": {"exposures": 8, "motion": tuple(scan.truth.model["motion"])}}
    first = exitwave.reconstruct(scan, iterations=12, **settings)
    further = exitwave.reconstruct(first, algorithm="ML", noise="Poisson", iterations=10, threads=1)
    assert further.errors[-1] < 0.8 * first.errors[-1]
    assert exitwave.compare(further).error < 0.85 * exitwave.compare(first).error
