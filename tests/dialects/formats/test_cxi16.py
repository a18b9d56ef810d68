"""The official CXI 1.6: joules, bit masks, named dimensions, several images; a file with known values is read."""

from pathlib import Path

import cxi_files as cxi
import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.cxi.schema import path
from exitwave.dialects.registry import DIALECTS
from exitwave.scan import Result, Scan

CXI16 = DIALECTS.all()["cxi16"]


def official(**others):
    bits = np.zeros((cxi.NY, cxi.NX), np.uint32)
    bits[cxi.BAD] = 0x8, 0x200
    bits[5, :] |= 0x1000  # signal, no defect
    py = {
        "cxi_version": 160,
        f"{cxi.DETECTOR}/mask": bits,
        f"{cxi.DETECTOR}/basis_vectors": np.array([[0, -cxi.PIXEL, 0], [-cxi.PIXEL, 0, 0]]),
        f"{cxi.DETECTOR}/corner_position": np.array([4.5e-4, 3.75e-4, 2.0]),
        f"{cxi.DETECTOR}/data_dark": np.stack([np.full((cxi.NY, cxi.NX), c, "f4") for c in (1, 3)]),
        f"{cxi.DETECTOR}/translation": f"->/{cxi.GEOMETRY}/translation",
        f"{cxi.DETECTOR}/data@axes": np.bytes_("translation:y:x"),
    }
    return cxi.plain(**(py | others))


def test_file_with_known_values_is_read(tmp_path: Path) -> None:
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", official()))
    assert isinstance(scan, Scan)
    assert [(each.code, "cxi16" in each.found) for each in scan.findings] == [("I307", True)]
    assert scan.energy == pytest.approx(9000, rel=1e-12)
    np.testing.assert_array_equal(scan.positions, cxi.POSITIONS)
    np.testing.assert_array_equal(scan.detector.mask, cxi.BAD)
    assert scan.detector.pixel_mask is not None
    assert scan.detector.pixel_mask[2, 3:5].tolist() == [0x2, 0x1]  # NeXus: dead, gap
    assert scan.detector.pixel_mask[5].sum() == 0
    assert scan.detector.dark is not None
    assert (scan.detector.dark == 2).all()
    np.testing.assert_array_equal(scan.patterns[3], cxi.FRAMES[3])


def test_object_is_the_last_complex_image_in_real_space(tmp_path: Path) -> None:
    images = {
        "entry_1/image_1/data": np.ones((9, 9), "f4"),
        "entry_1/image_2/data": cxi.OBJECT * 2,
        "entry_1/image_10/data": cxi.OBJECT,
        "entry_1/image_10/mask": np.where(np.arange(29) > 4, 0x10000, 0).astype("u4") * np.ones((31, 1), "u4"),
        "entry_1/image_11/data": cxi.OBJECT * 3,
        "entry_1/image_11/data_space": np.bytes_("diffraction"),
    }
    result = exitwave.open(cxi.write(tmp_path / "a.cxi", official(**images)), dialect="cxi16")
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.object, cxi.OBJECT)
    assert result.mask[0].tolist() == [0] * 5 + [1] * 24


def test_written_file_follows_the_standard(tmp_path: Path) -> None:
    target = tmp_path / "a.cxi"
    scan = small_scan()
    assert CXI16.write is not None
    CXI16.write(small_result(scan), target, False)
    with h5py.File(target) as file:
        assert file["cxi_version"][()] == 160
        assert file[path("energy")][()] == pytest.approx(8800.25 * 1.602176634e-19, rel=1e-12)
        mask = file[path("mask")][()]
        assert mask.dtype == np.uint32
        assert mask[3, 4:7].tolist() == [0x8] * 3  # NeXus 2, dead
        assert file[path("frames")].attrs["axes"] == b"translation:y:x"
        np.testing.assert_array_equal(file[path("basis_vectors")], [[0, -75e-6, 0], [-55e-6, 0, 0]])
        np.testing.assert_array_equal(file[path("positions")], scan.positions)
        assert file["entry_1/image_1/data_type"][()] == b"electron density"
        assert file["entry_1/image_1/is_fft_shifted"][()] == 0
        assert set(np.unique(file["entry_1/image_1/mask"])) == {0, 0x10000}
    assert CXI16.check is not None
    assert {each.code for each in CXI16.check(target)} == {"W252"}


def test_profile_reports_what_a_file_of_the_schema_lacks(scan_file: Path) -> None:
    assert CXI16.check is not None
    found = {(each.code, each.path) for each in CXI16.check(scan_file) if each.level == "error"}
    assert found == {("E122", path("energy"))}
    with h5py.File(scan_file, "r+") as file:
        file["entry_1/image_1/data"] = cxi.OBJECT
        del file["cxi_version"], file[path("data_positions")]
        file[path("frames")].attrs["axes"] = "translation:y:x"
        file[path("data_frames")].attrs["axes"] = "translation:y:x"
    found = {(each.code, each.path) for each in CXI16.check(scan_file) if each.level == "error"}
    assert {("E121", "/cxi_version"), ("E121", "/entry_1/image_1/data_type")} <= found
    assert ("E121", path("data_positions")) in found
