"""The patterns of a scan, read from the file when they are sliced; and patterns that are computed when read."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import DAMAGE, InputError
from exitwave.frames.confine import note_followed
from exitwave.frames.damage import Damage, no_measurement, raise_if_out_of_memory, unreadable_frames
from exitwave.frames.file_state import FileState, changed_in_use, state_of
from exitwave.frames.view import View as View
from exitwave.frames.view import binned_type
from exitwave.inputs import note_input

if TYPE_CHECKING:
    import h5py

CHUNKS = 32 * 2**20
"""Size in bytes of the cache of decompressed chunks, so that a chunk of many frames is decompressed only once."""
LARGEST = 2.0**31 - 1
"""Counts from this value on are invalid: detectors mark missing measurements by 2^31 - 1 or 2^32 - 1."""


def marker(dtype: np.dtype[Any]) -> float:
    """Return the value from which counts of a type are invalid: the largest integer of 8 or 16 bits, or `LARGEST`."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" and dtype.itemsize < 4 else LARGEST


def valid_counts(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which counts, of the type that the detector wrote, are finite, not negative and below `marker`."""
    return np.isfinite(counts) & (counts >= 0) & (counts < marker(counts.dtype))


def open_hdf5(path: Path) -> "h5py.File":
    """Open an HDF5 file for reading, without a lock unless this process has already opened it with one."""
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    note_input(path)
    try:
        return h5py.File(path, "r", locking=False, rdcc_nbytes=CHUNKS)
    except OSError as error:
        if "locking flag values" not in str(error):
            raise
        return h5py.File(path, "r")


class Frames:
    """The patterns of a scan, shape (npos, ny, nx), read from the file when they are sliced.

    Parameters
    ----------
    source : ndarray of shape (npos, ny, nx), or Path
        The counts, or the HDF5 file that has them.
    dataset : str
        Absolute path of the dataset inside the file; not used for an array.

    Attributes
    ----------
    shape : tuple of int
        (npos, ny, nx).
    dtype : numpy.dtype
        Native byte order, otherwise as stored.
    path, dataset : Path or None, str
        The file (None for an array) and the path of the dataset inside it.
    view : View or None
        The view that is applied to the stored patterns; None: as stored.
    """

    view: View | None = None
    _damage: Damage | None = None
    state: FileState | None = None
    """State of the file when it was opened; None for an array."""

    def __init__(self, source: NDArray[Any] | Path, dataset: str = "") -> None:
        self.path = source if isinstance(source, Path) else None
        self.dataset = dataset
        if isinstance(source, Path):
            self.state = state_of(source)
            note_followed(source)
            with self._file() as file:
                stack = file[dataset]
                self.shape: tuple[int, int, int] = stack.shape
                self.dtype: np.dtype[Any] = stack.dtype.newbyteorder("=")
        else:
            self._array = np.asarray(source)
            self.shape, self.dtype = self._array.shape, self._array.dtype.newbyteorder("=")

    def _file(self) -> "h5py.File":
        assert self.path is not None
        self.require_unchanged()
        return open_hdf5(self.path)

    def require_unchanged(self) -> None:
        """Raise InputError if the file has changed since it was opened."""
        if self.path is not None and self.state is not None and (change := self.state.change(self.path)):
            raise changed_in_use(self.path, change)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def damage(self) -> Damage:
        """The frames that could not be read so far. Their pixels are marked as pixels without a measurement."""
        if self._damage is None:
            self._damage = Damage(len(self))
        return self._damage

    @property
    def damaged(self) -> NDArray[np.int64]:
        """Sorted indices of the frames that could not be read so far."""
        return np.array(sorted(self.damage.frames), np.int64)

    @property
    def bytes_per_frame(self) -> int:
        """Largest memory in bytes that one frame may need while it is processed, as double-precision floats."""
        return 8 * self.shape[1] * self.shape[2]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self.path is None:
            return self._array[index].astype(self.dtype, copy=False)
        return next(self._read([index]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        stack = self[:]
        return stack if dtype is None else stack.astype(dtype)

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        """Yield the frames at each index. A subclass may compute them, so its items are read one by one."""
        plain = type(self) is Frames and self.path is not None
        return self._read(indices) if plain else (self[index] for index in indices)

    def _read(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        """Yield the frames at each index from the file, which is opened once."""
        with self._file() as file:
            stack = None
            for index in indices:
                stack = self._stack(file) if stack is None else stack
                yield self._at(stack, index).astype(self.dtype, copy=False)

    def _stack(self, file: "h5py.File") -> "h5py.Dataset":
        """Return the dataset of the patterns.

        Raises
        ------
        InputError
            If it cannot be read, or its shape has changed since it was opened.
        """
        where = f"{self.path}:{self.dataset}"
        try:
            stack = file[self.dataset]
            shape = stack.shape
        except DAMAGE as error:
            raise unreadable_frames(where, error) from error
        if shape != self.shape:
            found, remedy = f"shape {shape}, before {self.shape}", "Do not change a file that is in use; start again"
            what = "The patterns have changed since the file was opened"
            raise InputError(what, where=where, found=found, remedy=remedy)
        return stack

    def _at(self, stack: "h5py.Dataset", index: Any) -> NDArray[Any]:
        """Return the frames at an index; those that cannot be read are marked, and listed in `damaged`."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            first, rest = slice(None), [first, *rest]
        numbers = np.arange(len(self))[first]
        if not self.damage.known(numbers):
            try:
                return _read_at(stack, index)
            except DAMAGE as error:
                raise_if_out_of_memory(error)
        blank = np.full(self.shape[1:], no_measurement(self.dtype))[tuple(rest)]

        def read(number: int) -> NDArray[Any]:
            return np.asarray(stack[number])[tuple(rest)]

        frames = self.damage.read(numbers.ravel(), read, blank, f"{self.path}:{self.dataset}")
        return np.stack(frames).reshape(*numbers.shape, *blank.shape) if frames else np.asarray(stack[index])

    def pick(self, frames: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Yield the frames of the given indices, shape (ny, nx), with one at a time in memory."""
        return self._iterate(int(frame) for frame in frames)

    def blocks(self, size: int = 64) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield ``(slice, frames)`` for all frames, ``size`` at a time, shape (<=size, ny, nx)."""
        indices = [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]
        return zip(indices, self._iterate(indices), strict=True)

    def some(self, frames: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Yield ``(indices, frames)`` for ascending indices, ``size`` at a time, shape (<=size, ny, nx)."""
        indices = [frames[start : start + size] for start in range(0, len(frames), size)]
        return zip(indices, self._iterate(indices), strict=True)


def _read_at(stack: "h5py.Dataset", index: Any) -> NDArray[Any]:
    """Return the frames at an index. Scattered frames are read one by one: HDF5 is slower with a list of indices."""
    if not (isinstance(index, np.ndarray) and index.dtype.kind == "i" and index.size):
        return np.asarray(stack[index])
    run = (np.diff(index) == 1).all()
    return np.asarray(stack[index[0] : index[-1] + 1] if run else [stack[frame] for frame in index])


class MissingFrames(Frames):
    """The patterns of a result whose input file is missing, shape (npos, ny, nx); slicing raises InputError.

    Parameters
    ----------
    path : Path
        The HDF5 file that had them.
    dataset : str
        Absolute path of the dataset inside the file.
    shape : tuple of int
        (npos, ny, nx), from the mask and positions of the result.
    view : View, optional
        The view that was applied to the stored patterns.

    Attributes
    ----------
    reason : str
        What was found in place of the patterns.
    """

    reason = "no such file or dataset"

    def __init__(self, path: Path, dataset: str, shape: tuple[int, int, int], view: View | None = None) -> None:
        self.path, self.dataset, self.shape, self.dtype = path, dataset, shape, np.dtype(np.float32)
        self.view = view

    def _file(self) -> "h5py.File":
        raise InputError(
            "The patterns of this result are missing",
            where=f"{self.path}:{self.dataset}",
            found=self.reason,
            remedy="Put the input file back in its place, or reconstruct again with --embed, which copies the patterns",
        )


class DerivedFrames(Frames):
    """Base of patterns that are not one dataset of a file. A subclass sets shape and dtype and defines ``_iterate``."""

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = index if isinstance(index, tuple) else (index,)
        if any(part is Ellipsis for part in parts):
            at = next(position for position, part in enumerate(parts) if part is Ellipsis)
            parts = (*parts[:at], *[slice(None)] * (4 - len(parts)), *parts[at + 1 :])
        numbers = np.arange(len(self))[parts[0] if parts else slice(None)]
        stack = np.empty((numbers.size, *self.shape[1:]), self.dtype)
        for row, frame in enumerate(self.pick(numbers.ravel())):
            stack[row] = frame
        return stack.reshape(*numbers.shape, *self.shape[1:])[(*[slice(None)] * numbers.ndim, *parts[1:])]

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        raise NotImplementedError


class ChangedFrames(DerivedFrames):
    """Patterns that are computed from others when they are sliced, shape (npos, ny, nx).

    Parameters
    ----------
    source : Frames
        The patterns that are read.
    change : callable
        Computes new counts from counts of shape (..., ny, nx), for each frame independently.
    shape : tuple of int
        Shape (ny, nx) of a computed frame.
    dtype : numpy.dtype
        Type of a computed frame.
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
    def bytes_per_frame(self) -> int:
        """Largest memory in bytes that one frame may need while it is processed, as it is read or as it is computed."""
        return max(super().bytes_per_frame, self.source.bytes_per_frame)

    @property
    def damage(self) -> Damage:
        """The frames of the source that could not be read so far."""
        return self.source.damage

    @property
    def damaged(self) -> NDArray[np.int64]:
        """Sorted indices of the frames of the source that could not be read so far."""
        return self.source.damaged

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        wanted = list(indices)
        for index, counts in zip(wanted, self.source._iterate(wanted), strict=True):
            changed = self.change(counts)
            if len(self.damaged):  # the change may have computed plausible counts from the mark
                changed[np.isin(np.arange(len(self))[index], self.damaged)] = no_measurement(changed.dtype)
            yield changed


class ViewedFrames(ChangedFrames):
    """Patterns with a view applied, shape (npos, ny, nx): transposed, flipped, cut and binned when they are sliced.

    Parameters
    ----------
    source : Frames
        The patterns. The view of a view becomes one view.
    view : View
        The view.
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
        super().__init__(source, partial(view.apply, saturation=self.saturation), view.shape(source.shape[1:]), dtype)
        self.view = view
