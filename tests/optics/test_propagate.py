import numpy as np
import pytest

from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, fraunhofer, fresnel, inverse_fraunhofer, object_pixel, wavelength

LAMBDA = 1.24e-10
PIXEL = (1.1e-8, 0.9e-8)
OPERATORS = {
    "fraunhofer": (fraunhofer, inverse_fraunhofer),
    "angular spectrum": tuple(lambda w, z=z: angular_spectrum(w, z, LAMBDA, PIXEL) for z in (3e-5, -3e-5)),
    "angular spectrum, far": tuple(lambda w, z=z: angular_spectrum(w, z, LAMBDA, PIXEL) for z in (3e-3, -3e-3)),
    "fresnel": tuple(lambda w, z=z: fresnel(w, z, LAMBDA, PIXEL) for z in (2e-5, -2e-5)),
}
FAR_FRESNEL = tuple(lambda w, z=z: fresnel(w, z, LAMBDA, PIXEL) for z in (3e-3, -3e-3))


def random_wave(shape, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def gaussian_beam(shape, pixel, waist, distance):
    """Return the paraxial closed form without exp(ikz): w0^2 / q exp(-r^2 / q), q = w0^2 (1 + i z / z_R)."""
    y, x = ((np.arange(n) - n // 2) * step for n, step in zip(shape, pixel, strict=True))
    q = waist**2 + 1j * LAMBDA * distance / np.pi
    return waist**2 / q * np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / q)


@pytest.mark.parametrize("shape", [(64, 48), (3, 33, 40)])
@pytest.mark.parametrize("name", OPERATORS)
def test_propagators_are_unitary(name, shape):
    forward, backward = OPERATORS[name]
    a, b = random_wave(shape, 0), random_wave(shape, 1)
    assert np.vdot(forward(a), b) == pytest.approx(np.vdot(a, backward(b)), rel=1e-10)
    assert np.linalg.norm(forward(a)) == pytest.approx(np.linalg.norm(a), rel=1e-12)
    assert np.allclose(backward(forward(a)), a, atol=1e-11)
    assert not np.allclose(forward(a), a, atol=0.1)


def test_band_limited_fresnel_has_its_adjoint_and_does_not_increase_the_norm():
    forward, backward = FAR_FRESNEL
    a, b = random_wave((64, 48), 0), random_wave((64, 48), 1)
    assert np.vdot(forward(a), b) == pytest.approx(np.vdot(a, backward(b)), rel=1e-10)
    assert np.linalg.norm(forward(a)) < 0.9 * np.linalg.norm(a)
    assert np.allclose(forward(backward(forward(a))), forward(a), atol=1e-11)


def test_two_propagations_equal_one_over_the_total_distance():
    wave = random_wave((64, 48), 0)
    once = angular_spectrum(wave, 5e-5, LAMBDA, PIXEL)
    twice = angular_spectrum(angular_spectrum(wave, 2e-5, LAMBDA, PIXEL), 3e-5, LAMBDA, PIXEL)
    assert np.allclose(once, twice, atol=1e-10)


@pytest.mark.parametrize("propagate", [angular_spectrum, fresnel])
@pytest.mark.parametrize("distance", [-1.5e-4, 5e-5, 1.5e-4])
def test_gaussian_beam_agrees_with_the_closed_form(propagate, distance):
    """Width, curvature and Gouy phase at once; 1.5e-4 m are about three Rayleigh lengths."""
    shape, waist = (192, 224), 4.5e-8
    wave = propagate(gaussian_beam(shape, PIXEL, waist, 0.0), distance, LAMBDA, PIXEL)
    assert np.abs(wave - gaussian_beam(shape, PIXEL, waist, distance)).max() < 2e-5


def test_fresnel_over_long_distances_has_no_replicas_inside_the_beam():
    """Beyond n dx^2 / lambda a transfer function without band limit causes aliasing from the sides."""
    shape, pixel, waist, distance = (128, 128), (1e-8, 1e-8), 1.2e-8, 3e-4
    wave = fresnel(gaussian_beam(shape, pixel, waist, 0.0), distance, LAMBDA, pixel)
    exact = gaussian_beam(shape, pixel, waist, distance)
    centre = (slice(48, 80), slice(48, 80))
    folded = angular_spectrum(gaussian_beam(shape, pixel, waist, 0.0), distance, LAMBDA, pixel)
    limited_error = np.abs(wave - exact)[centre].max() / np.abs(exact).max()
    assert limited_error < 0.25 * np.abs(folded - exact)[centre].max() / np.abs(exact).max()


def test_far_field_is_centred():
    plane = fraunhofer(np.ones((16, 15), complex))
    assert plane[8, 7] == pytest.approx(np.sqrt(16 * 15))
    assert np.abs(plane).sum() == pytest.approx(np.sqrt(16 * 15))
    tilted = np.exp(2j * np.pi * 3 * np.arange(15) / 15) * np.ones((16, 1))
    assert np.unravel_index(np.abs(fraunhofer(tilted)).argmax(), (16, 15)) == (8, 7 + 3)


def test_wavelength_and_object_pixel_of_the_schema():
    assert wavelength(12398.4198) == pytest.approx(1e-10, rel=1e-12)
    assert object_pixel(1e-10, 2.0, (256, 512), (75e-6, 50e-6)) == pytest.approx((1.0416667e-8, 7.8125e-9))
    with pytest.raises(InputError, match="photon energy"):
        wavelength(0.0)
