"""The pair of pty-chi: files of other programs are read, and pty-chi reads written files with the same meaning."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.formats import ptychi
from exitwave.errors import InputError, OutputError
from exitwave.positions import object_grid, to_pixels
from exitwave.scan import Result, Scan
from exitwave.units import H_C

PIXEL = 1e-8


def _write_example(folder: Path, object_of_ones: bool = False) -> Path:
    """Write a pair as PtychoViT documents it: without energy and detector."""
    rng = np.random.default_rng(0)
    with h5py.File(folder / "cells_dp.hdf5", "w") as file:
        file["dp"] = rng.poisson(3, (6, 8, 8)).astype(np.uint16)
    with h5py.File(folder / "cells_para.hdf5", "w") as file:
        image = rng.random((1, 40, 50)) + 1j
        file["object"] = np.ones_like(image) if object_of_ones else image
        file["object"].attrs["pixel_height_m"] = file["object"].attrs["pixel_width_m"] = PIXEL
        file["probe"] = np.full((1, 2, 8, 8), 0.5 + 0.5j, np.complex64)
        file["probe_position_x_m"] = np.arange(6) * 3e-8
        file["probe_position_y_m"] = np.arange(6) * -2e-8
    return folder / "cells_para.hdf5"


def test_pair_of_another_program_is_read_by_either_name(tmp_path: Path) -> None:
    for name in ("cells_para.hdf5", "cells_dp.hdf5"):
        _write_example(tmp_path)
        data = exitwave.open(tmp_path / name, energy="8keV", distance="2m")
        assert isinstance(data, Result)
        assert data.scan.patterns.dtype == np.uint16
        assert np.allclose(data.scan.positions[1], [3e-8, -2e-8, 0], atol=1e-15)
        assert data.object.shape == (40, 50)
        assert data.scan.detector.pixel_size[0] == pytest.approx(H_C / 8000 * 2 / (8 * PIXEL))
        assert data.object_pixel == pytest.approx((PIXEL, PIXEL), rel=1e-6)
        assert data.probe.shape == (2, 8, 8)
        assert data.probe[0, 0, 0] == pytest.approx((0.5 + 0.5j) * 8)


def test_object_of_ones_is_not_a_result(tmp_path: Path) -> None:
    assert isinstance(exitwave.open(_write_example(tmp_path, True), energy="8keV", distance="2m"), Scan)


def test_missing_values_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--set energy=8\.8keV"):
        exitwave.open(_write_example(tmp_path))
    (tmp_path / "cells_dp.hdf5").unlink()
    with pytest.raises(InputError, match=r"no cells_dp\.hdf5"):
        exitwave.open(tmp_path / "cells_para.hdf5", dialect="ptychi", energy="8keV")


@pytest.mark.parametrize("side", [8, 9])
def test_window_is_the_same_in_pty_chi(tmp_path: Path, side: int) -> None:
    """pty-chi's window starts at position + round(N / 2) - 1/2 - (n - 1) / 2, ours at the position's pixel - n//2."""
    result = small_result(small_scan(npos=20, side=side))
    ptychi.write(result, tmp_path / "out_dp.hdf5", False)
    with h5py.File(tmp_path / "out_para.hdf5") as file:
        step = np.array([file["object"].attrs[f"pixel_{name}_m"] for name in ("height", "width")])
        pixels = np.stack([file["probe_position_y_m"], file["probe_position_x_m"]], axis=1) / step
        starts = pixels + np.round(np.array(file["object"].shape[1:]) / 2) - 0.5 - (side - 1) / 2
    assert np.allclose(starts, to_pixels(result.positions, result.y, result.x) - side // 2, atol=1e-6)


def test_probe_gives_the_same_counts_without_normalisation(tmp_path: Path) -> None:
    scan = small_scan(npos=20, side=8)
    ptychi.write(scan, tmp_path / "out_dp.hdf5", False)
    assert scan.probe is not None
    with h5py.File(tmp_path / "out_para.hdf5") as file:
        counts = (np.abs(np.fft.fft2(file["probe"][0])) ** 2).sum()
    assert counts == pytest.approx((np.abs(scan.probe) ** 2).sum(), rel=1e-5)


def test_unmet_assumptions_of_pty_chi_are_reported(tmp_path: Path) -> None:
    scan = small_scan(npos=20, side=8)
    written = ptychi.write(scan, tmp_path / "out_dp.hdf5", False)
    found = [f"{each.code} {each.found}" for each in written.findings]
    assert any(each.startswith("W253 3 bad pixels") for each in found)
    assert any(each.startswith("W253 object pixels of") for each in found)
    assert any(each.startswith("W253 2 frames that are left out") for each in found)
    square = replace(scan, detector=replace(scan.detector, pixel_size=(75e-6, 75e-6), mask=np.zeros((8, 8), np.uint8)))
    clean = replace(square.detector, dark=None, flat=None)
    assert ptychi.write(replace(square, left_out={}, detector=clean), tmp_path / "out_dp.hdf5", True).findings == ()


def test_nothing_is_written_if_one_file_exists(tmp_path: Path) -> None:
    (tmp_path / "out_para.hdf5").write_text("mine")
    with pytest.raises(OutputError, match=r"out_para\.hdf5"):
        ptychi.write(small_scan(npos=20, side=8), tmp_path / "out_dp.hdf5", False)
    assert [each.name for each in tmp_path.iterdir()] == ["out_para.hdf5"]


def test_scan_gets_an_object_that_contains_all_windows(tmp_path: Path) -> None:
    scan = small_scan(npos=20, side=8)
    y, x = object_grid(scan.positions, (8, 8), scan.object_pixel)
    ptychi.write(scan, tmp_path / "out_dp.hdf5", False)
    with h5py.File(tmp_path / "out_para.hdf5") as file:
        assert file["object"].shape == (1, y.size, x.size)
