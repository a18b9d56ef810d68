"""A view of frames: transposed, flipped, cut and binned when they are read from the file."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


@dataclass(frozen=True)
class View:
    """A view of frames: first oriented (transposed, then flipped), then cut to a window, then binned by sums.

    Rows and columns of the window count in oriented frames. The window may extend beyond them; pixels there have no
    measurement.
    """

    transpose: bool = False
    """Whether rows and columns are exchanged."""
    flip_rows: bool = False
    """Whether the order of the rows is reversed."""
    flip_columns: bool = False
    """Whether the order of the columns is reversed."""
    rows: tuple[int, int] | None = None
    """First row, and the row behind the last; None: all."""
    columns: tuple[int, int] | None = None
    """First column, and the column behind the last; None: all."""
    bin: int = 1
    """Number of pixels that are summed along each axis; an incomplete bin at the end is dropped."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            if (window := getattr(self, name)) is not None:
                object.__setattr__(self, name, (int(window[0]), int(window[1])))
        if self.bin < 1:
            raise InputError(f"Frames cannot be binned by {self.bin}", remedy="Give an integer from 1 on")

    def as_dict(self) -> dict[str, Any]:
        """Return the view as a dictionary, ready for JSON; ``View(**items)`` is the same view."""
        return asdict(self)

    def oriented_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the shape (ny, nx) of oriented frames."""
        return (shape[1], shape[0]) if self.transpose else shape

    def window(self, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (first row, row behind the last) and the same for columns, for frames of a shape (ny, nx).

        Raises
        ------
        InputError
            If the window has fewer than 2 x 2 bins.
        """
        window = []
        for given, n in zip((self.rows, self.columns), self.oriented_shape(shape), strict=True):
            start, stop = given or (0, n)
            window.append((start, start + (stop - start) // self.bin * self.bin))
        if any(stop - start < 2 * self.bin for start, stop in window):
            found = f"rows {self.rows}, columns {self.columns}, binned by {self.bin}, of frames of {shape}"
            raise InputError("The view keeps too few pixels", found=found, remedy="Keep at least 2 x 2 pixels")
        return window[0], window[1]

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the shape (ny, nx) of the view of frames of a shape."""
        rows, columns = ((stop - start) // self.bin for start, stop in self.window(shape))
        return rows, columns

    def orient(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array, shape (..., ny, nx), transposed and flipped."""
        array = array.swapaxes(-2, -1) if self.transpose else array
        array = array[..., ::-1, :] if self.flip_rows else array
        return array[..., ::-1] if self.flip_columns else array

    def cut(self, array: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Return an array, shape (..., ny, nx), oriented and cut to the window; pixels outside of it are ``fill``."""
        (top, bottom), (left, right) = self.window((array.shape[-2], array.shape[-1]))
        oriented = self.orient(array)
        ny, nx = oriented.shape[-2:]
        inside = oriented[..., max(top, 0) : min(bottom, ny), max(left, 0) : min(right, nx)]
        if min(top, left) >= 0 and bottom <= ny and right <= nx:
            return inside
        whole = np.full((*array.shape[:-2], bottom - top, right - left), fill, array.dtype)
        whole[..., max(-top, 0) : ny - top, max(-left, 0) : nx - left] = inside
        return whole

    def parts(self, array: NDArray[Any], fill: Any) -> list[NDArray[Any]]:
        """Return an array, cut to the window, as bin**2 arrays (..., ny, nx), one for each pixel of a bin."""
        cut, n = self.cut(array, fill), self.bin
        return [cut[..., i::n, j::n] for i in range(n) for j in range(n)]

    def apply(self, counts: NDArray[Any], saturation: float | None = None) -> NDArray[Any]:
        """Return the view of counts of shape (..., ny, nx); integers stay integers.

        A bin with a saturated pixel becomes ``saturation * bin**2``, more than any other bin. A bin with a negative
        pixel is negative, and a bin with a pixel that is not finite is not finite.
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
        """Return the one view that equals this view of frames of shape (ny, nx), followed by another view."""
        outer = self.oriented_shape(shape)
        windows = list(zip(self.window(shape), outer, (self.flip_rows, self.flip_columns), strict=True))
        windows = windows[::-1] if other.transpose else windows
        inner = other.window(self.shape(shape))
        windows_of_both = []
        for (window, n, _), flip, (start, stop) in zip(
            windows, (other.flip_rows, other.flip_columns), inner, strict=True
        ):
            first = n - window[1] if flip else window[0]
            windows_of_both.append((first + self.bin * start, first + self.bin * stop))
        return View(
            transpose=self.transpose != other.transpose,
            flip_rows=windows[0][2] != other.flip_rows,
            flip_columns=windows[1][2] != other.flip_columns,
            rows=windows_of_both[0],
            columns=windows_of_both[1],
            bin=self.bin * other.bin,
        )


def binned_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type for sums of counts of a type: integers of twice the width, floats unchanged."""
    return np.dtype(f"{dtype.kind}{min(2 * dtype.itemsize, 8)}") if dtype.kind in "iu" else dtype
