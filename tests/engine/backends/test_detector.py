"""A non-ideal detector: identities of its model and of the reference, and the backends against the reference."""

from dataclasses import replace

import numpy as np
import pytest
from problems import double, make_problem, model, perturb, single
from scipy.ndimage import gaussian_filter

from exitwave.engine.backend import NOISE, Line, ProjectionWeights, Step
from exitwave.engine.backends.cpu.passes import CpuBackend
from exitwave.engine.backends.reference.passes import ReferenceBackend
from exitwave.engine.model.detector import DetectorModel, ideal

KINDS = {"local": (1, 0.0), "binned": (2, 0.0), "binned and blurred": (3, 0.6)}
SHAPE = (10, 14)


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def detector_of(kind, seed=0):
    """Return a detector with flat field, background and caps, all different from those of an ideal one."""
    oversample, blur = KINDS[kind]
    rng = np.random.default_rng(seed)
    flat, background = rng.uniform(0.7, 1.3, SHAPE), rng.uniform(0.2, 2, SHAPE)
    cap = np.where(rng.random(SHAPE) < 0.3, 40, 1e6)
    return DetectorModel(*(each.astype(np.float32) for each in (flat, background, cap)), oversample, blur)


def problem_of(kind, modes=2):
    """Return a problem with such a detector, its true state, of which the counts are, and another state."""
    detector = detector_of(kind)
    fine, truth = make_problem(tuple(detector.oversample * n for n in SHAPE), modes=modes, margin=4, photons=1e4)
    rng = np.random.default_rng(4)
    background = rng.uniform(0.1, 1, SHAPE)
    counts = rng.poisson(detector.counts(model(fine, truth), background)).astype(np.float32)
    counts = np.minimum(counts, detector.cap)
    counts[rng.random(counts.shape) < 0.1] = -1
    state = perturb(truth)
    truth.background, state.background = background, 1.5 * background
    return replace(fine, counts=counts, invalid=-1.0, detector=detector), truth, state


def with_background(copy, state):
    copy.background = state.background
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_back_is_the_adjoint_and_binning_conserves_the_photons(kind):
    detector, rng = detector_of(kind), np.random.default_rng(1)
    q = detector.oversample
    samples, pixels = rng.random((q * SHAPE[0], q * SHAPE[1])), rng.random(SHAPE)
    detected, adjoint = detector.linear(samples), detector.back(pixels)
    assert np.sum(detected * pixels) == pytest.approx(np.sum(samples * adjoint), rel=1e-12)
    assert (detected / detector.flat).sum() == pytest.approx(samples.sum(), rel=1e-6)


@pytest.mark.parametrize("oversample", [2, 3])
def test_the_samples_of_a_pixel_lie_about_its_centre(oversample):
    detector = replace(ideal(SHAPE), oversample=oversample)
    y, x = (np.fft.fftfreq(oversample * n, 1 / n)[:, None] for n in SHAPE)
    samples = np.exp(-(y**2 + x.T**2) / 8)
    counts = detector.counts(samples)
    flipped = np.roll(counts[::-1, ::-1], (1, 1), (0, 1))
    np.testing.assert_allclose(counts[1:4, 1:4], flipped[1:4, 1:4], rtol=1e-12)


def test_the_point_spread_is_a_gaussian():
    detector, counts = replace(ideal((24, 30)), blur=1.3), np.random.default_rng(0).random((24, 30))
    np.testing.assert_allclose(detector.counts(counts), gaussian_filter(counts, 1.3, mode="wrap"), rtol=1e-12)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("kind", KINDS)
def test_gather_is_the_gradient_of_the_loss(kind, noise):
    problem, _, state = problem_of(kind)
    problem = replace(problem, photons=1e-6)  # no floor, because the faded force is not a derivative
    backend, rng = ReferenceBackend(problem), np.random.default_rng(3)
    sums, h = backend.gather(state, problem.used, noise=noise), 1e-6
    for name in ("object", "probe"):
        gradient = -2 * getattr(sums, name)
        direction = rng.standard_normal(gradient.shape) + 1j * rng.standard_normal(gradient.shape)
        losses = []
        for sign in (1, -1):
            moved = with_background(double(state), state)
            getattr(moved, name)[:] += sign * h * direction
            losses.append(backend.gather(moved, problem.used, noise=noise).loss)
        assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(np.real(np.vdot(gradient, direction)), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_backends_agree_with_the_reference(kind, build):
    problem, _, state = problem_of(kind)
    found, frames = with_background(single(state), state), problem.used
    reference, backend = ReferenceBackend(problem), build(problem, 2)
    for noise in NOISE:
        expected, sums = (each.gather(s, frames, noise=noise) for each, s in ((reference, state), (backend, found)))
        for name in ("object", "probe", "probe_density", "object_density", "background"):
            assert close(getattr(sums, name), getattr(expected, name)), (noise, name)
        assert sums.misfit == pytest.approx(expected.misfit, rel=1e-4)
        assert sums.loss == pytest.approx(expected.loss, rel=1e-4)
    assert backend.misfit(found, frames) == pytest.approx(reference.misfit(state, frames), rel=1e-4)
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)
    single_line, lengths = Line(*(each.astype(np.complex64) for each in line[:2])), np.array([0.0, 0.5])
    for noise in NOISE:
        expected = reference.line_derivatives(state, line, frames, lengths, noise)
        assert close(backend.line_derivatives(found, single_line, frames, lengths, noise), expected), noise
    rng = np.random.default_rng(6)
    shape = (len(frames), *state.probe.shape)
    waves = 20 * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    mine = waves.astype(np.complex64)
    expected = reference.project(state, frames, waves, ProjectionWeights(-0.9, 1.0, 1.9))
    sums = backend.project(found, frames, mine, ProjectionWeights(-0.9, 1.0, 1.9))
    assert close(mine, waves)
    assert close(sums.object, expected.object)
    assert sums.misfit == pytest.approx(expected.misfit, rel=1e-4)
    exact = with_background(double(state), state)
    a = reference.sequential(exact, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    b = backend.sequential(found, frames, Step(0.9, 0.3), Step(0.5, 1.0))
    assert b == pytest.approx(a, rel=1e-4)
    assert close(found.object, exact.object)
    assert close(found.probe, exact.probe)


def test_the_slope_along_a_line_is_that_of_the_loss():
    problem, _, state = problem_of("binned and blurred")
    problem = replace(problem, photons=1e-6)
    backend, h = ReferenceBackend(problem), 1e-5
    line = Line(0.1 * perturb(state, 7).object, 0.1 * perturb(state, 8).probe)

    def loss(t):
        moved = with_background(double(state), state)
        moved.object += t * line.object
        moved.probe += t * line.probe
        return backend.gather(moved, problem.used, noise="Poisson").loss

    slope = backend.line_derivatives(state, line, problem.used, np.array([0.3]), "Poisson")[0, 0]
    assert (loss(0.3 + h) - loss(0.3 - h)) / (2 * h) == pytest.approx(slope, rel=1e-5)


def test_a_saturated_pixel_does_not_constrain_a_larger_model():
    problem, truth = make_problem((12, 12), dtype=np.float32, photons=1e4)
    cap = np.float32(np.quantile(problem.counts, 0.9))
    detector = replace(ideal((12, 12)), cap=np.full((12, 12), cap))
    capped = replace(problem, counts=np.minimum(problem.counts, cap), detector=detector)
    assert (capped.counts == cap).any()
    assert ReferenceBackend(capped).misfit(truth, problem.used).error < 1e-10
    assert CpuBackend(capped, 1, 1).misfit(single(truth), problem.used).error < 1e-8
    assert ReferenceBackend(replace(capped, detector=None)).misfit(truth, problem.used).error > 1e-3
    dim = double(truth)
    dim.probe *= 0.1
    below = ReferenceBackend(capped).misfit(dim, problem.used).difference
    assert below == pytest.approx(ReferenceBackend(replace(capped, detector=None)).misfit(dim, problem.used).difference)


def test_the_true_state_with_its_background_is_a_fixed_point_of_the_projection():
    problem, truth = make_problem((12, 14), dtype=np.float32, modes=2)
    detector = replace(ideal((12, 14)), background=np.full((12, 14), 3, np.float32))
    with_counts_of_background = replace(problem, counts=problem.counts + np.float32(3), detector=detector)
    backend = ReferenceBackend(with_counts_of_background)
    far = backend.model_frame(truth, 3)[2]
    assert np.linalg.norm(backend.modulus(truth, 3, far) - far) < 1e-5 * np.linalg.norm(far)
    off = backend.modulus(truth, 3, 1.2 * far)
    assert np.linalg.norm(off - far) < 0.3 * np.linalg.norm(0.2 * far)
