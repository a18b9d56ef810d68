"""The frames of a scan, read only where they are sliced, and a view of them: turned, cut and binned on the way."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError

if TYPE_CHECKING:
    import h5py

CHUNKS = 32 * 2**20
"""Bytes of unpacked chunks that an open dataset keeps: a chunk of many frames is unpacked once for all of them."""


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

    view: "View | None" = None

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
            stack = file[self.dataset]
            for index in indices:
                try:
                    yield np.asarray(stack[index]).astype(self.dtype, copy=False)
                except OSError as error:
                    raise InputError(
                        "The frames cannot be read",
                        where=f"{self.path}:{self.dataset}",
                        found=str(error),
                        remedy="The file may be truncated or use a compression filter that is not installed; copy it "
                        "again or repack it with gzip",
                    ) from error

    def pick(self, frames: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Yield the frames of the given indices, each of shape (ny, nx), one at a time in memory."""
        return self._each(int(frame) for frame in frames)

    def blocks(self, size: int = 64) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield ``(slice, frames)`` through the stack, ``size`` frames at a time, shape (<=size, ny, nx)."""
        indices = [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]
        return zip(indices, self._each(indices), strict=True)


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

    def __init__(self, path: Path, dataset: str, shape: tuple[int, int, int], view: "View | None" = None) -> None:
        self.path, self.dataset, self.shape, self.dtype = path, dataset, shape, np.dtype(np.float32)
        self.view = view

    def _file(self) -> "h5py.File":
        raise InputError(
            "The frames of this result are missing",
            where=f"{self.path}:{self.dataset}",
            found="no such file or dataset",
            remedy="Put the input back where it was, or reconstruct again with --embed, which copies the frames",
        )


@dataclass(frozen=True)
class View:
    """How frames are looked at: turned (transposed, then flipped), then cut, then binned by sums.

    A window counts in turned frames. It may reach beyond them: there is no measurement there.
    """

    transpose: bool = False
    """Whether rows become columns."""
    flip_rows: bool = False
    """Whether the order of the rows is reversed."""
    flip_columns: bool = False
    """Whether the order of the columns is reversed."""
    rows: tuple[int, int] | None = None
    """The first row, and that behind the last; None: all."""
    columns: tuple[int, int] | None = None
    """The first column, and that behind the last; None: all."""
    bin: int = 1
    """Pixels that are summed along each axis; rows and columns at the end that fill no bin are dropped."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            if (window := getattr(self, name)) is not None:
                object.__setattr__(self, name, (int(window[0]), int(window[1])))
        if self.bin < 1:
            raise InputError("Pixels cannot be binned like this", found=self.bin, remedy="Give a number from 1 up")

    def as_dict(self) -> dict[str, Any]:
        """Return the view ready for JSON: `View` of its items is the view again."""
        return asdict(self)

    def turned(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the shape (ny, nx) of turned frames."""
        return (shape[1], shape[0]) if self.transpose else shape

    def window(self, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return first row and that behind the last, and the same of columns, of frames of a shape (ny, nx).

        Raises
        ------
        InputError
            If it holds fewer than 2 x 2 bins.
        """
        window = []
        for given, n in zip((self.rows, self.columns), self.turned(shape), strict=True):
            start, stop = given or (0, n)
            window.append((start, start + (stop - start) // self.bin * self.bin))
        if any(stop - start < 2 * self.bin for start, stop in window):
            found = f"rows {self.rows}, columns {self.columns}, binned by {self.bin}, of frames of {shape}"
            raise InputError("Too little of the frames is left", found=found, remedy="Keep at least 2 x 2 pixels")
        return window[0], window[1]

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the shape (ny, nx) in which frames of a shape are seen."""
        rows, columns = ((stop - start) // self.bin for start, stop in self.window(shape))
        return rows, columns

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array, shape (..., ny, nx), turned."""
        array = array.swapaxes(-2, -1) if self.transpose else array
        array = array[..., ::-1, :] if self.flip_rows else array
        return array[..., ::-1] if self.flip_columns else array

    def cut(self, array: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Return an array, shape (..., ny, nx), turned and cut; ``fill`` lies beyond its edges."""
        (top, bottom), (left, right) = self.window((array.shape[-2], array.shape[-1]))
        turned = self.turn(array)
        ny, nx = turned.shape[-2:]
        inside = turned[..., max(top, 0) : min(bottom, ny), max(left, 0) : min(right, nx)]
        if min(top, left) >= 0 and bottom <= ny and right <= nx:
            return inside
        whole = np.full((*array.shape[:-2], bottom - top, right - left), fill, array.dtype)
        whole[..., max(-top, 0) : ny - top, max(-left, 0) : nx - left] = inside
        return whole

    def parts(self, array: NDArray[Any], fill: Any) -> list[NDArray[Any]]:
        """Return the first pixel of all bins, the second, and so on, each of shape (..., ny, nx)."""
        cut, n = self.cut(array, fill), self.bin
        return [cut[..., i::n, j::n] for i in range(n) for j in range(n)]

    def see(self, counts: NDArray[Any], saturation: float | None = None) -> NDArray[Any]:
        """Return counts, shape (..., ny, nx), as they are seen; integers stay integers.

        A bin with a pixel that is saturated counts ``saturation * bin**2``, which is more than any other; one with a
        negative pixel, or one that is not finite, is negative or not finite.
        """
        if self.bin == 1:
            return np.ascontiguousarray(self.cut(counts, 0))
        parts = self.parts(counts, 0)
        total = parts[0].astype(binned_type(counts.dtype))
        low = high = parts[0]
        for part in parts[1:]:
            total += part
            low, high = np.minimum(low, part), np.maximum(high, part)
        if counts.dtype.kind != "u":
            total[low < 0] = -1
        full = np.zeros(0) if saturation is None else high >= saturation
        if saturation is not None and full.any():
            most = saturation * self.bin**2
            total[full] = math.ceil(most) if total.dtype.kind in "iu" else most
        return total

    def then(self, other: "View", shape: tuple[int, int]) -> "View":
        """Return the view of frames of a shape (ny, nx) that is another one of what this one sees."""
        outer = self.turned(shape)
        windows = list(zip(self.window(shape), outer, (self.flip_rows, self.flip_columns), strict=True))
        windows = windows[::-1] if other.transpose else windows
        inner = other.window(self.shape(shape))
        seen = []
        for (window, n, _), flip, (start, stop) in zip(
            windows, (other.flip_rows, other.flip_columns), inner, strict=True
        ):
            first = n - window[1] if flip else window[0]
            seen.append((first + self.bin * start, first + self.bin * stop))
        return View(
            transpose=self.transpose != other.transpose,
            flip_rows=windows[0][2] != other.flip_rows,
            flip_columns=windows[1][2] != other.flip_columns,
            rows=seen[0],
            columns=seen[1],
            bin=self.bin * other.bin,
        )


def binned_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds sums of counts of a type: integers twice as wide, floats as they are."""
    return np.dtype(f"{dtype.kind}{min(2 * dtype.itemsize, 8)}") if dtype.kind in "iu" else dtype


class ChangedFrames(Frames):
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
