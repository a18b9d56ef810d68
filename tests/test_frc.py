import numpy as np
import pytest
from known import smooth

from exitwave.frc import frc, threshold

PIXEL = (10e-9, 10e-9)


def noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def test_half_bit_and_one_bit_thresholds_are_those_of_the_paper():
    n = np.array([1.0, 4.0, 30.0, 1e3, 1e9])
    assert threshold(n) == pytest.approx((0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n)), rel=2e-4)
    assert threshold(n, 1.0) == pytest.approx((0.5 + 2.4142 / np.sqrt(n)) / (1.5 + 1.4142 / np.sqrt(n)), rel=2e-4)


@pytest.mark.parametrize("shape", [(64, 64), (50, 91)])
def test_identical_images_correlate_fully_up_to_the_pixel_size(shape):
    image = noise(shape, 0)
    curve = frc(image, (3 - 2j) * image / abs(3 - 2j) * np.exp(1j * np.angle(3 + 2j)), PIXEL)
    assert curve.correlation == pytest.approx(np.ones(curve.frequency.size))
    assert curve.limited_by_pixel
    assert curve.resolution == PIXEL[0]


def test_independent_noise_does_not_correlate():
    curve = frc(noise((200, 160), 1), noise((200, 160), 2), PIXEL)
    assert np.abs(curve.correlation[10:]).mean() < 0.05
    assert not curve.limited_by_pixel
    assert curve.resolution > 20 * PIXEL[0]


def test_opposite_images_anticorrelate():
    image = noise((64, 64), 0)
    assert frc(image, -image, PIXEL).correlation == pytest.approx(-1.0)


@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize("cut", [0.12, 0.3])
def test_resolution_is_the_cut_off_of_a_band_limited_signal(cut, truth):
    shape = (300, 260)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    signal = np.fft.ifft2(np.fft.fft2(noise(shape, 5)) * (radius < cut))
    first = signal + 0.4 * noise(shape, 6)
    second = signal if truth else signal + 0.4 * noise(shape, 7)
    curve = frc(first, second, PIXEL, truth=truth)
    assert curve.resolution == pytest.approx(PIXEL[0] / (2 * cut), rel=0.04)
    assert not curve.limited_by_pixel


def test_half_scans_and_comparison_with_the_truth_give_the_same_resolution():
    shape = (512, 512)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    signal = np.fft.ifft2(np.fft.fft2(noise(shape, 1)) * 10 ** (2 - 8 * radius))
    first, second = signal + noise(shape, 2), signal + noise(shape, 3)
    # S = 10**(4 - 16 f) equals (sqrt(2) - 1)/2, the half-bit criterion for each of two halves
    expected = PIXEL[0] / (2 * (4 - np.log10((np.sqrt(2) - 1) / 2)) / 16)
    assert frc(first, second, PIXEL).resolution == pytest.approx(expected, rel=0.05)
    assert frc((first + second) / 2, signal, PIXEL, truth=True).resolution == pytest.approx(expected, rel=0.05)


def test_rings_are_round_in_metres_for_pixels_and_arrays_that_are_not_square():
    shape, pixel = (120, 300), (10e-9, 4e-9)
    y, x = np.arange(shape[0])[:, None] * pixel[0], np.arange(shape[1]) * pixel[1]
    for wave in (np.cos(2 * np.pi * 2e7 * y) + 0 * x, np.cos(2 * np.pi * 2e7 * x) + 0 * y):
        curve = frc(wave + 0.3 * noise(shape, 1), wave + 0.3 * noise(shape, 2), pixel)
        assert curve.frequency[np.argmax(curve.correlation)] == pytest.approx(2e7, rel=0.06)
    assert curve.frequency[-1] <= 0.5 / 10e-9 * (1 + 1e-9)
    assert frc(wave, wave, pixel).resolution == 10e-9


def test_shift_between_the_images_lowers_the_correlation():
    image = smooth((128, 128), 0.2, 1)
    assert frc(image, np.roll(image, 1, axis=0), PIXEL).resolution > 1.5 * frc(image, image, PIXEL).resolution


def test_one_bad_low_ring_does_not_decide_the_resolution():
    shape = (300, 260)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    spectrum = np.fft.fft2(noise(shape, 5)) * (radius < 0.3)
    wrong = spectrum * np.where(np.abs(radius - 0.02) < 0.004, -1, 1)
    first, second = (np.fft.ifft2(each) + 0.2 * noise(shape, seed) for each, seed in ((spectrum, 6), (wrong, 7)))
    curve = frc(first, second, PIXEL)
    assert (curve.correlation < curve.threshold)[curve.frequency < 3e6].any()
    assert curve.resolution == pytest.approx(PIXEL[0] / 0.6, rel=0.04)


@pytest.mark.parametrize("seed", range(5))
def test_a_single_high_ring_above_the_threshold_does_not_count(seed):
    shape = (200, 200)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    signal = np.fft.ifft2(np.fft.fft2(noise(shape, seed)) * ((radius < 0.2) | (np.abs(radius - 0.4) < 0.0024)))
    curve = frc(signal + 0.3 * noise(shape, seed + 10), signal + 0.3 * noise(shape, seed + 20), PIXEL)
    assert curve.resolution == pytest.approx(PIXEL[0] / 0.4, rel=0.05)
