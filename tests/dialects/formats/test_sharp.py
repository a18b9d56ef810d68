"""SHARP and COSMIC: the last image with its probe, positions that start at 0, object pixel from the corner."""

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

SHARP = DIALECTS.all()["sharp"]
FROM_ZERO = cxi.POSITIONS - cxi.POSITIONS.min(axis=0)


def processed(**others):
    """Return the entries that the writers of SHARP's files write."""
    own = {
        f"{cxi.GEOMETRY}/translation": FROM_ZERO,
        f"{cxi.DETECTOR}/translation": f"->/{cxi.GEOMETRY}/translation",
        f"{cxi.DETECTOR}/corner_position": np.array([4.5e-4, 3.75e-4, 2.0]),
        f"{cxi.DETECTOR}/probe_mask": np.ones((cxi.NY, cxi.NX)),
        f"{cxi.DETECTOR}/data@axes": np.bytes_("translation:y:x"),
        f"{cxi.SOURCE}/illumination": cxi.PROBE,
    }
    return cxi.plain(**(own | others))


def test_file_with_known_values_is_read(tmp_path: Path) -> None:
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", processed()))
    assert isinstance(scan, Scan)
    assert [each.found for each in scan.findings] == ["file format sharp: instrument_1/detector_1/probe_mask"]
    assert scan.energy == pytest.approx(9000, rel=1e-12)
    np.testing.assert_array_equal(scan.positions, FROM_ZERO)
    assert not scan.detector.mask.any()  # the probe mask is a support, not bad pixels
    np.testing.assert_array_equal(scan.probe, cxi.PROBE[None])


def test_result_is_the_last_image_with_its_own_probe(tmp_path: Path) -> None:
    images = {
        "entry_1/image_1/data": cxi.OBJECT / 2,
        "entry_1/image_2/data": cxi.OBJECT,
        "entry_1/image_2/process_1/final_illumination": cxi.PROBE * 2,
        "entry_1/image_latest": "->/entry_1/image_2",
    }
    result = exitwave.open(cxi.write(tmp_path / "a.cxi", processed(**images)))
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.object, cxi.OBJECT)
    np.testing.assert_array_equal(result.probe, cxi.PROBE[None] * 2)
    assert {each.code for each in result.scan.findings} == {"I307", "I306"}


def test_written_file_has_the_entries_that_sharp_reads(tmp_path: Path) -> None:
    target, scan = tmp_path / "a.cxi", small_scan()
    assert SHARP.write is not None
    lost = {each.path for each in SHARP.write(small_result(scan), target, False).findings}
    assert lost == {path("left_out"), path("corner_position"), path("mask")}
    with h5py.File(target) as file:
        translation = file["/entry_1/instrument_1/detector_1/translation"][()]
        np.testing.assert_allclose(translation, scan.positions - scan.positions.min(axis=0), atol=1e-18)
        corner = file["/entry_1/instrument_1/detector_1/corner_position"][()]
        np.testing.assert_allclose(corner, [32 * 55e-6, 32 * 75e-6, 2.0])
        assert file["/entry_1/image_latest/data"].shape == file["/entry_1/image_1/data"].shape
        assert file["/entry_1/image_1/process_1/final_illumination"].ndim == 2
        assert file["/entry_1/instrument_1/source_1/illumination"].ndim == 2
    assert SHARP.check is not None
    assert {each.code for each in SHARP.check(target)} == {"W252"}


def test_profile_reports_what_sharp_misreads(scan_file: Path) -> None:
    assert SHARP.check is not None
    expected = {("E122", path("energy")), ("E122", path("positions"))}
    assert {(each.code, each.path) for each in SHARP.check(scan_file) if each.level == "error"} == expected
    with h5py.File(scan_file, "r+") as file:
        file[path("energy")][()] = 8800.25 * 1.602176634e-19
        file[path("energy")].attrs["units"] = "J"
        file[path("corner_position")][...] = [1e-3, 1e-3, 2.0]  # less than half the true angle
        del file[path("illumination")]
        file[path("illumination")] = np.ones((2, 64, 64), np.complex64)
    found = {(each.code, each.path) for each in SHARP.check(scan_file)}
    assert {("E122", path("corner_position")), ("E121", path("illumination"))} <= found
    assert ("E122", path("energy")) not in found
