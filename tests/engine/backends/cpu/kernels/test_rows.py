"""Row operations against NumPy, for lengths with and without a remainder."""

import numpy as np
import pytest
from numba import njit

from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels import rows

LENGTHS = [1, 3, 4, 8, 13, 64]


def complex_rows(n, count, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=n) + 1j * rng.normal(size=n)).astype(np.complex64) for _ in range(count)]


def flat(row):
    return row.view(np.float32)


@njit
def run_ramps(out, ramp, z, re, im, n):
    rows.multiply_ramps(out, ramp, z, re, im, n)
    rows.multiply_conjugate_ramps(z, ramp, re, im, n)
    rows.add(out, z, n)


@njit
def run_both(out, power, other, other_power, p, o, w, n):
    rows.add_both(out, power, other, other_power, p, o, w, n)
    rows.add_and_multiply(out, power, w, other_power, p, o, n)


@njit
def run_correct(wave, counts, sums, invalid, fade, n):
    rows.correct_wave(wave, counts, sums, invalid, fade, np.float32(1), np.float32(1), n)


@njit
def run_step(out, p, w, den, n):
    rows.step(out, p, w, den, np.float32(0.7), np.float32(0.8), np.float32(0.5), n)


@pytest.mark.parametrize("n", LENGTHS)
def test_multiplication_by_ramps_and_by_their_conjugate(n):
    out, ramp, z = complex_rows(n, 3)
    found, factor = out.copy(), np.complex64(0.6 - 0.8j)
    run_ramps(flat(found), flat(ramp), flat(z.copy()), factor.real, factor.imag, n)
    assert np.allclose(found, factor * ramp * z + np.conj(factor * ramp) * z, atol=1e-5)


@pytest.mark.parametrize("n", LENGTHS)
def test_the_sums_for_object_and_probe_are_those_of_numpy(n):
    out, other, p, o, w = complex_rows(n, 5)
    found, aside, wave = out.copy(), other.copy(), w.copy()
    power, other_power = np.zeros(n, np.float32), np.zeros(n, np.float32)
    run_both(flat(found), power, flat(aside), other_power, flat(p), flat(o), flat(wave), n)
    assert np.allclose(found, out + 2 * p.conj() * w, atol=1e-5)
    assert np.allclose(aside, other + o.conj() * w, atol=1e-5)
    assert np.allclose(wave, o.conj() * w, atol=1e-5)
    assert np.allclose(power, 2 * np.abs(p) ** 2, atol=1e-5)
    assert np.allclose(other_power, 2 * np.abs(o) ** 2, atol=1e-5)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_correction_gives_the_measured_amplitude_and_is_zero_on_invalid_pixels(n, dtype):
    (wave,) = complex_rows(n, 1)
    wave *= 10
    counts = np.random.default_rng(1).poisson(100, n).astype(dtype)
    counts[::5], counts[1::5] = 9999, 0  # invalid pixels; pixels without photons
    found, sums = wave.copy(), np.zeros(rows.WIDTH, np.float32)
    run_correct(flat(found), counts, sums, np.float32(9999), np.float32(1e-12), n)
    valid = counts != 9999
    corrected = np.where(valid, np.sqrt(counts) * wave / np.abs(wave), wave)
    assert np.allclose(wave + found, corrected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(found[~valid], 0 * found[~valid])
    misfit = ((np.sqrt(counts.astype(float)) - np.abs(wave)) ** 2)[valid].sum()
    assert sums.sum() == pytest.approx(misfit, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("n", LENGTHS)
def test_a_step_is_that_of_numpy(n):
    out, p, w = complex_rows(n, 3)
    den = np.random.default_rng(2).random(n).astype(np.float32)
    found = out.copy()
    run_step(flat(found), flat(p), flat(w), den, n)
    assert np.allclose(found, out + 0.7 * p.conj() * w / (0.8 * den + 0.5), atol=1e-5)


def test_rows_that_are_not_contiguous_are_refused():
    a = np.zeros((4, 8), np.float32)
    with pytest.raises(Exception, match="contiguous"):
        run_ramps(a[:, 0], a[:, 1], a[:, 2], np.float32(0), np.float32(0), 2)


@pytest.mark.parametrize("shape", [(128, 128), (133, 100), (12, 300), (7, 9)])
def test_transforms_of_rows_and_columns_make_that_of_two_dimensions(shape):
    from exitwave.engine.backends.cpu.kernels import waves

    plans = transforms.plans(shape)
    ny, nx = shape
    assert plans.height % plans.rows == plans.stride % transforms.LINE == 0
    wave = transforms.zeros(2, plans.height, 2 * plans.stride)
    image = np.random.default_rng(0).normal(size=(2, ny, nx)) + 1j
    wave.view(np.complex64)[:, :ny, :nx] = image
    waves.transform_rows(plans.rows_forward, wave, plans)
    waves.transform_columns(plans.columns_forward, wave, plans)
    found = wave.view(np.complex64)
    assert np.allclose(found[:, :ny, :nx], np.fft.fft2(image), atol=1e-3 * np.sqrt(ny * nx))
    found[:, :ny, :nx] = 0
    assert not found.any()
