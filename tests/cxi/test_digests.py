"""Every change of a file is found by its digests: each dataset, each frame, each bit, and the input of a result."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from bit_flips import flipped, random_bits
from samples import small_result, small_scan, small_truth

from exitwave.cxi.changed import CHANGED, require_unchanged_input
from exitwave.cxi.digests import _sealed, walk
from exitwave.cxi.read import read
from exitwave.cxi.schema import path
from exitwave.cxi.verify import Item, read_table, verify_file
from exitwave.cxi.verify_input import verify_files
from exitwave.errors import InputError
from exitwave.frames import Frames, View
from exitwave.frames.confine import confining
from exitwave.frames.input_record import FrameRecorder, InputRecord, sampled_states, values_digest
from exitwave.preparation.view import apply_view
from exitwave.scan import Result, Scan

FRAMES = path("frames")


def small(folder: Path, **changes: object) -> Path:
    """Write a scan of 40 frames of 32 x 32 pixels."""
    scan = small_scan(npos=40, side=32, **changes)
    small_scan(npos=40, side=32, truth=small_truth(scan), **changes).save(folder / "scan.cxi")
    return folder / "scan.cxi"


def result_of(scan_file: Path, target: Path, embed: bool = False) -> Path:
    """Write a result with the record of its input."""
    scan = read(scan_file)
    assert isinstance(scan, Scan)
    with FrameRecorder(scan.patterns) as recorder:
        for _ in recorder.observed().blocks(7):
            pass
    record = InputRecord(sampled_states(scan.patterns), recorder.digests)
    replace(small_result(scan), input=record).save(target, embed=embed)
    return target


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return small(tmp_path)


@pytest.fixture
def result(scan: Path) -> Path:
    return result_of(scan, scan.with_name("result.cxi"))


def faults(file: Path) -> list[Item]:
    return [item for item in verify_file(file).items if item.status != "intact"]


def test_every_file_that_is_written_is_intact(scan: Path, result: Path, tmp_path: Path) -> None:
    embedded = result_of(scan, tmp_path / "embedded.cxi", embed=True)
    opened = read(result)
    assert isinstance(opened, Result)
    opened.save(tmp_path / "again.cxi")
    for file in (scan, result, embedded, tmp_path / "again.cxi"):
        found = verify_file(file)
        assert found.status == "intact"
        with h5py.File(file) as written:
            names = {name for name, _ in walk(written)}
        assert {item.path.removesuffix("@") for item in found.items} == names


def test_the_digests_of_the_frames_are_those_of_their_values(scan: Path, result: Path) -> None:
    opened = read(result)
    assert isinstance(opened, Result)
    stack = opened.scan.patterns[:]
    expected = [np.frombuffer(values_digest(frame), np.uint8) for frame in stack]
    np.testing.assert_array_equal(opened.input.frames, expected)
    with h5py.File(scan) as file:
        table = read_table(file)
    assert table is not None
    assert table.datasets[FRAMES]["frames"] == "40"
    assert "frames" not in table.datasets[path("mask")]


def test_the_digests_of_a_view_are_those_of_the_stored_frames(scan: Path) -> None:
    opened = read(scan)
    assert isinstance(opened, Scan)
    turned = apply_view(opened, View(transpose=True, bin=2))
    with FrameRecorder(turned.patterns) as recorder:
        patterns = recorder.observed()
        np.testing.assert_array_equal(patterns[[3, 5]], turned.patterns[[3, 5]])
    assert np.flatnonzero(recorder.digests.any(axis=1)).tolist() == [3, 5]
    assert recorder.digests[3].tobytes() == values_digest(opened.patterns[3])


def _set_pixel(file: h5py.File) -> None:
    file[path("mask")][5, 5] ^= 1


def _set_attribute(file: h5py.File) -> None:
    file[path("positions")].attrs["units"] = "mm"


def _remove(file: h5py.File) -> None:
    del file[path("distance")]


def _redirect(file: h5py.File) -> None:
    del file[path("data_frames")]
    file[path("data_frames")] = h5py.SoftLink(path("mask"))


def _set_text(file: h5py.File) -> None:
    del file[path("description")]
    file[path("description")] = "another scan"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_set_pixel, path("mask")),
        (_set_attribute, f"{path('positions')}@"),
        (_remove, path("distance")),
        (_redirect, path("data_frames")),
        (_set_text, path("description")),
    ],
    ids=["pixel", "attribute", "removed", "link", "text"],
)
def test_a_change_is_named(change: Callable[[h5py.File], None], name: str, scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        change(file)
    assert (name, "changed") in {(item.path, item.status) for item in faults(scan)}
    assert verify_file(scan).status == "changed"


def test_what_was_added_is_unverifiable_and_no_fault(scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        file["/entry_1/note"] = "a remark"
    assert ("/entry_1/note", "unverifiable") in {(item.path, item.status) for item in faults(scan)}
    assert verify_file(scan).intact


def test_changed_and_damaged_frames_are_named(scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        stack = file[FRAMES]
        place = stack.id.get_chunk_info_by_coord((9, 0, 0)).byte_offset
        stack[4] += 1
        stack[5] += 1
    with open(scan, "r+b") as raw:
        raw.seek(place)
        raw.write(bytes(8))
    (item,) = faults(scan)
    assert (item.path, item.status) == (FRAMES, "damaged")
    assert (item.changed, item.damaged) == ((4, 5), (9,))
    assert item.detail == "frame 9 cannot be read, frames 4-5 changed"


def test_a_file_that_another_program_has_repacked_is_intact(scan: Path) -> None:
    repacked = scan.with_name("repacked.cxi")
    with h5py.File(scan) as source, h5py.File(repacked, "w") as copy:
        for name in source:
            source.copy(name, copy)
        copy.attrs.update(source.attrs)
        counts, attributes = copy[FRAMES][:], dict(copy[FRAMES].attrs)
        del copy[FRAMES]
        copy.create_dataset(FRAMES, data=counts, chunks=(4, 32, 32), compression="lzf").attrs.update(attributes)
    found = verify_file(repacked)
    assert found.status == "intact"
    assert "repacked" in next(item.detail for item in found.items if item.path == FRAMES)


def test_other_stored_bytes_of_the_same_values_are_found(scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        _, chunk = file[FRAMES].id.read_direct_chunk((3, 0, 0))
        place = file[FRAMES].id.get_chunk_info_by_coord((3, 0, 0))
    same = bytes([chunk[0], 0x01]) + chunk[2:]  # another level of compression in the header of zlib
    assert (chunk[1], same != chunk) == (0x5E, True)
    with open(scan, "r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(same)
    (item,) = faults(scan)
    assert item.changed == (3,)


def test_a_file_without_digests_is_unverifiable(scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        del file[path("digests")]
    found = verify_file(scan)
    assert (found.status, found.intact, found.items) == ("unverifiable", True, ())


@pytest.mark.parametrize("which", ["scan", "result"])
def test_every_single_flipped_bit_is_found_and_named(which: str, scan: Path, result: Path) -> None:
    file = {"scan": scan, "result": result}[which]
    for name, offset, bit in random_bits(file, 60, seed=1):
        with flipped(file, offset, bit):
            items = faults(file)
        assert name in {item.path for item in items}, (name, offset, bit)
    assert verify_file(file).status == "intact"


def _reverse(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened[FRAMES][:] = opened[FRAMES][:][::-1]


def _replace(file: Path) -> None:
    counts = np.random.default_rng(9).poisson(0.1, (40, 32, 32)).astype(np.float32)
    small_scan(npos=40, side=32, patterns=Frames(counts)).save(file, overwrite=True)


@pytest.mark.parametrize("change", [_reverse, _replace], ids=["reversed", "replaced"])
def test_a_changed_input_is_a_finding_and_is_refused(change: Callable[[Path], None], scan: Path, result: Path) -> None:
    before = read(result)
    assert CHANGED not in {finding.code for finding in before.scan.findings}
    require_unchanged_input(before, result, allowed=False)
    change(scan)
    after = read(result)
    (finding,) = (finding for finding in after.scan.findings if finding.code == CHANGED)
    assert str(scan) in finding.found
    with pytest.raises(InputError, match="--changed-input"):
        require_unchanged_input(after, result, allowed=False)
    require_unchanged_input(after, result, allowed=True)
    found = verify_files([result])[0]
    assert found.status == "changed"
    assert len(found.items[-1].changed) == 40
    assert found.items[-1].path == f"{scan}:{FRAMES}"


def test_a_copy_of_scan_and_result_is_unchanged(scan: Path, result: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in (scan, result):
        shutil.copy(file, other)
    scan.unlink()
    assert CHANGED not in {finding.code for finding in read(other / "result.cxi").scan.findings}
    assert [found.status for found in verify_files([other / "result.cxi"])] == ["intact"]


@pytest.mark.parametrize("table", ["[]", '{"version": 1, "datasets": [], "attributes": 1, "links": {}}', '{"a": '])
def test_digests_of_another_form_are_damaged(table: str, scan: Path) -> None:
    sealed = _sealed(table.encode())
    with h5py.File(scan, "r+") as file:
        del file[path("digests")]
        file.create_dataset(path("digests"), data=np.array(sealed, h5py.string_dtype("utf-8", len(sealed))))
    (item,) = faults(scan)
    assert (item.path, item.status) == (path("digests"), "damaged")


def test_a_missing_input_is_unverifiable(scan: Path, result: Path) -> None:
    scan.unlink()
    found = verify_files([result])[0]
    assert (found.status, found.items[-1].status) == ("intact", "unverifiable")


@pytest.mark.parametrize("moved", [False, True])
def test_a_foreign_input_is_verified_by_the_result(moved: bool, scan: Path) -> None:
    """The digests of a result are those of the counts as the foreign file has them."""
    with h5py.File(scan, "r+") as file:
        counts = file[FRAMES][:].astype(np.uint16)
        del file[FRAMES], file[path("digests")]
        file.create_dataset(FRAMES, data=counts)
    result = result_of(scan, scan.with_name("result.cxi"))
    here = scan.rename(scan.with_name("elsewhere.cxi")) if moved else scan
    assert verify_file(here).status == "unverifiable"
    assert [found.status for found in verify_files([here, result])] == ["intact", "intact"]
    with h5py.File(here, "r+") as file:
        file[FRAMES][17, 3, 3] += 1
    found = verify_files([here, result])[0]
    assert (found.status, found.items[0].changed) == ("changed", (17,))
    assert verify_files([here])[0].status == "unverifiable"


@pytest.mark.parametrize("key", ["input_files", "input_frames"])
def test_a_damaged_record_does_not_make_a_result_unreadable(key: str, result: Path) -> None:
    with h5py.File(result, "r+") as file:
        del file[path(key)]
        file[path(key)] = json.dumps({"scan.cxi": 3})
    opened = read(result)
    assert "W261" in {finding.code for finding in opened.scan.findings}
    assert isinstance(opened, Result)
    assert opened.input.files == {}


def test_a_confined_result_does_not_check_files_outside_its_folder(result: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}.txt"
    outside.write_text("a file of somebody else")
    with h5py.File(result, "r+") as file:
        del file[path("input_files")]
        states = {f"../{outside.name}": {"size": 1, "mtime_ns": 0, "sample": ""}}
        file[path("input_files")] = json.dumps(states)
    assert CHANGED in {finding.code for finding in read(result).scan.findings}
    with confining(True):
        assert CHANGED not in {finding.code for finding in read(result).scan.findings}
