"""The heaps in which HDF5 keeps text of any length: damaged in one way, they keep its reader busy for ever.

A heap is a row of objects, each with its length; an object of length 0 where free space begins, or one so long that the
next would come before it, is a step of HDF5 (up to 2.0) that leads nowhere, in C and not to be interrupted.
"""

import mmap
import struct
from functools import lru_cache
from pathlib import Path

LARGEST = 2**26
"""Bytes of a file that is looked through; in a larger one it is mostly frames that are damaged."""
MARK, HEADER, OBJECT = b"GCOL\x01", 16, 16
"""How a heap begins, and the bytes that stand before its objects and before the data of each."""


def is_endless(place: Path) -> bool:
    """Say whether a heap of a file would keep HDF5 busy for ever."""
    about = place.stat()
    return 0 < about.st_size <= LARGEST and _looked_through(str(place), about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _looked_through(place: str, inode: int, size: int, changed: int) -> bool:
    """Look through a file, once for every state of it."""
    with open(place, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(MARK)
        while at >= 0:
            if _leads_nowhere(data, at):
                return True
            at = data.find(MARK, at + 1)
    return False


def _leads_nowhere(data: mmap.mmap, at: int) -> bool:
    """Walk along the objects of a heap."""
    if at + HEADER > len(data):
        return False
    (size,) = struct.unpack_from("<Q", data, at + 8)
    end, place = at + size, at + HEADER
    if end > len(data):
        return False
    while place + OBJECT <= end:
        index, length = struct.unpack_from("<H6xQ", data, place)
        step = length if index == 0 else OBJECT + (length + 7) // 8 * 8
        if step % 2**64 == 0 or step >= 2**63:
            return True
        place += step
    return False
