"""A damaged heap of text that would keep HDF5 in an endless loop is detected before HDF5 reads it."""

import struct
from pathlib import Path

import h5py
import pytest

from exitwave.cxi.hdf import open_file
from exitwave.cxi.heap import MARK, is_endless
from exitwave.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        for number in range(300):
            opened.attrs[f"text{number}"] = "word" * number
    return tmp_path / "a.h5"


def test_valid_heaps_are_accepted(file: Path, scan_file: Path, result_file: Path) -> None:
    assert not any(map(is_endless, (file, scan_file, result_file)))


@pytest.mark.parametrize(("index", "length"), [(0, 0), (3, 2**64 - 16), (3, 2**64 - 1024)])
def test_an_endless_heap_is_refused(file: Path, index: int, length: int) -> None:
    data = bytearray(file.read_bytes())
    first = data.index(MARK) + 16
    data[first : first + 16] = struct.pack("<HHIQ", index, 1, 0, length)
    file.write_bytes(data)
    with pytest.raises(InputError, match="heap of text"):
        open_file(file)


@pytest.mark.parametrize(
    "data", [b"", MARK, MARK + b"\0\0\0" + b"\xff" * 8, MARK + b"\0\0\0" + struct.pack("<Q", 17) + b"\0"]
)
def test_the_signature_of_a_heap_alone_is_accepted(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert not is_endless(tmp_path / "a")
