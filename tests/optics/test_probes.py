import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.special import j1

from exitwave.errors import InputError
from exitwave.optics import (
    angular_spectrum,
    fraunhofer,
    probe_diameter,
    probe_from_pattern,
    rectangular_probe,
    zone_plate_probe,
)

LAMBDA = 1.24e-10
PIXEL = (1.3e-8, 1.3e-8)
LENS = {"diameter": 160e-6, "outermost_zone": 60e-9, "central_stop": 70e-6}


def correlation(a, b):
    return abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b)


def test_focus_of_a_round_lens_is_the_airy_pattern():
    n, outermost = 512, 6.4 * PIXEL[0]
    probe = zone_plate_probe((n, n), PIXEL, LAMBDA, diameter=160e-6, outermost_zone=outermost)
    r = (np.arange(n) - n // 2) * PIXEL[0]
    v = np.pi * r / outermost
    airy = 2 * np.divide(j1(v), v, out=np.full(n, 0.5), where=v != 0)
    profile = probe[n // 2].real / probe[n // 2, n // 2].real
    near = np.abs(r) < 8 * outermost
    assert np.abs(profile - airy)[near].max() < 3e-3
    assert np.abs(probe.imag).max() < 1e-12
    # first dark ring at 1.22 outermost zones
    crossing = np.flatnonzero(np.diff(np.sign(profile[n // 2 :])))[0]
    a, b = profile[n // 2 + crossing : n // 2 + crossing + 2]
    assert (crossing + a / (a - b)) * PIXEL[0] == pytest.approx(1.21967 * outermost, rel=0.01)


def test_focus_of_a_slit_lens_is_the_sinc_pattern():
    n, aperture, focal = 256, (30e-6, 20e-6), (20e-3, 15e-3)
    probe = rectangular_probe((n, n), PIXEL, LAMBDA, aperture=aperture, focal_length=focal)
    x = (np.arange(n) - n // 2) * PIXEL[0]
    profiles = [np.sinc(a * x / (LAMBDA * f)) for a, f in zip(aperture, focal, strict=True)]
    expected = profiles[0][:, None] * profiles[1][None, :]
    near = slice(n // 2 - 40, n // 2 + 40)
    assert np.abs(probe / probe[n // 2, n // 2] - expected)[near, near].max() < 5e-3


def test_defocus_is_propagation_from_the_focus():
    focus = zone_plate_probe((128, 160), PIXEL, LAMBDA, **LENS)
    sample = zone_plate_probe((128, 160), PIXEL, LAMBDA, **LENS, defocus=2e-4)
    assert np.allclose(sample, angular_spectrum(focus, 2e-4, LAMBDA, PIXEL), atol=1e-12)
    lens = {"aperture": (30e-6, 30e-6), "focal_length": (20e-3, 20e-3)}
    focus = rectangular_probe((128, 160), PIXEL, LAMBDA, **lens)
    sample = rectangular_probe((128, 160), PIXEL, LAMBDA, **lens, defocus=-3e-4)
    assert np.allclose(sample, angular_spectrum(focus, -3e-4, LAMBDA, PIXEL), atol=1e-6)


def test_with_astigmatism_the_axes_focus_independently():
    lens = {"aperture": (30e-6, 30e-6), "focal_length": (20e-3, 20e-3)}
    both = rectangular_probe((128, 128), PIXEL, LAMBDA, **lens, defocus=(3e-4, 0.0))
    along_y = rectangular_probe((128, 128), PIXEL, LAMBDA, **lens, defocus=3e-4)
    focus = rectangular_probe((128, 128), PIXEL, LAMBDA, **lens)
    assert correlation(both, np.outer(along_y[:, 64], focus[64])) == pytest.approx(1, abs=1e-9)


def test_far_from_the_focus_the_probe_is_the_geometric_shadow_of_the_lens():
    probe = zone_plate_probe((512, 512), PIXEL, LAMBDA, diameter=160e-6, outermost_zone=60e-9, defocus=1.6e-3)
    assert probe_diameter(probe, PIXEL) == pytest.approx(LAMBDA / 60e-9 * 1.6e-3, rel=0.05)
    stopped = zone_plate_probe((512, 512), PIXEL, LAMBDA, **LENS, defocus=1.6e-3)
    y, x = np.indices((512, 512)) - 256
    inner = np.hypot(y, x) * PIXEL[0] < 0.35 * 70 / 160 * LAMBDA / 60e-9 * 1.6e-3
    assert np.sum(np.abs(stopped[inner]) ** 2) < 0.15 * np.sum(np.abs(probe[inner]) ** 2)


def test_far_field_of_a_zone_plate_probe_is_the_ring():
    probe = zone_plate_probe((128, 128), PIXEL, LAMBDA, **LENS, defocus=2e-4)
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(1)
    pupil = np.abs(fraunhofer(probe))
    y, x = np.indices((128, 128)) - 64
    radius = np.hypot(y, x) / (128 * PIXEL[0]) * 2 * LENS["outermost_zone"]
    assert np.ptp(pupil[(radius > 0.48) & (radius < 0.95)]) < 1e-12
    assert pupil[(radius < 0.39) | (radius > 1.05)].max() < 1e-12


def test_the_probe_changes_continuously_with_the_lens():
    """A pupil without soft edges would change in steps of whole pixels."""
    base, near, far = (
        zone_plate_probe((128, 128), PIXEL, LAMBDA, **(LENS | {"outermost_zone": zone}))
        for zone in (60e-9, 60.003e-9, 60.03e-9)
    )
    small, large = np.linalg.norm(near - base), np.linalg.norm(far - base)
    assert 0 < small < 1e-3
    assert large / small == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outermost_zone": 12e-9}, "exceeds the angles of the detector"),
        ({"defocus": 1e-3}, "wider than the array"),
        ({"central_stop": 170e-6}, "covers the zone plate"),
    ],
)
def test_a_zone_plate_that_does_not_fit_the_array_is_refused(change, message):
    zone_plate_probe((128, 128), PIXEL, LAMBDA, **LENS)
    with pytest.raises(InputError, match=message):
        zone_plate_probe((128, 128), PIXEL, LAMBDA, **(LENS | change))


def test_rectangular_lens_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="exceeds the angles of the detector"):
        rectangular_probe((128, 128), PIXEL, LAMBDA, aperture=(30e-6, 300e-6), focal_length=(20e-3, 20e-3))


def test_probe_from_pattern_finds_the_probe_despite_bad_pixels_and_background():
    truth = 1e3 * zone_plate_probe((128, 128), PIXEL, LAMBDA, **LENS, defocus=2.5e-4)
    pattern = np.abs(fraunhofer(truth)) ** 2
    mask = np.zeros((128, 128), np.uint8)
    mask[60:63] = 1
    mask[40, 50] = mask[90, 90] = 1
    faulty = np.where(mask == 1, np.nan, pattern + 1e-3 * pattern.max())
    faulty[40, 50] = 1e9
    probe = probe_from_pattern(faulty, mask, defocus=2.5e-4, wavelength=LAMBDA, pixel=PIXEL)
    assert correlation(probe, truth) > 0.99
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(pattern.sum() + 1e-3 * pattern.max() * 128**2, rel=5e-3)
    wrong = probe_from_pattern(faulty, mask, defocus=0.0, wavelength=LAMBDA, pixel=PIXEL)
    assert correlation(wrong, truth) < 0.5


def test_probe_from_pattern_is_centred():
    y, x = np.indices((65, 64))
    pattern = 100.0 * np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / 50)
    probe = probe_from_pattern(pattern, np.zeros((65, 64), np.uint8), defocus=0, wavelength=LAMBDA, pixel=PIXEL)
    assert np.unravel_index(np.abs(probe).argmax(), probe.shape) == (32, 32)
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(pattern.sum())


def test_probe_from_an_empty_pattern_is_refused():
    for mask in (np.zeros((16, 16), np.uint8), np.ones((16, 16), np.uint8)):
        with pytest.raises(InputError, match="no counts"):
            probe_from_pattern(np.full((16, 16), float(mask[0, 0])), mask, defocus=0, wavelength=LAMBDA, pixel=PIXEL)


DATA = Path(os.environ.get("EXITWAVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
STAR = DATA / "velociprobe_siemens_star.cxi"


@pytest.mark.skipif(not STAR.exists(), reason=f"the measured data set {STAR} is missing; set EXITWAVE_DATA")
def test_probe_from_the_measured_mean_pattern_is_the_reconstructed_probe_at_one_defocus():
    with h5py.File(STAR, "r", locking=False) as file:
        detector = file["entry_1/instrument_1/detector_1"]
        pattern, mask = np.mean(detector["data"][::4], axis=0), detector["mask"][:]
        reach = file["entry_1/instrument_1/source_1/wavelength"][()] * detector["distance"][()]
        pixel = (reach / (128 * detector["y_pixel_size"][()]), reach / (128 * detector["x_pixel_size"][()]))
        length = file["entry_1/instrument_1/source_1/wavelength"][()]
        truth = file["entry_1/instrument_1/source_1/illumination"][:]

    def agreement(defocus):
        probe = probe_from_pattern(pattern, mask, defocus=defocus, wavelength=length, pixel=pixel)
        shifted = np.fft.ifft2(np.fft.fft2(probe) * np.conj(np.fft.fft2(truth)))
        return np.abs(shifted).max() / np.linalg.norm(probe) / np.linalg.norm(truth)

    assert agreement(7.7e-4) > 0.8
    assert agreement(-7.7e-4) < 0.3
    assert agreement(0.0) < 0.3
