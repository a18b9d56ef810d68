"""PyNX: positions in rows, joules, square pixels, results with reversed rows, and the ambiguity of three positions."""

from pathlib import Path

import cxi_files as cxi
import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.cxi.schema import path
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import InputError
from exitwave.frames import MissingFrames
from exitwave.scan import Detector, Result, Scan

PYNX = DIALECTS.all()["pynx"]


def saved_scan(**others):
    """Return the entries that save_ptycho_data_cxi writes."""
    own = {
        "@creator": "PyNX",
        "entry_1/program_name": "PyNX 2022.1",
        "entry_1/instrument_1/name": "ESRF id16A",
        f"{cxi.GEOMETRY}/translation": cxi.POSITIONS.T.astype(np.float32),
        f"{cxi.DETECTOR}/mask": cxi.BAD.astype(np.int8),
        f"{cxi.DETECTOR}/dark": np.full((cxi.NY, cxi.NX), 0.25, np.float32),
        f"{cxi.DETECTOR}/basis_vectors": np.array([[0, -cxi.PIXEL, 0], [-cxi.PIXEL, 0, 0]], np.float32),
        "entry_1/data_1/monitor": np.arange(1, 8),
    }
    return cxi.plain(**(own | others))


def saved_result(entry: str = "entry_1", factor: float = 1):
    """Return the entries that save_obj_probe_cxi writes; row 0 has the largest y."""
    x, y = (np.arange(29) - 14.5) * 20e-9 + 3e-7, (np.arange(31) - 15.5) * 20e-9
    moved = np.concatenate([cxi.POSITIONS[:, :2].T + 5e-9, np.full((2, 7), 5e-9)])
    return {
        "cxi_version": 150,
        "@creator": "PyNX",
        f"{entry}/program_name": "PyNX 2022.1",
        f"{entry}/instrument_1/source_1/energy": cxi.JOULES,
        f"{entry}/instrument_1/source_1/energy@units": "J",
        f"{entry}/instrument_1/detector_1/distance": cxi.DISTANCE,
        f"{entry}/instrument_1/detector_1/x_pixel_size": cxi.PIXEL,
        f"{entry}/instrument_1/detector_1/y_pixel_size": cxi.PIXEL,
        f"{entry}/result_1/data": (cxi.OBJECT[::-1] * factor)[None],
        f"{entry}/result_1/mask": np.where(np.arange(31)[:, None] < 3, 0x1000, 0) * np.ones((1, 29), int),
        f"{entry}/result_1/col_coords": x * 1e9,
        f"{entry}/result_1/col_coords@units": "nm",
        f"{entry}/result_1/row_coords": y[::-1] * 1e9,
        f"{entry}/result_1/row_coords@units": "nm",
        f"{entry}/result_2/data": np.stack([cxi.PROBE, cxi.PROBE / 2])[:, ::-1],
        f"{entry}/result_5/data": moved.astype(np.float32),
        f"{entry}/object": f"->/{entry}/result_1",
        f"{entry}/data_1/data": f"->/{entry}/result_1/data",
        "entry_last": f"->/{entry}",
    }


def test_saved_scan_with_known_values_is_read(tmp_path: Path) -> None:
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", saved_scan()))
    assert isinstance(scan, Scan)
    assert [(each.code, "pynx" in each.found) for each in scan.findings] == [("I307", True)]
    assert scan.energy == pytest.approx(9000, rel=1e-12)
    np.testing.assert_allclose(scan.positions, cxi.POSITIONS, atol=1e-13)
    np.testing.assert_array_equal(scan.detector.mask, cxi.BAD)
    assert scan.detector.dark is not None
    assert (scan.detector.dark == 0.25).all()
    assert scan.monitor is not None
    assert scan.monitor[-1] == 7
    assert scan.instrument == "ESRF id16A"


def test_rows_of_a_saved_result_are_reversed(tmp_path: Path) -> None:
    result = exitwave.open(cxi.write(tmp_path / "a.cxi", saved_result()))
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.object, cxi.OBJECT)
    np.testing.assert_array_equal(result.probe, [cxi.PROBE, cxi.PROBE / 2])
    assert result.x[[0, 1]] == pytest.approx([10e-9, 30e-9])
    assert result.y[[0, -1]] == pytest.approx([-310e-9, 290e-9])
    assert result.mask[:, 0].tolist() == [0] * 28 + [1] * 3
    np.testing.assert_allclose(result.positions, cxi.POSITIONS + np.array([5e-9, 5e-9, 0]), atol=1e-13)
    np.testing.assert_allclose(result.scan.positions, cxi.POSITIONS, atol=1e-13)
    assert isinstance(result.scan.patterns, MissingFrames)
    assert [each.code for each in result.scan.findings] == ["I307", "W211"]


def test_user_sets_the_scan_of_a_result_and_the_last_entry_is_read(tmp_path: Path) -> None:
    scan = cxi.write(tmp_path / "scan.cxi", saved_scan())
    both = saved_result(factor=3) | saved_result("entry_2")
    result = exitwave.open(cxi.write(tmp_path / "a.cxi", both), scan=str(scan))
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.object, cxi.OBJECT)
    np.testing.assert_array_equal(result.scan.patterns[2], cxi.FRAMES[2])
    seed = DIALECTS.all()["seed"].write
    assert seed is not None
    seed(exitwave.open(tmp_path / "a.cxi"), tmp_path / "seed.cxi", False)
    back = exitwave.open(tmp_path / "seed.cxi")
    assert isinstance(back, Result)
    np.testing.assert_array_equal(back.object, cxi.OBJECT)


def test_three_positions_are_ambiguous_and_refused(tmp_path: Path) -> None:
    square = cxi.POSITIONS[:3] + np.array([0, 0, 1e-9])
    entries = cxi.plain(**{f"{cxi.DETECTOR}/data": cxi.FRAMES[:3], f"{cxi.GEOMETRY}/translation": square.T})
    file = cxi.write(tmp_path / "a.cxi", entries)
    with pytest.raises(InputError, match=r"the positions.*--from cxi16 or --from pynx"):
        exitwave.open(file)
    one, other = (exitwave.open(file, dialect=name) for name in ("cxi16", "pynx"))
    assert isinstance(one, Scan)
    assert isinstance(other, Scan)
    np.testing.assert_array_equal(one.positions, square.T)
    np.testing.assert_array_equal(other.positions, square)


def square_scan(**changes) -> Scan:
    scan = small_scan(**changes)
    return small_scan(
        **(changes | {"detector": Detector(2.0, (75e-6, 75e-6), scan.detector.mask, dark=scan.detector.dark)})
    )


def test_written_file_has_the_entries_that_pynx_reads(tmp_path: Path) -> None:
    target, scan = tmp_path / "a.cxi", square_scan(monitor=np.arange(1.0, 201))
    result = small_result(scan)
    assert PYNX.write is not None
    PYNX.write(result, target, False)
    with h5py.File(target) as file:
        x, y = file["/entry_1/sample_1/geometry_1/translation"][0:2]  # as PyNX does
        np.testing.assert_array_equal(np.stack([x, y], axis=1), scan.positions[:, :2])
        assert file["/entry_1/instrument_1/source_1/energy"][()] / 1.60218e-16 == pytest.approx(8.80025, rel=1e-5)
        assert file["/entry_1/instrument_1/name"][()] == b"26-ID"
        np.testing.assert_array_equal(file["/entry_1/instrument_1/detector_1/dark"], scan.detector.dark)
        assert file["/entry_1/data_1/monitor"].dtype == np.float64
        entry = file["entry_last"]
        np.testing.assert_array_equal(np.flip(entry["object/data"][()], axis=-2)[0], result.object)
        np.testing.assert_array_equal(np.flip(entry["probe/data"][()], axis=-2), result.probe)
        assert entry["probe/x_pixel_size"][()] == result.object_pixel[1]
        np.testing.assert_array_equal(np.flipud(entry["result_1/mask"][()] > 0), result.mask)
    assert PYNX.check is not None
    assert {each.code for each in PYNX.check(target)} == {"W252"}


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    assert PYNX.write is not None
    with pytest.raises(InputError, match="square detector pixels"):
        PYNX.write(small_scan(), tmp_path / "a.cxi", False)
    assert not list(tmp_path.iterdir())


def test_profile_reports_why_pynx_cannot_read_a_file_of_the_schema(scan_file: Path) -> None:
    assert PYNX.check is not None
    found = {(each.code, each.path) for each in PYNX.check(scan_file)}
    expected = {("E121", path("positions")), ("E122", path("energy")), ("E122", path("y_pixel_size"))}
    assert {each for each in found if each[0] != "W252"} == expected
    assert ("W252", path("dark")) in found
    with h5py.File(scan_file, "r+") as file:
        file[path("mask")][...] = 0
        bits = file[path("mask")][()].astype(np.uint32)
        bits[0] = 0x1000
        del file[path("mask")], file[path("instrument_name")]
        file[path("mask")] = bits
    found = {(each.code, each.path) for each in PYNX.check(scan_file)}
    assert {("E122", path("mask")), ("E121", path("instrument_name"))} <= found
