"""Tike: archives that its users save, and the requirements of its API on written archives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.detect import recognise
from exitwave.dialects.formats import tike
from exitwave.errors import InputError
from exitwave.scan import Detector, Result, Scan
from exitwave.units import H_C

SETTINGS = {"energy": "8keV", "distance": "2m", "pixel_size": "75um"}


def _square(npos: int = 20, side: int = 8) -> Scan:
    return small_scan(npos=npos, side=side, detector=Detector(2.0, (75e-6, 75e-6), np.eye(side, dtype=np.uint8)))


def _write_example(file: Path, **more: np.ndarray) -> np.ndarray:
    """Save the arrays that tike's examples save; return the frames, centred."""
    frames = np.random.default_rng(0).poisson(3, (4, 8, 8)).astype(np.float32)
    scan = np.array([[1, 2], [3, 4], [5, 6], [9, 8.5]], np.float32)
    probe = np.full((1, 1, 2, 8, 8), 1 + 1j, np.complex64)
    np.savez(file, data=np.fft.ifftshift(frames, axes=(1, 2)), scan=scan, probe=probe, **more)
    return frames


def test_positions_are_rows_and_columns_and_the_zero_frequency_is_moved(tmp_path: Path) -> None:
    frames = _write_example(tmp_path / "star.npz")
    data = exitwave.open(tmp_path / "star.npz", **SETTINGS)
    assert isinstance(data, Scan)
    pixel = H_C / 8000 * 2 / (8 * 75e-6)
    assert np.array_equal(data.patterns[:], frames)
    assert np.allclose(data.positions[3] / pixel, [8.5 + 4, 9 + 4, 0])
    assert data.probe is not None
    assert data.probe.shape == (2, 8, 8)


def test_archive_with_psi_is_a_result_with_pixel_zero_at_zero(tmp_path: Path) -> None:
    psi = np.random.default_rng(1).random((1, 22, 20)) + 0.5j
    _write_example(tmp_path / "star.npz", psi=psi)
    data = exitwave.open(tmp_path / "star.npz", **SETTINGS)
    assert isinstance(data, Result)
    assert data.object.shape == (22, 20)
    assert (data.x[0], data.y[0]) == (0, 0)


def test_missing_values_are_named(tmp_path: Path) -> None:
    _write_example(tmp_path / "star.npz")
    for key in SETTINGS:
        with pytest.raises(InputError, match=f"--set {key}="):
            exitwave.open(tmp_path / "star.npz", **{k: v for k, v in SETTINGS.items() if k != key})


def test_ambiguous_archive_is_refused_with_both_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    more = {"patterns": rng.random((4, 8, 8)), "indexes": np.arange(4)}
    _write_example(tmp_path / "both.npz", **more)
    candidates = recognise(tmp_path / "both.npz")
    assert [each.name for each, _ in candidates] == ["ptychodus"]  # no other format has both entries
    np.savez(tmp_path / "both.npz", data=more["patterns"], scan=rng.random((4, 2)), patterns=more["patterns"])
    np.savez(
        tmp_path / "both_product.npz",
        **dict.fromkeys(("probe_position_x_m", "probe_position_y_m"), np.arange(4) * 1e-7),
    )
    with pytest.raises(InputError, match=r"--from ptychodus or --from tike"):
        exitwave.open(tmp_path / "both.npz", **SETTINGS)


@pytest.mark.parametrize("side", [8, 9])
def test_model_of_the_arrays_is_that_of_exitwave(side: int) -> None:
    """Convention of tike: the unitary FFT of probe times window, not shifted, has the intensity of data."""
    result = small_result(_square(side=side), modes=1)
    whole = replace(result, positions=np.round(result.positions / result.object_pixel[0]) * result.object_pixel[0])
    arrays = whole.to_tike()
    row, column = np.rint(arrays["scan"][3]).astype(int)
    window = arrays["psi"][0, row : row + side, column : column + side]
    intensity = np.abs(np.fft.fft2(arrays["probe"][0, 0, 0] * window, norm="ortho")) ** 2
    from exitwave.positions import to_pixels

    frame = result.scan.used_frames[3]
    top, left = np.rint(to_pixels(whole.positions[[frame]], result.y, result.x))[0].astype(int) - side // 2
    exit_wave = result.probe[0] * result.object[top : top + side, left : left + side]
    expected = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(exit_wave), norm="ortho"))) ** 2
    assert np.allclose(np.fft.fftshift(intensity), expected, rtol=1e-4)


def test_arrays_have_the_types_and_shapes_of_tike(tmp_path: Path) -> None:
    scan = _square()
    arrays = scan.to_tike()
    count = len(scan.used_frames)
    assert {name: (each.dtype.name, each.shape[0]) for name, each in arrays.items()} == {
        "data": ("float32", count),
        "scan": ("float32", count),
        "probe": ("complex64", 1),
        "psi": ("complex64", 1),
        "measured_pixels": ("bool", 8),
    }
    assert arrays["probe"].shape == (1, 1, 1, 8, 8)
    assert arrays["scan"].min() >= 1
    assert (arrays["scan"].max(axis=0) + 1 + 8 <= arrays["psi"].shape[1:]).all()
    assert np.array_equal(np.fft.fftshift(arrays["measured_pixels"]), np.eye(8) == 0)
    good = np.eye(8) == 0
    assert np.array_equal(np.fft.fftshift(arrays["data"][0])[good], scan.patterns[int(scan.used_frames[0])][good])


def test_unmet_requirements_of_tike_are_reported(tmp_path: Path) -> None:
    scan = small_scan(npos=20, side=8, probe=None)
    remarks = [each.found for each in tike.write(scan, tmp_path / "out.npz", False).findings]
    assert "no probe" in remarks
    with pytest.raises(InputError, match="no starting probe"):
        scan.to_tike()
