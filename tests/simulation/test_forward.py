import numpy as np
import pytest
from scipy import fft

from exitwave.optics import fraunhofer, orthogonalise
from exitwave.scan import Detector, Truth
from exitwave.simulation import SimulatedFrames, intensity, simulate
from exitwave.simulation import forward as forward_module

ZERO = np.zeros(2)


@pytest.fixture(scope="module")
def scan():
    return simulate(detector=128, frames=12, dark=0.5, bad_pixels=0.002, modes=2, seed=3)


def make_probe(shape=(32, 40), modes=1, width=3.0):
    y, x = (np.arange(n) - n // 2 for n in shape)
    probe = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / width**2 + 0.1j * x[None, :])
    return np.stack([probe * (x[None, :] / 4.0) ** m for m in range(modes)])


def make_sample(shape=(60, 60), seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 1, shape) * np.exp(1j * rng.uniform(-1, 1, shape))


def test_a_frame_is_the_intensity_of_the_exit_waves_in_the_far_field():
    probe, specimen = make_probe(modes=2), make_sample()
    frame = intensity(specimen, fft.fft2(probe), np.array([5, 7]), ZERO)
    waves = probe * specimen[5:37, 7:47]
    assert np.allclose(frame, np.sum(np.abs(fraunhofer(waves)) ** 2, axis=0), rtol=1e-10, atol=1e-12)
    assert frame.sum() == pytest.approx(np.sum(np.abs(waves) ** 2))


def test_without_a_sample_each_frame_is_the_far_field_of_the_probe():
    probe = make_probe(modes=2)
    frame = intensity(np.ones((60, 60)), fft.fft2(probe), np.array([3, 4]), np.array([0.37, -0.49]))
    assert np.allclose(frame, np.sum(np.abs(fraunhofer(probe)) ** 2, axis=0), atol=1e-10)
    assert np.unravel_index(frame.argmax(), frame.shape)[0] == 16


def test_a_shift_of_the_probe_equals_a_shift_of_the_window():
    """A Fourier shift by one pixel equals the next row of the object; the opposite sign gives another frame."""
    spectrum, specimen = fft.fft2(make_probe()), make_sample()
    further = intensity(specimen, spectrum, np.array([11, 10]), ZERO)
    shifted = intensity(specimen, spectrum, np.array([10, 10]), np.array([1.0, 0.0]))
    assert np.allclose(further, shifted, atol=1e-9 * further.max())
    other = intensity(specimen, spectrum, np.array([10, 10]), np.array([-1.0, 0.0]))
    assert np.abs(further - other).max() > 1e-2 * further.max()


def test_two_shifts_by_half_a_pixel_equal_one_pixel():
    spectrum, specimen = fft.fft2(make_probe()), make_sample()
    half = np.fft.fftfreq(40) * 0.5
    once = intensity(specimen, spectrum * np.exp(-2j * np.pi * half), np.array([10, 10]), np.array([0.0, 0.5]))
    assert np.allclose(once, intensity(specimen, spectrum, np.array([10, 11]), ZERO), atol=1e-9 * once.max())


def test_frames_do_not_depend_on_the_basis_of_the_modes():
    probe, specimen = make_probe(modes=3), make_sample()
    frames = [
        intensity(specimen, fft.fft2(p), np.array([2, 3]), np.array([0.2, 0.1])) for p in (probe, orthogonalise(probe))
    ]
    assert np.allclose(frames[0], frames[1], rtol=1e-9)


def test_the_position_is_the_centre_of_the_probe(scan):
    """A sample with one transparent pixel transmits only in the frame whose probe centre is at that pixel."""
    truth = scan.truth
    hole = np.zeros_like(truth.object)
    row, column = (np.abs(axis - truth.positions[4, c]).argmin() for axis, c in ((truth.y, 1), (truth.x, 0)))
    hole[row, column] = 1
    centred = np.zeros((1, 128, 128), np.complex64)
    centred[0, 64, 64] = 1.0
    frames = SimulatedFrames(Truth(hole, truth.x, truth.y, centred, truth.positions), scan.detector, 0)
    assert np.argmax([frames.expected(j).sum() for j in range(12)]) == 4


def test_frames_do_not_depend_on_the_order_of_access(scan):
    backwards = simulate(detector=128, frames=12, dark=0.5, bad_pixels=0.002, modes=2, seed=3).patterns
    alone = [backwards[j] for j in (11, 4, 0)]
    stack = scan.patterns[:]
    assert stack.dtype == np.float32
    for frame, j in zip(alone, (11, 4, 0), strict=True):
        assert np.array_equal(frame, stack[j])
    assert len({frame.tobytes() for frame in stack}) == 12


INDICES = [3, -1, slice(2, 9, 3), [1, 5], (slice(None), 64), (2, slice(3, 5), 7), np.arange(12) % 5 == 0, (..., 5), ...]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_large_stack_is_sliced_like_an_array(scan, index, monkeypatch):
    expected = scan.patterns[:][index]
    monkeypatch.setattr(forward_module, "CACHED_BYTES", 0)
    large = SimulatedFrames(scan.truth, scan.detector, 3)
    assert large._cache is None
    for frames in (large, scan.patterns):
        assert np.array_equal(frames[index], expected)
        assert frames[index].shape == expected.shape


def test_changes_of_a_returned_frame_do_not_change_the_stack(scan):
    before = scan.patterns[2]
    scan.patterns[2][:] = -1
    assert np.array_equal(scan.patterns[2], before)
    assert before.min() >= 0


def test_a_scan_of_many_gigabytes_is_computed_only_where_it_is_read():
    scan = simulate(frames=20_000, step=1e-9)
    assert scan.patterns.shape == (20_000, 256, 256)
    assert scan.patterns[19_999, 128, 100:200].sum() > 0
    assert scan.patterns._cache is None


def test_counts_are_poisson_about_the_expected_intensity():
    scan = simulate(detector=128, frames=3, photons=3e5, seed=8)
    expected = np.stack([scan.patterns.expected(j) for j in range(3)])
    counts = scan.patterns[:].astype(float)
    assert np.array_equal(counts, np.rint(counts))
    bright = expected > 5
    chi2 = (counts[bright] - expected[bright]) ** 2 / expected[bright]
    assert chi2.mean() == pytest.approx(1, abs=5 * np.sqrt(2.2 / bright.sum()))
    assert counts.sum() == pytest.approx(expected.sum(), abs=5 * np.sqrt(expected.sum()))
    residuals = ((counts - expected) / np.sqrt(expected + 1)).reshape(3, -1)
    assert abs(np.corrcoef(residuals)[0, 1]) < 0.05, "the noise of two frames is independent"


def test_the_probe_has_the_power_of_the_photons_and_an_empty_sample_transmits_it(scan):
    truth = scan.truth
    empty = Truth(np.ones_like(truth.object), truth.x, truth.y, truth.probe, truth.positions)
    ideal = Detector(2.0, (75e-6, 75e-6), np.zeros((128, 128), np.uint8))
    frames = SimulatedFrames(empty, ideal, 0)
    for j in (0, 7):
        assert frames.expected(j).sum() == pytest.approx(2e6, rel=1e-5)
