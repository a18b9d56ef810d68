"""Zero frequency is found, and all pixels with signal are kept."""

from dataclasses import replace

import numpy as np
import pytest
from samples import small_scan

import exitwave
from exitwave.errors import InputError
from exitwave.frames import Frames, View
from exitwave.optics import fraunhofer
from exitwave.preparation import apply_view, clean_pixels, crop_frames, find_centre, signal_size, survey_frames
from exitwave.preparation.crop import mean_pattern
from exitwave.scan import Scan
from exitwave.simulation import simulate


def off_centre(scan: Scan, rows: int, columns: int) -> Scan:
    """Return a scan with the detector moved by rows and columns, and the probe unchanged."""
    ny, nx = scan.patterns.shape[1:]
    cropped = apply_view(scan, View(rows=(-rows, ny - rows), columns=(-columns, nx - columns)))
    stack = cropped.patterns[:]
    stack[:, cropped.detector.mask != 0] = 0
    detector = replace(cropped.detector, mask=np.zeros((ny, nx), np.uint8), pixel_mask=None)
    return replace(cropped, patterns=Frames(stack), detector=detector, probe=scan.probe)


@pytest.mark.parametrize("preset", ["26-ID", "2-ID-D"])
@pytest.mark.parametrize("seed", range(4))
def test_the_centre_is_found_within_a_pixel(preset: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(n) for n in rng.integers(-12, 13, 2))
    pattern = ("fermat", "raster", "rings", "jitter")[seed]
    faults = {"dark": 0.2 * (seed % 2), "bad_pixels": 0.01 * (seed // 2), "background": 0.05 * (seed == 3)}
    size, photons = (128, 192)[seed % 2], 10 ** rng.uniform(5, 8)
    scan = simulate(preset, scan=pattern, frames=40, detector=size, photons=photons, seed=seed, **faults)
    dark = scan.detector.dark
    moved = clean_pixels(off_centre(scan, rows, columns))
    moved = replace(moved, detector=replace(moved.detector, dark=None if dark is None else dark * 0 + dark.mean()))
    row, column = find_centre(mean_pattern(moved, survey_frames(moved)))
    assert np.hypot(row - size // 2 - rows, column - size // 2 - columns) < 1


def test_frames_off_centre_are_centred_and_a_centred_probe_stays_centred() -> None:
    scan = simulate("26-ID", frames=40, detector=128, photons=1e6)
    cropped = crop_frames(off_centre(scan, 5, -7))
    assert cropped.patterns.shape == scan.patterns.shape
    inside = cropped.detector.mask == 0
    assert 0.85 < inside.mean() < 0.95
    np.testing.assert_array_equal(cropped.patterns[3][inside], scan.patterns[3][inside])
    np.testing.assert_allclose(cropped.probe, scan.probe, atol=1e-3 * np.abs(scan.probe).max())
    assert cropped.preparation[-1].settings["centre"] == [69, 57]
    # a probe with the same shift is shifted with the frames
    shifted = replace(off_centre(scan, 5, -7), probe=apply_view(scan, View(rows=(-5, 123), columns=(7, 135))).probe)
    power = np.abs(fraunhofer(crop_frames(shifted).probe[0])) ** 2
    assert find_centre(power) == (64, 64)


def test_the_smallest_window_with_all_signal_is_kept() -> None:
    scan = simulate("26-ID", frames=40, detector=128, photons=1e6)
    assert crop_frames(scan) is scan
    ring = np.pad(scan.patterns[:], ((0, 0), (64, 64), (64, 64)))
    detector = replace(scan.detector, mask=np.zeros((256, 256), np.uint8), pixel_mask=None)
    wide = replace(scan, patterns=Frames(ring), detector=detector, probe=None)
    cropped = crop_frames(wide)
    assert cropped.patterns.shape[1] in (128, 132)
    assert cropped.object_pixel[0] == pytest.approx(scan.object_pixel[0], rel=0.05)
    known = survey_frames(wide)
    assert signal_size(wide, mean_pattern(wide, known), (128, 128), 1) == cropped.patterns.shape[1]
    binned = crop_frames(wide, bin=2)
    with pytest.raises(InputError, match="cannot be used as lower bounds"):
        exitwave.reconstruct(binned, iterations=1, threads=1, detector={"saturated": "cap"})
    assert binned.patterns.shape[1] * 2 >= cropped.patterns.shape[1]
    assert binned.patterns[3].sum() == wide.patterns[3].sum()


def test_a_detector_that_is_not_square_keeps_its_shape() -> None:
    scan = simulate("26-ID", frames=30, detector=160, photons=1e6)
    oblong = apply_view(scan, View(rows=(16, 144)))
    assert crop_frames(oblong) is oblong
    assert crop_frames(oblong, 100).patterns.shape[1:] == (100, 100)


def test_a_given_size_is_used_and_invalid_sizes_are_refused() -> None:
    scan = small_scan()
    assert crop_frames(scan, 48, centre=(32, 32)).patterns.shape == (200, 48, 48)
    assert crop_frames(scan, None, centre=(32, 32)) is scan
    assert crop_frames(scan, 48, bin=3, centre=(30, 34)).detector.mask.shape == (16, 16)
    near = simulate("near-field", frames=10, detector=64)
    assert crop_frames(near) is near
    assert crop_frames(near, 32).patterns.shape[1:] == (32, 32)
    with pytest.raises(InputError, match="too few pixels"):
        crop_frames(scan, 2, bin=2, centre=(32, 32))
    with pytest.raises(InputError, match="no counts"):
        crop_frames(replace(scan, patterns=Frames(np.zeros((200, 64, 64)))))
