"""The definition of the noise models and of the shift: derivatives, identities, and the compiled noise models."""

import numpy as np
import pytest

from exitwave.engine.backend import NOISE
from exitwave.engine.backends.cpu.kernels.noise import derivatives
from exitwave.engine.backends.reference.likelihood import likelihood
from exitwave.engine.backends.reference.shift import fourier_shift, shift_derivatives

COUNTS = np.array([0.0, 1.0, 7.0, 150.0, 2e4])
MODEL = np.array([0.5, 3.0, 6.0, 160.0, 1.9e4])


@pytest.mark.parametrize("noise", NOISE)
def test_force_and_curvature_are_derivatives_of_the_loss(noise):
    h = 1e-4 * MODEL
    low, high = (likelihood(COUNTS, MODEL + sign * h, noise, 0.0) for sign in (-1, 1))
    here = likelihood(COUNTS, MODEL, noise, 0.0)
    np.testing.assert_allclose(here.force, -(high.loss - low.loss) / (2 * h), rtol=1e-4)
    np.testing.assert_allclose(here.curvature, -(high.force - low.force) / (2 * h), rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("noise", NOISE)
def test_loss_and_force_are_zero_where_the_model_is_equal_to_the_counts(noise):
    counts = COUNTS[1:]
    here = likelihood(counts, counts, noise, 0.0)
    np.testing.assert_allclose(here.loss, 0, atol=1e-12)
    np.testing.assert_allclose(here.force, 0, atol=1e-12)


def test_the_amplitude_model_gives_the_amplitude_correction():
    wave = np.sqrt(MODEL) * np.exp(1j * np.arange(5))
    corrected = wave + likelihood(COUNTS, MODEL, "amplitude", 0.0).force * wave
    np.testing.assert_allclose(np.abs(corrected), np.sqrt(COUNTS), atol=1e-12)
    np.testing.assert_allclose(np.angle(corrected[1:]), np.angle(wave[1:]), rtol=1e-12)


def test_the_amplitude_correction_fades_to_zero_below_the_floor():
    force = likelihood(np.array([100.0]), np.array([1e-12]), "amplitude", 1e-2).force
    assert abs(force[0]) < 1


@pytest.mark.parametrize("noise", NOISE)
def test_the_compiled_derivatives_agree_with_the_definition(noise):
    floor = 1e-2
    expected = likelihood(COUNTS, MODEL, noise, floor)
    fade = np.float32(floor**2)
    found = [
        derivatives(np.float32(i), np.float32(m), NOISE.index(noise), fade) for i, m in zip(COUNTS, MODEL, strict=True)
    ]
    np.testing.assert_allclose([force for force, _ in found], expected.force, rtol=1e-4)
    np.testing.assert_allclose([curvature for _, curvature in found], expected.curvature, rtol=1e-4)


def test_a_shift_by_whole_pixels_rolls_the_waves():
    waves = np.random.default_rng(0).standard_normal((2, 12, 15, 2)) @ [1, 1j]
    np.testing.assert_allclose(fourier_shift(waves, np.array([2, -3])), np.roll(waves, (2, -3), (-2, -1)), atol=1e-12)


def test_the_adjoint_of_a_shift_is_the_opposite_shift():
    rng, shift = np.random.default_rng(1), np.array([0.3, -0.7])
    a, b = (rng.standard_normal((11, 13, 2)) @ [1, 1j] for _ in range(2))
    assert np.vdot(fourier_shift(a, shift), b) == pytest.approx(np.vdot(a, fourier_shift(b, -shift)))


def test_shift_derivatives_are_those_of_the_shift():
    waves, h = np.random.default_rng(2).standard_normal((11, 13, 2)) @ [1, 1j], 1e-5
    for axis, found in enumerate(shift_derivatives(waves)):
        step = h * np.eye(2)[axis]
        expected = (fourier_shift(waves, step) - fourier_shift(waves, -step)) / (2 * h)
        np.testing.assert_allclose(found, expected, atol=1e-7)
