"""Read arrays by name from an HDF5 or NPZ file, with errors that name the array."""

import math
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from tokenize import TokenError
from typing import Any, ParamSpec, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.frames import unreadable
from exitwave.cxi.hdf import LARGE, PACKED, holds_lists, one_number, resolve, text
from exitwave.dialects.tools.assemble import check_frames
from exitwave.dialects.tools.hdf5_values import frames_at, reading
from exitwave.errors import DAMAGE, InputError, damaged
from exitwave.frames import Frames
from exitwave.inputs import note_input

IN_MEMORY = 2**29
"""Largest size in bytes of compressed frames in an NPZ file, which are read into memory."""
BROKEN = (*DAMAGE, EOFError, SyntaxError, TokenError, struct.error, zipfile.BadZipFile, zlib.error)
"""Exceptions of h5py, zipfile and NumPy for a damaged file."""

P = ParamSpec("P")
T = TypeVar("T")


def _guarded(method: Callable[P, T]) -> Callable[P, T]:
    """Turn the exceptions of the libraries for a damaged file into an InputError that names the array."""

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except BROKEN as error:
            array_file: Any = args[0]
            where = array_file.where(str(args[1])) if len(args) > 1 else array_file.file
            raise damaged(where, error) from error

    return guarded


class ArrayFile(ABC):
    """The arrays of an open file, by name.

    ``file`` is its path, ``prefix`` the prefix of the names of entries that Exitwave adds.
    """

    file: Path
    prefix: str

    def where(self, name: str) -> str:
        """Return ``file:name``, for messages."""
        return f"{self.file}:{name}"

    @abstractmethod
    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None; raise InputError if it is damaged or too large."""

    @abstractmethod
    def frames(self, name: str) -> Frames:
        """Return a stack of frames, read from the file when sliced if possible; raise InputError if there is none."""

    @abstractmethod
    def members(self, name: str) -> list[str]:
        """Return the names of the members of a group; empty if there is no such group, as in an NPZ file."""

    @abstractmethod
    def __contains__(self, name: str) -> bool: ...

    def number(self, name: str) -> float | None:
        """Return a number stored as a scalar or as an array of equal values, or None."""
        values = self.array(name)
        return None if values is None else one_number(values, self.where(name))

    def text(self, name: str) -> str:
        """Return text, or an empty string."""
        values = self.array(name)
        return "" if values is None or values.dtype.kind not in "OSU" else text(values)

    def _check_size(self, name: str, size: int, packed: int) -> None:
        if size > LARGE and size > PACKED * packed:
            found = f"{size / 1e9:.1f} GB from {packed} bytes in the file"
            raise InputError("An array is too large", where=self.where(name), found=found, remedy="Remove it")


class Hdf5Arrays(ArrayFile):
    """An HDF5 file; ``group/name@attribute`` is the name of an attribute."""

    prefix = "exitwave/"

    def __init__(self, opened: h5py.File, file: Path) -> None:
        self.opened, self.file = opened, file

    def _holder(self, name: str) -> tuple[Any, str]:
        path, _, attribute = name.partition("@")
        return resolve(self.opened, f"/{path}"), attribute

    @_guarded
    def __contains__(self, name: str) -> bool:
        found, attribute = self._holder(name)
        return attribute in found.attrs if attribute and found is not None else isinstance(found, h5py.Dataset)

    @_guarded
    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None; raise InputError if it is damaged or too large."""
        found, attribute = self._holder(name)
        if attribute:
            stored = None if found is None or attribute not in found.attrs else found.attrs[attribute]
            return None if stored is None or isinstance(stored, h5py.Empty) else np.asarray(stored)
        if not isinstance(found, h5py.Dataset) or found.shape is None:
            return None
        self._check_size(name, found.dtype.itemsize * math.prod(found.shape), found.id.get_storage_size())
        problem = unreadable(found)
        if found.dtype.kind == "V" or holds_lists(found):
            problem = str(found.dtype), "Save plain numbers or text"
        if problem:
            raise InputError("An array cannot be read", where=self.where(name), found=problem[0], remedy=problem[1])
        return np.asarray(found[()]).astype(found.dtype.newbyteorder("="), copy=False)

    @_guarded
    def members(self, name: str) -> list[str]:
        """Return the names of the members of a group; empty if there is no such group."""
        found, _ = self._holder(name)
        return list(found) if isinstance(found, h5py.Group) else []

    @_guarded
    def frames(self, name: str) -> Frames:
        """Return a stack of frames, read from the file when sliced; raise InputError if there is none."""
        return frames_at(self.opened, f"/{name}")


class NpzArrays(ArrayFile):
    """A NumPy archive. Frames that are not compressed stay in the file; arrays that need pickle raise InputError."""

    prefix = "exitwave_"

    def __init__(self, opened: zipfile.ZipFile, file: Path) -> None:
        self.opened, self.file = opened, file
        self.files = {each.filename.removesuffix(".npy"): each for each in opened.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def members(self, name: str) -> list[str]:
        """Return an empty list: an archive has no groups."""
        return []

    def _header(self, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        """Return the shape, whether the order is Fortran, the type, and the length of the header in bytes."""
        member = self.files[name]
        with self.opened.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            else:
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
            start = stream.tell()
        if dtype.hasobject or dtype.kind not in "biufcSU":
            remedy = "Save plain numbers or text"
            raise InputError(
                "An array has other values than numbers or text", where=self.where(name), found=dtype, remedy=remedy
            )
        if member.file_size != start + dtype.itemsize * math.prod(shape):
            found = f"{member.file_size} bytes for {dtype} of shape {shape}"
            raise InputError(
                "The size of an array differs from its header",
                where=self.where(name),
                found=found,
                remedy="Copy the file again from its source",
            )
        return shape, fortran, dtype, start

    @_guarded
    def array(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None; raise InputError if it is damaged or too large."""
        if name not in self.files:
            return None
        self._header(name)
        member = self.files[name]
        self._check_size(name, member.file_size, member.compress_size)
        return self._load(name)

    def _load(self, name: str) -> NDArray[Any]:
        with self.opened.open(self.files[name]) as stream:
            stored = np.lib.format.read_array(stream, allow_pickle=False)
        return np.asarray(stored).astype(stored.dtype.newbyteorder("="), copy=False)

    @_guarded
    def frames(self, name: str) -> Frames:
        """Return a stack of frames, mapped from the file if not compressed; raise InputError if there is none."""
        if name not in self.files:
            raise InputError(
                "The archive lacks the frames",
                where=self.where(name),
                found=", ".join(self.files)[:80],
                remedy="Give the file format with --from NAME; exitwave formats NAME shows its entries",
            )
        shape, fortran, dtype, start = self._header(name)
        member = self.files[name]
        if member.compress_type == zipfile.ZIP_STORED and all(shape):
            with self.file.open("rb") as raw:
                raw.seek(member.header_offset)
                local = struct.unpack("<4s5H3L2H", raw.read(30))
            offset = member.header_offset + 30 + local[-2] + local[-1] + start
            stack: Any = np.memmap(self.file, dtype, "r", offset, shape, "F" if fortran else "C")
            return check_frames(Frames(stack), self.where(name))
        if member.file_size > IN_MEMORY:
            found, remedy = f"{member.file_size / 1e9:.1f} GB", "Save it without compression (numpy.savez), or as HDF5"
            raise InputError("The compressed frames are too large", where=self.where(name), found=found, remedy=remedy)
        return check_frames(Frames(self._load(name)), self.where(name))


@contextmanager
def open_arrays(file: Path) -> Iterator[ArrayFile]:
    """Open an HDF5 or NPZ file and yield its arrays.

    Raises
    ------
    InputError
        If there is no such file, it has another format, or it is truncated.
    """
    if not is_zip(file):
        with reading(file) as hdf:
            yield Hdf5Arrays(hdf, file)
        return
    note_input(file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield NpzArrays(archive, file)
    except BROKEN as error:
        remedy = "Copy it again from its source"
        raise InputError("The archive is damaged", where=file, found=error, remedy=remedy) from error


def is_zip(file: Path) -> bool:
    """Return whether a file begins as a zip archive, such as an NPZ file."""
    try:
        with file.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def existing_entries(file: Path, names: tuple[str, ...]) -> set[str]:
    """Return those of ``names`` that a file has; empty if it cannot be opened. Never raise."""
    try:
        with open_arrays(file) as array_file:
            return {name for name in names if name in array_file}
    except (InputError, *BROKEN):
        return set()
