"""A file that changes while it is used is noticed, and a mere change of its time is not."""

import os
from pathlib import Path

import numpy as np
import pytest
from samples import small_scan

from exitwave.cxi.read import read
from exitwave.errors import InputError
from exitwave.frames.file_state import BLOCK, BLOCKS, ENDS, sampled_state
from exitwave.scan import Scan

LATER = 10**9


def set_time(file: Path, nanoseconds: int) -> None:
    os.utime(file, ns=(nanoseconds, nanoseconds))


@pytest.mark.parametrize("size", [0, 1000, 2 * ENDS + BLOCKS * BLOCK, 3_000_000])
def test_a_file_with_another_time_has_not_changed(size: int, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(np.random.default_rng(0).bytes(size))
    state = sampled_state(file)
    set_time(file, state.mtime_ns + LATER)
    assert state.change(file) == ""


def test_other_contents_of_the_same_size_are_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    contents = np.arange(3_000_000 // 8).tobytes()
    file.write_bytes(contents)
    state = sampled_state(file)
    file.write_bytes(contents[::-1])
    set_time(file, state.mtime_ns + LATER)
    assert state.change(file) == "other contents of the same size"
    file.write_bytes(contents[:-1])
    assert state.change(file) == "2999999 bytes, before 3000000"


@pytest.mark.parametrize("frames", [150, 200])
def test_a_scan_that_is_replaced_while_it_is_open_is_refused(frames: int, scan_file: Path) -> None:
    scan = read(scan_file)
    assert isinstance(scan, Scan)
    before = scan_file.stat().st_mtime_ns
    small_scan(npos=frames, description="another one").save(scan_file, overwrite=True)
    set_time(scan_file, before + LATER)
    with pytest.raises(InputError, match=r"scan\.cxi has changed since it was opened"):
        scan.patterns[frames - 1]
    with pytest.raises(InputError, match=r"scan\.cxi has changed since it was opened"):
        next(iter(scan.patterns.blocks()))


def test_a_scan_that_is_deleted_while_it_is_open_is_refused(scan_file: Path) -> None:
    scan = read(scan_file)
    assert isinstance(scan, Scan)
    scan_file.unlink()
    with pytest.raises(InputError, match="cannot be found"):
        scan.patterns[0]
