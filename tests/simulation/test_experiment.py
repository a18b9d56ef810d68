import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, probe_diameter
from exitwave.positions import linear_overlap, neighbour_distance, object_grid
from exitwave.simulation import PRESETS, SimulatedFrames, simulate

FAR = ["26-ID", "2-ID-D"]


@pytest.mark.parametrize("name", FAR)
def test_presets_have_the_schemas_typical_dimensions(name):
    scan = simulate(name)
    low, high = {"26-ID": (6000, 12000), "2-ID-D": (500, 2000)}[name]
    npos, ny, nx = scan.patterns.shape
    assert low <= scan.energy <= high
    assert {"26-ID": 200, "2-ID-D": 500}[name] <= npos <= {"26-ID": 2000, "2-ID-D": 5000}[name]
    assert (ny, nx) == (256, 256)
    assert {"26-ID": 2, "2-ID-D": 1}[name] <= scan.detector.distance <= {"26-ID": 5, "2-ID-D": 3}[name]
    assert 50e-6 <= scan.detector.pixel_size[0] <= 75e-6
    assert scan.instrument == name
    assert 100e-9 <= neighbour_distance(scan.positions) <= 400e-9


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("detector", [128, 256])
def test_presets_fit_their_probe_into_the_window(name, detector):
    probe, pixel = PRESETS[name].probe((detector, detector))
    window = detector * pixel[0]
    assert window / 7 < probe_diameter(probe, pixel) < window / 3
    rim = np.ones((detector, detector), bool)
    rim[detector // 16 : -detector // 16, detector // 16 : -detector // 16] = False
    assert np.sum(np.abs(probe[rim]) ** 2) < 0.01


@pytest.mark.parametrize("pattern", ["fermat", "raster", "rings", "jitter"])
def test_neighbours_overlap_by_seventy_percent(pattern):
    scan = simulate(scan=pattern, frames=100, detector=128)
    assert len(scan.positions) == 100
    assert linear_overlap(scan.positions, probe_diameter(scan.probe, scan.object_pixel)) == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize(("pattern", "count"), [("fermat", 53), ("rings", 53), ("raster", 56), ("jitter", 56)])
def test_number_of_frames(pattern, count):
    assert simulate(scan=pattern, frames=53, detector=128).patterns.shape == (count, 128, 128)


def test_the_near_field_without_a_sample_is_the_propagated_probe():
    scan = simulate("near-field", detector=64, frames=4, photons=1e8, specimen="texture")
    assert set(PRESETS) == {*FAR, "near-field"}
    assert scan.object_pixel == pytest.approx([55e-6 / scan.magnification] * 2)
    assert scan.magnification == pytest.approx(1 + 2.45 / 8e-3)
    assert scan.propagation_distance == pytest.approx(1 / (1 / 2.45 + 1 / 8e-3))
    truth = scan.truth
    propagated = angular_spectrum(truth.probe[0], scan.propagation_distance, scan.wavelength, scan.object_pixel)
    empty = dataclasses.replace(truth, object=np.ones_like(truth.object))
    frames = SimulatedFrames(empty, scan.detector, 0, transfer=PRESETS["near-field"].transfer((64, 64)))
    image = np.abs(propagated) ** 2
    for frame in (0, 3):
        assert np.allclose(frames.expected(frame), image, rtol=1e-4, atol=1e-3 * image.max())


def test_the_step_is_that_of_the_scan_pattern():
    assert neighbour_distance(simulate(scan="raster", frames=9, step=2e-7).positions) == pytest.approx(2e-7)
    positions = simulate(frames=9, step=2e-7).positions
    assert np.hypot(*positions[1, :2]) == pytest.approx(2e-7)


def test_the_seed_determines_all_random_numbers():
    settings = {"detector": 128, "frames": 4, "bad_pixels": 0.01, "dark": 1.0, "position_error": 2e-8, "scan": "jitter"}
    first, again, other = (simulate(**settings, seed=seed) for seed in (5, 5, 6))
    for a, b, equal in ((first, again, True), (first, other, False)):
        assert np.array_equal(a.patterns[:], b.patterns[:]) is equal
        assert np.array_equal(a.positions, b.positions) is equal
        assert np.array_equal(a.truth.positions, b.truth.positions) is equal
        assert np.array_equal(a.detector.mask, b.detector.mask) is equal
        assert np.array_equal(a.detector.dark, b.detector.dark) is equal
    assert np.array_equal(first.truth.object, again.truth.object)


def test_truth_lies_on_the_grid_of_the_true_positions():
    scan = simulate(detector=128, frames=300, position_error=3e-8, seed=1)
    error = (scan.truth.positions - scan.positions)[:, :2]
    assert np.sqrt(np.mean(error**2, axis=0)) == pytest.approx(3e-8, rel=0.15)
    assert not scan.truth.positions[:, 2].any()
    y, x = object_grid(scan.truth.positions, (128, 128), scan.object_pixel)
    assert np.array_equal(scan.truth.y, y)
    assert np.array_equal(scan.truth.x, x)
    assert scan.truth.object.shape == (y.size, x.size)
    assert np.array_equal(simulate(detector=128, frames=5).truth.positions, simulate(detector=128, frames=5).positions)


def test_modes_have_the_photons_and_a_tenth_of_them_beyond_the_first():
    scan = simulate(detector=128, frames=4, photons=1e5, modes=3)
    powers = np.sum(np.abs(scan.probe.astype(complex)) ** 2, axis=(1, 2))
    assert scan.probe.dtype == np.complex64
    assert powers.sum() == pytest.approx(1e5, rel=1e-5)
    assert powers[1:].sum() == pytest.approx(1e4, rel=1e-5)
    assert np.array_equal(scan.probe, scan.truth.probe)
    assert simulate(detector=128, frames=4).probe.shape == (1, 128, 128)


def test_mode_powers_are_the_given_ones():
    scan = simulate(detector=128, frames=4, photons=1e5, mode_powers=(70, 20, 10))
    powers = np.sum(np.abs(scan.truth.probe.astype(complex)) ** 2, axis=(1, 2))
    assert powers == pytest.approx([7e4, 2e4, 1e4], rel=1e-5)


def test_a_probe_drifts_along_one_mode_and_the_drift_is_zero_in_the_middle():
    scan = simulate(detector=128, frames=31, probe_drift=0.2)
    model, probe = scan.truth.model, scan.truth.probe[0].astype(complex)
    assert model.keys() == {"opr_modes", "opr_weights"}
    changes = model["opr_weights"] @ model["opr_modes"].astype(complex).reshape(1, -1)
    assert np.sqrt(np.mean(np.abs(changes) ** 2, 0).sum()) == pytest.approx(0.2 * np.linalg.norm(probe), rel=1e-5)
    assert abs(np.vdot(model["opr_modes"][0], probe)) < 1e-4 * np.linalg.norm(probe) ** 2
    assert (np.diff(model["opr_weights"][:, 0]) > 0).all()
    assert model["opr_weights"][15] == pytest.approx(0)
    plain = simulate(detector=128, frames=31)
    assert scan.patterns.expected(15) == pytest.approx(plain.patterns.expected(15), rel=1e-6, abs=1e-6)
    difference = np.abs(scan.patterns.expected(0) - plain.patterns.expected(0)).sum() / plain.patterns.expected(0).sum()
    assert difference > 0.05


def test_the_intensity_fluctuates_from_frame_to_frame():
    scan = simulate(detector=128, frames=400, beam_fluctuation=0.1)
    intensities = scan.truth.model["probe_factors"] ** 2
    assert intensities.mean() == pytest.approx(1, abs=0.02)
    assert intensities.std() == pytest.approx(0.1, rel=0.15)
    plain = simulate(detector=128, frames=400)
    assert scan.patterns.expected(7) == pytest.approx(intensities[7] * plain.patterns.expected(7))


def test_pointing_shifts_the_patterns():
    scan, plain = simulate(detector=128, frames=60, pointing=1.0), simulate(detector=128, frames=60)
    shifts = scan.truth.model["pointing"]
    assert np.sqrt(np.mean(shifts**2, axis=0)) == pytest.approx(1.0, rel=0.3)

    def centre(pattern):
        return [np.sum(pattern * index) / pattern.sum() for index in np.indices(pattern.shape)]

    moved = np.subtract(centre(scan.patterns.expected(3)), centre(plain.patterns.expected(3)))
    assert moved == pytest.approx(shifts[3], abs=0.05)


def test_bad_pixels_are_masked_and_read_zero_or_full_scale():
    scan = simulate(detector=128, frames=5, bad_pixels=0.01)
    detector, stack = scan.detector, scan.patterns[:]
    assert detector.mask.dtype == np.uint8
    assert detector.mask.sum() == round(0.01 * 128 * 128)
    assert np.array_equal(detector.mask == 1, detector.pixel_mask != 0)
    dead, hot = detector.pixel_mask == 1 << 1, detector.pixel_mask == 1 << 3
    assert dead.sum() == hot.sum() == detector.mask.sum() // 2
    assert (stack[:, dead] == 0).all()
    assert (stack[:, hot] == detector.saturation).all()
    assert stack[:, detector.mask == 0].max() < detector.saturation


def test_saturation_clips_the_counts():
    scan = simulate(detector=128, frames=4, saturation=150)
    ideal = simulate(detector=128, frames=4).patterns[:]
    assert scan.detector.saturation == 150
    assert (ideal > 150).sum() > 100
    assert np.array_equal(scan.patterns[:], np.minimum(ideal, 150))


def test_dark_current_is_in_the_frames_and_its_mean_in_the_detector():
    scan = simulate(detector=128, frames=20, dark=2.0, photons=1e4)
    assert scan.detector.dark.dtype == np.float32
    assert scan.detector.dark.mean() == pytest.approx(2.0, rel=1e-5)
    assert scan.detector.dark.std() > 0.1
    expected = np.mean([scan.patterns.expected(j) for j in range(20)], axis=0) + scan.detector.dark
    residual = (scan.patterns[:].mean(axis=0) - expected) / np.sqrt(expected / 20)
    assert residual.mean() == pytest.approx(0, abs=5 / 128)
    assert residual.std() == pytest.approx(1, abs=0.03)
    assert simulate(detector=128, frames=4).detector.dark is None


def test_beam_hits_the_centre_of_the_middle_pixel():
    x, y, z = simulate("2-ID-D", detector=129, frames=2).detector.corner_position
    assert (x, y, z) == pytest.approx((64.5 * 75e-6, 64.5 * 75e-6, 1.0))


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "34-ID"},
        {"scan": "spiral"},
        {"specimen": "cat"},
        {"frames": 1},
        {"frames": 10**9},
        {"modes": 0},
        {"photons": 0.0},
        {"photons": float("nan")},
        {"photons": float("inf")},
        {"saturation": 0.0},
        {"bad_pixels": 1.5},
        {"dark": -1.0},
        {"dark": float("inf")},
        {"position_error": -1e-9},
        {"step": 0.0},
        {"step": float("inf")},
        {"position_error": float("inf")},
        {"detector": 4},
        {"detector": 64},
        {"seed": -1},
        {"mode_powers": (1, 0)},
        {"mode_powers": (1, 2), "modes": 3},
        {"probe_drift": 1.0},
        {"beam_fluctuation": -0.1},
        {"pointing": float("nan")},
    ],
    ids=str,
)
def test_invalid_settings_are_refused_with_a_remedy(settings):
    with pytest.raises(InputError) as raised:
        simulate(**({"detector": 128, "frames": 4} | settings))
    assert raised.value.remedy


def test_presets_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["26-ID"].energy = 1.0


def test_the_functions_remain_after_their_packages_are_imported():
    """Run each order of imports in its own interpreter, because imports have lasting effects."""
    call = "assert exitwave.simulate(detector=128, frames=2).patterns.shape == (2, 128, 128)"
    prepare = "assert exitwave.prepare(exitwave.simulate(detector=128, frames=9)).preparation"
    for lines in (
        ["import exitwave", call, prepare],
        ["import exitwave, exitwave.simulation, exitwave.preparation", call, prepare],
        ["import exitwave", call, "from exitwave.simulation import PRESETS", call],
    ):
        subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_an_affine_distortion_moves_the_true_positions_about_their_mean():
    matrix = [[1.02, 0.01], [-0.02, 0.99]]
    scan, plain = (
        simulate(frames=20, detector=128, affine=matrix),
        simulate(frames=20, detector=128),
    )
    about = (plain.positions - plain.positions.mean(0))[:, :2]
    assert np.array_equal(scan.positions, plain.positions)
    assert scan.truth.positions[:, :2] == pytest.approx(about @ np.array(matrix).T + plain.positions.mean(0)[:2])
    with pytest.raises(InputError, match="affine"):
        simulate(affine=[[1, 0], [0, 0]])
