"""Tiles of an object that is too large for one GPU: every process holds the rows that its frames illuminate.

The rows of the object are divided into stripes with equal numbers of frames. A process has the frames of its stripe,
and its tile is the stripe and all rows around it that these frames illuminate, now and after the largest allowed move.
So tiles overlap. Sums over frames are added up in the rows that processes share, in the order of the processes; because
the sums are equal, all processes take the same step. Quantities of the whole object, such as its largest value or an
inner product, count every pixel once: in the process that has the pixel in its stripe.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator

SPARE_ROWS = 4
"""Rows around those that frames illuminate: for the object's derivatives, and one that no frame illuminates."""


class WholeObject:
    """The whole object, equal in all processes."""

    origin: Any = 0
    """Position (row, column) of this process's first pixel in the object."""
    largest_move: float = math.inf
    """Largest move of a frame in pixels."""
    complete = True
    """Whether `assemble` returns the complete object in this process."""

    def shape(self, whole: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of this process's part of an object with the given shape."""
        return whole

    def distribute(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of this process's part of an object."""
        return whole.copy()

    def assemble(self, array: NDArray[Any], missing: Any) -> NDArray[Any]:
        """Return the object from the parts of all processes; ``missing`` replaces the parts of lost processes."""
        return array

    def owned(self, array: Any) -> Any:
        """Return the pixels that this process counts, of the object, the probe, or an array of the same shape."""
        return array

    def linked(self, array: Any) -> Any:
        """Return the rows that this process counts, and the next one, of an array with the rows of the object."""
        return array

    def merged(self, array: Any) -> Any:
        """Return an array with the shape of the object, every row from the process that counts it."""
        return array

    def count_once(self, value: float) -> float:
        """Return a value, equal in all processes, in one of them and 0 in the others."""
        return value if self.complete else 0.0

    def total(self, *values: Any) -> Sequence[Any]:
        """Return the sum of each value over the processes that count different pixels."""
        return values

    def largest(self, array: Any) -> Any:
        """Return the largest value of an array with the shape of the object."""
        return array.max()

    def inner(self, a: Any, b: Any) -> Any:
        """Return Re sum conj(a) b of two arrays with the shape of the object or the probe."""
        return self.total(arrays.inner(self.owned(a), self.owned(b)))[0]

    def rms(self, array: Any) -> Any:
        """Return the root mean square of the modulus of an array with the shape of the object or the probe."""
        owned = self.owned(array)
        power, count = self.total(arrays.inner(owned, owned), math.prod(owned.shape))
        return (power / count) ** 0.5


WHOLE_OBJECT = WholeObject()


@dataclass(frozen=True, eq=False)
class Tile(WholeObject):
    """The part of the object that one of several processes holds."""

    communicator: Communicator
    index: int
    """Index of this tile."""
    edges: NDArray[np.int64]
    """First row of every stripe, and the number of rows of the object, shape (tiles + 1,)."""
    spans: NDArray[np.int64]
    """First row of every tile, and the row after its last, shape (tiles, 2)."""
    frames: NDArray[np.int64]
    """The frames of this tile, ascending."""
    largest_move: float

    def __str__(self) -> str:
        first, end = self.spans[self.index]
        return f"rows {first} to {end - 1} of {self.edges[-1]}"

    @property
    def origin(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Position (row, column) of the first pixel in the object; even, so that half pixels round the same way."""
        return np.array([self.spans[self.index, 0], 0])

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether `assemble` returns the complete object: in the first process, and after the others were lost."""
        return self.index == 0 or self.communicator.size == 1

    def detached(self) -> "Tile":
        """Return the tile for a process that continues after the others were lost."""
        return replace(self, communicator=ONE_PROCESS)

    def shape(self, whole: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of the tile."""
        return int(np.diff(self.spans[self.index])[0]), whole[1]

    def distribute(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Return this process's tile of the object that the first process has."""
        tile = whole[slice(*self.spans[self.index])].copy()
        others = [(k, np.ascontiguousarray(whole[slice(*span)])) for k, span in enumerate(self.spans) if k]
        self.communicator.exchange(*((others, []) if self.index == 0 else ([], [(0, tile)])))
        return tile

    def assemble(self, array: NDArray[Any], missing: Any) -> NDArray[Any]:
        """Return the whole object in the first process, and after the others were lost; else 0 outside the stripe."""
        whole = np.zeros((self.edges[-1], array.shape[1]), array.dtype)  # rows that are not written take no memory
        if self.communicator.size == 1:
            whole[:] = missing
            whole[slice(*self.spans[self.index])] = array
            return whole
        stripes = [whole[first:end] for first, end in pairwise(self.edges)]
        stripes[self.index][:] = self.owned(array)
        others = [(k, stripe) for k, stripe in enumerate(stripes) if k and len(stripe)]
        mine = [(0, stripe) for k, stripe in others if k == self.index]
        self.communicator.exchange(mine, [] if self.index else others)
        return whole

    def on_object_grid(self, array: Any) -> bool:
        """Return whether an array is on the object's grid, which has more rows than the probe's."""
        return array.ndim == 2 and len(array) == np.diff(self.spans[self.index])[0]

    def owned(self, array: Any) -> Any:
        """Return the rows of the stripe; of a probe, which all processes have, all rows in one process, else none."""
        first, end = self.edges[self.index : self.index + 2] - self.origin[0]
        return array[first:end] if self.on_object_grid(array) else array[: None if self.complete else 0]

    def linked(self, array: Any) -> Any:
        """Return the rows of the stripe, and the next one, of an array with the rows of the tile."""
        first, end = self.edges[self.index : self.index + 2] - self.origin[0]
        return array[first : end + 1]

    def merged(self, array: Any) -> Any:
        """Return an array with the shape of the tile, every row from the process whose stripe it is in."""
        first, end = self.edges[self.index : self.index + 2] - self.origin[0]
        array[:first], array[end:] = 0, 0
        self.add(array)
        return array

    def total(self, *values: Any) -> Sequence[Any]:
        """Return the sum of each value over the processes."""
        totals = np.array([float(each) for each in values])
        self.communicator.add(totals)
        found: list[float] = totals.tolist()
        return found

    def largest(self, array: Any) -> Any:
        """Return the largest value in all processes."""
        return self.communicator.largest(float(array.max()))

    @contextmanager
    def with_common_maximum(self, denominator: Any) -> Iterator[None]:
        """Set the first pixel, which no frame illuminates, to the largest value of all tiles in a ``with`` block."""
        corner = denominator[:1, :1]
        original = arrays.copy(corner)
        corner[:] = self.largest(denominator)
        yield
        corner[:] = original

    def add(self, total: Any) -> None:
        """Add up the rows that this tile shares with others, in place.

        The order is that of the processes, so that all get the same bits.
        """
        rows = {k: shared for k in range(len(self.spans)) if (shared := self._shared_rows(k))}
        received = {k: arrays.zeros_like(total[shared]) for k, shared in rows.items()}
        self.communicator.exchange([(k, total[shared]) for k, shared in rows.items()], list(received.items()))
        before, after = ([k for k in rows if (k < self.index) == first] for first in (True, False))
        top = total[: max((rows[k].stop for k in before), default=0)]
        ours = arrays.copy(top)
        top[:] = 0
        for k in before:
            total[rows[k]] += received[k]
        top += ours
        for k in after:
            total[rows[k]] += received[k]

    def _shared_rows(self, other: int) -> slice | None:
        """Return the rows of this tile that another tile has too; None: no rows, or the tile is this one."""
        first, end = max(self.spans[[self.index, other], 0]), min(self.spans[[self.index, other], 1])
        top = self.spans[self.index, 0]
        return slice(first - top, end - top) if first < end and other != self.index else None


def make_tile(
    rows: NDArray[np.float64],
    wanted: NDArray[np.int64],
    shape: tuple[int, int],
    probe_rows: int,
    largest_move: int,
    communicator: Communicator,
) -> Tile:
    """Return the tile of this process.

    Parameters
    ----------
    rows : ndarray of shape (npos, exposures)
        Row of the object under the probe's centre, for all exposures of every frame.
    wanted : ndarray of int
        Frames that may be used, at least as many as there are processes; divided evenly.
    shape : tuple of int
        Shape of the object.
    probe_rows : int
        Rows of the probe.
    largest_move : int
        Largest move of a frame in pixels.
    communicator : Communicator
        The processes.
    """
    order = np.argsort(rows.mean(1), kind="stable")
    counted = np.isin(order, wanted)
    owner = np.empty(len(rows), np.int64)
    owner[order] = np.minimum((np.cumsum(counted) - counted) * communicator.size // len(wanted), communicator.size - 1)
    groups = [rows[owner == k] for k in range(communicator.size)]
    edges = np.array([0, *(round(float(each.mean(1).min())) for each in groups[1:]), shape[0]])
    margin = probe_rows // 2 + largest_move + SPARE_ROWS
    low = [min(math.floor(each.min()) - margin, edge) for each, edge in zip(groups, edges[:-1], strict=True)]
    high = [max(math.ceil(each.max()) + margin, edge) for each, edge in zip(groups, edges[1:], strict=True)]
    spans = np.clip(np.stack([np.array(low) // 2 * 2, high], axis=1), 0, shape[0])
    frames = np.flatnonzero(owner == communicator.rank)
    return Tile(communicator, communicator.rank, edges, spans, frames, float(largest_move))
