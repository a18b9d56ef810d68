"""A view of frames: how they are turned, cut and binned on their way from the file."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


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
