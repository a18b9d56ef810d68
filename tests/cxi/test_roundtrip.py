"""Scans and results are read back bit for bit, and a second file has the same bytes."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import small_result, small_scan, small_truth

from exitwave.cxi.read import read
from exitwave.cxi.schema import BY_KEY, TABLE, path
from exitwave.errors import Finding
from exitwave.frames import Frames
from exitwave.scan import Result, Scan


def assert_same(a: Any, b: Any, name: str = "") -> None:
    if is_dataclass(a):
        for field in fields(a):
            if field.name not in ("path", "findings"):
                assert_same(getattr(a, field.name), getattr(b, field.name), f"{name}.{field.name}")
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            assert_same(a[key], b[key], f"{name}[{key}]")
    elif isinstance(a, Frames | np.ndarray):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name, strict=True)
    else:
        assert a == b, name


def opened(file: Path) -> Scan:
    scan = read(file)
    assert isinstance(scan, Scan)
    return scan


def opened_result(file: Path) -> Result:
    result = read(file)
    assert isinstance(result, Result)
    return result


def test_a_scan_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    scan = small_scan(truth=small_truth(small_scan()))
    scan.save(tmp_path / "a.cxi")
    again = opened(tmp_path / "a.cxi")
    assert_same(scan, again)
    assert again.findings == ()
    again.save(tmp_path / "b.cxi")
    assert (tmp_path / "a.cxi").read_bytes() == (tmp_path / "b.cxi").read_bytes()


def test_missing_values_of_a_scan_are_completed_in_the_file(tmp_path: Path) -> None:
    full = small_scan()
    bare = replace(full.detector, corner_position=None, saturation=None, pixel_mask=None, dark=None, flat=None)
    scan = small_scan(detector=bare, probe=None, name="", description="", instrument="")
    scan.save(tmp_path / "a.cxi")
    again = opened(tmp_path / "a.cxi")
    assert again.findings == ()
    assert again.probe is None
    assert again.detector.saturation is None
    np.testing.assert_allclose(again.detector.corner_position, [32 * 55e-6, 32 * 75e-6, 2.0])
    np.testing.assert_array_equal(again.detector.pixel_mask, bare.mask.astype(np.uint32) * 0x100)
    again.save(tmp_path / "b.cxi")
    assert (tmp_path / "a.cxi").read_bytes() == (tmp_path / "b.cxi").read_bytes()


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("embed", [False, True])
def test_a_result_is_read_back_bit_for_bit(modes: int, embed: bool, scan_file: Path, tmp_path: Path) -> None:
    result = small_result(opened(scan_file), modes)
    result.save(tmp_path / "a.cxi", embed=embed)
    again = opened_result(tmp_path / "a.cxi")
    assert_same(result, replace(again, scan=replace(again.scan, probe=result.scan.probe)))
    np.testing.assert_array_equal(again.scan.probe, result.probe)
    assert again.scan.findings == ()
    again.save(tmp_path / "b.cxi", embed=embed)
    assert (tmp_path / "a.cxi").read_bytes() == (tmp_path / "b.cxi").read_bytes()


def test_the_link_to_the_patterns_is_relative_to_the_folder_of_the_result(scan_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    small_result(opened(scan_file)).save(folder / "a.cxi")
    with h5py.File(folder / "a.cxi") as file:
        link = file.get(path("frames"), getlink=True)
        assert (link.filename, link.path) == ("../scan.cxi", path("frames"))
    moved = tmp_path / "moved"
    moved.mkdir()
    scan_file.rename(moved / "scan.cxi")
    folder.rename(moved / "results")
    again = opened_result(moved / "results" / "a.cxi")
    assert again.scan.patterns.path == moved / "scan.cxi"
    np.testing.assert_array_equal(again.scan.patterns[5], small_scan().patterns[5])


def test_computed_patterns_are_embedded(tmp_path: Path, scan_file: Path) -> None:
    class Doubled(Frames):
        def __getitem__(self, index: Any) -> Any:
            return 2 * super().__getitem__(index)

    scan = opened(scan_file)
    assert scan.patterns.path is not None
    doubled = replace(scan, patterns=Doubled(scan.patterns.path, scan.patterns.dataset))
    small_result(doubled).save(tmp_path / "a.cxi")
    np.testing.assert_array_equal(opened_result(tmp_path / "a.cxi").scan.patterns[7], 2 * scan.patterns[7])


def test_a_long_error_metric_can_be_stored(tmp_path: Path) -> None:
    small_result(small_scan(), iterations=20_000).save(tmp_path / "a.cxi")
    assert opened_result(tmp_path / "a.cxi").errors.shape == (20_000,)


def test_every_row_of_the_table_is_written_with_its_type_value_and_units(result_file: Path) -> None:
    with h5py.File(result_file) as file:
        for entry in TABLE:
            if entry.need == "foreign" or entry.key in (
                "command", "input", "digest", "near_field", "source_distance", "object_z", "true_z", "model_exposures",
                "true_model_motion", "frame_mask", "wide_probe", "model_distance", "model_assumed_distance",
                "frames_view", "monitor", "input_files", "input_frames",
            ):  # fmt: skip
                assert entry.path not in file
                continue
            if entry.kind == "attribute":
                stored = file[entry.owner].attrs[entry.name]
            elif entry.kind == "link":
                link = file.get(entry.path, getlink=True)
                assert isinstance(link, h5py.SoftLink)
                assert link.path == path(entry.target)
                continue
            else:
                stored = file[entry.path]
                assert isinstance(stored, h5py.Dataset if entry.kind == "dataset" else h5py.Group)
                assert entry.kind == "group" or stored.attrs.get("units", "") == entry.units
            if entry.dtype and entry.dtype != "str":
                assert np.dtype(entry.dtype) == stored.dtype, entry
            if entry.value is not None and entry.kind == "attribute":
                assert np.array_equal(stored, entry.value)


def test_every_frame_is_one_compressed_chunk(scan_file: Path) -> None:
    with h5py.File(scan_file) as file:
        stack = file[path("frames")]
        assert stack.chunks == (1, 64, 64)
        assert stack.compression == "gzip"
        assert stack.shuffle


def test_integer_counts_are_exact_in_float32_or_give_a_finding(tmp_path: Path) -> None:
    from exitwave.cxi.write import write_scan

    counts = np.ones((200, 64, 64), np.uint32)
    counts[3, 3, 5] = 2**32 - 1  # a marker in a masked pixel
    assert write_scan(small_scan(patterns=Frames(counts)), tmp_path / "a.cxi") == ()
    counts[4, 10, 10] = 2**24 + 1
    (found,) = write_scan(small_scan(patterns=Frames(counts)), tmp_path / "b.cxi")
    assert isinstance(found, Finding)
    assert found.code == "W208"


@settings(max_examples=25, deadline=None)
@given(
    energy=st.floats(50, 200e3),
    offset=st.tuples(*[st.floats(-1e-3, 1e-3)] * 3),
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
def test_any_number_and_any_text_are_read_back(tmp_path_factory: pytest.TempPathFactory, energy, offset, name) -> None:
    scan = small_scan(4, 8, energy=energy, name=name, probe=None)
    file = tmp_path_factory.mktemp("text") / "a.cxi"
    factor = 1e-9 / max(scan.object_pixel)  # keep the object pixel plausible at every energy
    scan = replace(scan, detector=replace(scan.detector, distance=scan.detector.distance * factor))
    scan = replace(scan, positions=np.array(offset) + np.linspace(0, 1e-8, 12).reshape(4, 3))
    scan.save(file)
    assert_same(scan, opened(file))


def test_units_are_on_the_dataset_and_on_the_group_of_the_specification(scan_file: Path) -> None:
    with h5py.File(scan_file) as file:
        for key in ("energy", "positions"):
            dataset = file[path(key)]
            assert dataset.attrs["units"] == dataset.parent.attrs["units"] == BY_KEY[key].units
