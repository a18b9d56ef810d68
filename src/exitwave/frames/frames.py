"""The frames of a scan, read only where they are sliced; and frames that are made of others as they are read."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import DAMAGE, InputError
from exitwave.frames.view import View as View
from exitwave.frames.view import binned_type

if TYPE_CHECKING:
    import h5py

CHUNKS = 32 * 2**20
"""Bytes of unpacked chunks that an open dataset keeps: a chunk of many frames is unpacked once for all of them."""
LARGEST = 2.0**31 - 1
"""Counts from here on are none: detectors mark pixels without a measurement by 2^31 - 1 or 2^32 - 1."""


def marker(dtype: np.dtype[Any]) -> float:
    """Return the number from which on counts of a type are no counts: 2^n - 1 of an integer of n bits."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" and dtype.itemsize < 4 else LARGEST


def counted(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which counts, of the type that the detector wrote, can be some: finite, not negative, and no mark."""
    return np.isfinite(counts) & (counts >= 0) & (counts < marker(counts.dtype))


def open_hdf5(path: Path) -> "h5py.File":
    """Open an HDF5 file to read, without a lock, unless this process has it open with one already."""
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    try:
        return h5py.File(path, "r", locking=False, rdcc_nbytes=CHUNKS)
    except OSError as error:
        if "locking flag values" not in str(error):
            raise
        return h5py.File(path, "r")


def unreadable_frames(where: str, error: Exception) -> InputError:
    """Return what to raise where HDF5 fails to read frames."""
    remedy = "The file may be truncated or use a compression filter that is not installed; copy it again or repack it"
    return InputError("The frames cannot be read", where=where, found=str(error), remedy=f"{remedy} with gzip")


class Frames:
    """The stack of diffraction patterns, shape (npos, ny, nx), read from the file only where it is sliced.

    Parameters
    ----------
    source : ndarray of shape (npos, ny, nx), or Path
        The counts themselves, or the HDF5 file that holds them.
    dataset : str
        Absolute path of the dataset inside the file; not used for an array.

    Attributes
    ----------
    shape : tuple of int
        (npos, ny, nx).
    dtype : numpy.dtype
        Native byte order, otherwise as stored.
    path, dataset : Path or None, str
        Where the frames lie.
    view : View or None
        How they are looked at, if not as they lie there.
    """

    view: View | None = None

    def __init__(self, source: NDArray[Any] | Path, dataset: str = "") -> None:
        self.path = source if isinstance(source, Path) else None
        self.dataset = dataset
        if isinstance(source, Path):
            with self._file() as file:
                stack = file[dataset]
                self.shape: tuple[int, int, int] = stack.shape
                self.dtype: np.dtype[Any] = stack.dtype.newbyteorder("=")
        else:
            self._array = np.asarray(source)
            self.shape, self.dtype = self._array.shape, self._array.dtype.newbyteorder("=")

    def _file(self) -> "h5py.File":
        assert self.path is not None
        return open_hdf5(self.path)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def room(self) -> int:
        """Bytes that a frame may take on its way, as floats of double precision."""
        return 8 * self.shape[1] * self.shape[2]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self.path is None:
            return self._array[index].astype(self.dtype, copy=False)
        return next(self._read([index]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        stack = self[:]
        return stack if dtype is None else stack.astype(dtype)

    def _each(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        """Yield what lies at each index. A subclass may compute what it gives, so it is asked one by one."""
        plain = type(self) is Frames and self.path is not None
        return self._read(indices) if plain else (self[index] for index in indices)

    def _read(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        """Yield what lies at each index in the file, which is opened once."""
        with self._file() as file:
            stack = None
            for index in indices:
                try:
                    stack = file[self.dataset] if stack is None else stack
                    yield _at(stack, index).astype(self.dtype, copy=False)
                except DAMAGE as error:
                    raise unreadable_frames(f"{self.path}:{self.dataset}", error) from error

    def pick(self, frames: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Yield the frames of the given indices, each of shape (ny, nx), one at a time in memory."""
        return self._each(int(frame) for frame in frames)

    def blocks(self, size: int = 64) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield ``(slice, frames)`` through the stack, ``size`` frames at a time, shape (<=size, ny, nx)."""
        indices = [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]
        return zip(indices, self._each(indices), strict=True)

    def some(self, frames: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Yield ``(indices, frames)`` of frames of ascending indices, ``size`` at a time, shape (<=size, ny, nx)."""
        indices = [frames[start : start + size] for start in range(0, len(frames), size)]
        return zip(indices, self._each(indices), strict=True)


def _at(stack: "h5py.Dataset", index: Any) -> NDArray[Any]:
    """Return what lies at an index. HDF5 takes longer over scattered frames than over one after the other."""
    if not (isinstance(index, np.ndarray) and index.dtype.kind == "i" and index.size):
        return np.asarray(stack[index])
    run = (np.diff(index) == 1).all()
    return np.asarray(stack[index[0] : index[-1] + 1] if run else [stack[frame] for frame in index])


class MissingFrames(Frames):
    """The stack of a result whose frames have moved away, shape (npos, ny, nx): slicing it raises InputError.

    Parameters
    ----------
    path : Path
        The HDF5 file that held them.
    dataset : str
        Their absolute path in it.
    shape : tuple of int
        (npos, ny, nx), from what the result keeps itself.
    view : View, optional
        How they were looked at.
    """

    def __init__(self, path: Path, dataset: str, shape: tuple[int, int, int], view: View | None = None) -> None:
        self.path, self.dataset, self.shape, self.dtype = path, dataset, shape, np.dtype(np.float32)
        self.view = view

    def _file(self) -> "h5py.File":
        raise InputError(
            "The frames of this result are missing",
            where=f"{self.path}:{self.dataset}",
            found="no such file or dataset",
            remedy="Put the input back where it was, or reconstruct again with --embed, which copies the frames",
        )


class DerivedFrames(Frames):
    """Frames that are not simply a dataset of a file; a subclass yields them in ``_each``, and sets shape and dtype."""

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = index if isinstance(index, tuple) else (index,)
        if any(part is Ellipsis for part in parts):
            at = next(place for place, part in enumerate(parts) if part is Ellipsis)
            parts = (*parts[:at], *[slice(None)] * (4 - len(parts)), *parts[at + 1 :])
        wanted = np.arange(len(self))[parts[0] if parts else slice(None)]
        stack = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        for place, frame in enumerate(self.pick(wanted.ravel())):
            stack[place] = frame
        return stack.reshape(*wanted.shape, *self.shape[1:])[(*[slice(None)] * wanted.ndim, *parts[1:])]

    def _each(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        raise NotImplementedError


class ChangedFrames(DerivedFrames):
    """Frames that are computed from others where they are sliced, shape (npos, ny, nx).

    Parameters
    ----------
    source : Frames
        The frames that are read.
    change : callable
        Makes of their counts, shape (..., ny, nx), what is given; each frame by itself.
    shape : tuple of int
        Shape (ny, nx) of a frame that is given.
    dtype : numpy.dtype
        Its type.
    """

    def __init__(
        self,
        source: Frames,
        change: Callable[[NDArray[Any]], NDArray[Any]],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
    ) -> None:
        self.source, self.change = source, change
        self.path, self.dataset = source.path, source.dataset
        self.shape, self.dtype = (len(source), *shape), dtype

    @property
    def room(self) -> int:
        """Bytes that a frame may take on its way, as it is read or as it is given."""
        return max(super().room, self.source.room)

    def _each(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        return (self.change(counts) for counts in self.source._each(indices))


class ViewedFrames(ChangedFrames):
    """Frames as a view shows them, shape (npos, ny, nx); read, turned, cut and binned where they are sliced.

    Parameters
    ----------
    source : Frames
        The frames; views of views become one.
    view : View
        How they are looked at.
    saturation : float, optional
        Counts of ``source`` above which a pixel is saturated.
    """

    view: View

    def __init__(self, source: Frames, view: View, saturation: float | None = None) -> None:
        self.saturation = saturation
        if isinstance(source, ViewedFrames):
            first, inner = source.view, source.source
            self.saturation = source.saturation if saturation is None else saturation / first.bin**2
            source, view = inner, first.then(view, inner.shape[1:])
        dtype = source.dtype if view.bin == 1 else binned_type(source.dtype)
        super().__init__(source, partial(view.see, saturation=self.saturation), view.shape(source.shape[1:]), dtype)
        self.view = view
