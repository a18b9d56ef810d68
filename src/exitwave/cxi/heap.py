"""Detect damaged HDF5 heaps of text that would keep the HDF5 library in an endless loop.

HDF5 stores text of variable length in heaps. A heap is a sequence of objects, each with its length. An object of length
0 at the beginning of the free space, or one so long that its end lies before its start, makes HDF5 (up to version 2.0)
loop for ever, in C code that cannot be interrupted.
"""

import mmap
import struct
from functools import lru_cache
from pathlib import Path

LARGEST = 2**26
"""Largest file in bytes that is searched; the damage in a larger file is most likely in the patterns."""
MARK, HEADER, OBJECT = b"GCOL\x01", 16, 16
"""Signature of a heap; bytes before its first object; bytes before the data of each object."""


def is_endless(file: Path) -> bool:
    """Return whether a heap of a file would keep HDF5 in an endless loop."""
    status = file.stat()
    return 0 < status.st_size <= LARGEST and _has_endless_heap(
        str(file), status.st_ino, status.st_size, status.st_mtime_ns
    )


@lru_cache(maxsize=64)
def _has_endless_heap(name: str, inode: int, size: int, changed: int) -> bool:
    """Search a file for endless heaps; the result is kept until the file changes."""
    with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(MARK)
        while start >= 0:
            if _loops(data, start):
                return True
            start = data.find(MARK, start + 1)
    return False


def _loops(data: mmap.mmap, start: int) -> bool:
    """Return whether the objects of the heap at an offset form an endless loop."""
    if start + HEADER > len(data):
        return False
    (size,) = struct.unpack_from("<Q", data, start + 8)
    end, position = start + size, start + HEADER
    if end > len(data):
        return False
    while position + OBJECT <= end:
        index, length = struct.unpack_from("<H6xQ", data, position)
        step = length if index == 0 else OBJECT + (length + 7) // 8 * 8
        if step % 2**64 == 0 or step >= 2**63:
            return True
        position += step
    return False
