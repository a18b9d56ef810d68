"""The validator gives no finding for valid files and the right code for every departure from the schema."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from bad_files import BAD_INPUTS, BadInput, put
from samples import small_result, small_scan

from exitwave.cxi.read import read
from exitwave.cxi.schema import BY_KEY, TABLE, Entry, path
from exitwave.cxi.validate import validate
from exitwave.errors import InputError

REQUIRED = [entry for entry in TABLE if entry.need == "required"]
ARRAYS = [entry for entry in REQUIRED if entry.kind == "dataset"]


def codes(file: Path, level: str = "") -> list[str]:
    return [finding.code for finding in validate(file) if not level or finding.level == level]


def test_written_files_have_no_finding(scan_file: Path, result_file: Path, tmp_path: Path) -> None:
    assert validate(scan_file) == []
    assert validate(result_file) == []
    small_result(read(scan_file), modes=1).save(tmp_path / "embedded.cxi", embed=True)
    assert validate(tmp_path / "embedded.cxi") == []


def test_measured_file_of_the_schema_has_no_finding(measured: Path) -> None:
    assert validate(measured / "velociprobe_siemens_star.cxi") == []


def test_saving_a_foreign_file_makes_it_valid(measured: Path, tmp_path: Path) -> None:
    foreign = measured / "petra_p25_near_field.cxi"
    assert "E105" in codes(foreign)
    read(foreign).save(tmp_path / "own.cxi")
    assert codes(tmp_path / "own.cxi", "error") == []


@pytest.mark.parametrize("entry", REQUIRED, ids=lambda entry: entry.key)
def test_every_missing_required_entry_is_found(entry: Entry, result_file: Path) -> None:
    with h5py.File(result_file, "r+") as file:
        if entry.kind == "attribute":
            del file[entry.owner].attrs[entry.name]
        else:
            del file[entry.path]
    found = validate(result_file)
    if entry.key == "image":  # without it the file is a scan
        assert found == []
    elif entry.key == "object":
        assert [(finding.code, finding.path) for finding in found] == [("E101", entry.path)]
    else:
        assert ("E101", entry.path) in [(finding.code, finding.path) for finding in found]


@pytest.mark.parametrize("entry", ARRAYS, ids=lambda entry: entry.key)
def test_type_shape_and_kind_of_every_required_array_are_checked(entry: Entry, result_file: Path) -> None:
    with h5py.File(result_file) as file:
        value = file[entry.path][()]
    other = value.astype({"complex64": "complex128", "float32": "float64"}.get(entry.dtype, "float32"))
    place = result_file.with_name("changed.cxi")
    deep = np.asarray(value)[None, None]
    for changed, expected in ((other, "E103"), (deep, "E104"), (b"text", "E103")):
        shutil.copy(result_file, place)
        put(entry.key, changed, entry.units or None)(place)
        found = {(finding.code, finding.path) for finding in validate(place)}
        if entry.key == "frames" and changed is other:
            expected = "W210"
        assert (expected, entry.path) in found
    shutil.copy(result_file, place)
    with h5py.File(place, "r+") as file:
        del file[entry.path]
        file.create_group(entry.path)
    assert ("E102", entry.path) in {(finding.code, finding.path) for finding in validate(place)}


@pytest.mark.parametrize("bad", [bad for bad in BAD_INPUTS if bad.name != "unknown setting"], ids=lambda bad: bad.name)
def test_every_bad_input_is_invalid_or_cannot_be_opened(bad: BadInput, scan_file: Path) -> None:
    bad.corrupt(scan_file)
    try:
        findings = validate(scan_file)
    except InputError:
        assert bad.name in ("not HDF5", "empty", "truncated", "absent")
        return
    if bad.name == "energy and wavelength differ":
        assert [finding.code for finding in findings] == ["W203"]
    elif bad.name in ("detector mirrored", "unknown kind of mask"):
        assert findings == []  # additional entries are allowed
    else:
        assert any(finding.level == "error" for finding in findings)
    assert all(finding.remedy and finding.found for finding in findings)


@pytest.mark.parametrize(
    ("key", "value", "units", "code"),
    [
        ("mask", np.full((64, 64), 4, "u1"), None, "E110"),
        ("mask", np.ones((64, 64), "u1"), None, "E110"),
        ("energy", 2e6, "eV", "E109"),
        ("energy", 8800.0, "keV", "E105"),
        ("distance", -2.0, "m", "E115"),
        ("positions", np.full((200, 3), np.inf), "m", "E111"),
        ("positions", small_scan().positions * 1e6, "m", "E116"),
        ("wavelength", 2e-10, "m", "W203"),
        ("energy", 4000.0, "eV", "W223"),
        ("distance", 0.5, "m", "W224"),
        ("x_pixel_size", 13e-6, "m", "W225"),
    ],
)
def test_values_are_checked(key: str, value, units: str | None, code: str, scan_file: Path) -> None:
    put(key, value, units)(scan_file)
    assert code in codes(scan_file)


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_bad_counts_are_found_in_good_pixels_only(value: float, scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        file[path("frames")][0, 3, 5] = value  # a masked pixel
    assert codes(scan_file) == []
    with h5py.File(scan_file, "r+") as file:
        file[path("frames")][0, 10, 5] = value
    assert codes(scan_file) == ["E112"]


def test_error_metric_and_iterations_must_agree(result_file: Path) -> None:
    with h5py.File(result_file, "r+") as file:
        file[path("process")].attrs["iterations"] = 6
    assert codes(result_file) == ["E113", "E104"] or codes(result_file) == ["E113"]
    with h5py.File(result_file, "r+") as file:
        file[path("process")].attrs["iterations"] = 5
        file[path("process")].attrs["error_metric"] = np.array([1, 2, 3, 4, np.nan], "f4")
    assert codes(result_file) == ["E111"]


def test_links_must_be_soft_with_the_right_target(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        del file[path("data_positions")]
        file[path("data_positions")] = file[path("positions")]
        del file[path("data_frames")]
        file[path("data_frames")] = h5py.SoftLink(path("mask"))
    found = {finding.path: finding.code for finding in validate(scan_file)}
    assert found == {path("data_positions"): "E102", path("data_frames"): "E107"}


def test_dimensions_outside_the_typical_ranges_are_warnings(tmp_path: Path) -> None:
    small_scan(20, 32).save(tmp_path / "small.cxi")
    assert codes(tmp_path / "small.cxi") == ["W221", "W222"]


def test_additional_entries_are_allowed(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        file["/entry_1/note_1/text"] = "anything"
        file[BY_KEY["source"].path].attrs["facility"] = "APS"
    assert validate(scan_file) == []


def test_a_quick_check_reads_only_a_sample_of_the_frames(scan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    original = h5py.Dataset.__getitem__

    def count(self, index):
        if self.ndim == 3 and self.shape[0] == 200:
            reads.append(index)
        return original(self, index)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", count)
    validate(scan_file, quick=True)
    assert 2 <= len(reads) <= 16


def test_every_damaged_frame_is_named(scan_file: Path) -> None:
    with h5py.File(scan_file) as file:
        places = [file[path("frames")].id.get_chunk_info_by_coord((number, 0, 0)).byte_offset for number in (7, 8, 150)]
    with open(scan_file, "r+b") as file:
        for place in places:
            file.seek(place)
            file.write(bytes(16))
    assert [(each.code, each.found) for each in validate(scan_file)] == [("E114", "frames 7-8, 150 cannot be read")]


def test_what_open_refuses_is_not_valid(scan_file: Path) -> None:
    with h5py.File(scan_file, "r+") as file:
        del file[path("left_out")]
        file[path("left_out")] = '{"no beam": [100000]}'
    (finding,) = validate(scan_file)
    assert (finding.code, finding.path) == ("E118", path("left_out"))
    with pytest.raises(InputError):
        read(scan_file)


def test_an_impossible_energy_gives_no_second_error_for_the_object_pixel(scan_file: Path) -> None:
    put("energy", 8800.25 * 1.602176634e-19, "eV")(scan_file)
    assert [code for code in codes(scan_file, "error") if code in ("E109", "E116", "E117")] == ["E109"]
