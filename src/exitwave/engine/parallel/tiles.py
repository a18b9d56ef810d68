"""Tiles of an object that is larger than a card: every process holds the rows that its frames see.

The rows of the object are dealt out in stripes of as many frames each. A process carries the frames of its stripe, and
its tile is the stripe and all rows around that these frames see, now and as far as they may move. So tiles overlap.
Sums over frames are added up in the rows that processes share, in the order of the processes, and from the same sums
all take the same step. What is about all of the object, its largest value or an inner product, counts every pixel once:
in the process to whose stripe it belongs.
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

SPARE = 4
"""Rows around what the frames see: for the object's derivatives, and one that no frame sees."""


class WholeObject:
    """The whole object, in this process and in all others alike."""

    origin: Any = 0
    """Where the first pixel (row, column) that this process has is in the object."""
    room: float = math.inf
    """Pixels that a frame may move."""
    complete = True
    """Whether `assembled` has all that there is."""

    def shape(self, whole: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of what this process has of an object of some shape."""
        return whole

    def cut(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of what this process is to have of an object."""
        return whole.copy()

    def assembled(self, array: NDArray[Any], rest: Any) -> NDArray[Any]:
        """Return the object of which the processes have parts; the rest is where those are lost that had it."""
        return array

    def own(self, array: Any) -> Any:
        """Return what this process counts of object or probe, or of an array of the shape of one of them."""
        return array

    def once(self, value: float) -> float:
        """Return a number that all processes have alike in one of them, and 0 in the others."""
        return value if self.complete else 0.0

    def total(self, *values: Any) -> Sequence[Any]:
        """Return the sums of some numbers over what processes count."""
        return values

    def largest(self, array: Any) -> Any:
        """Return the largest value of such an array."""
        return array.max()

    def inner(self, a: Any, b: Any) -> Any:
        """Return Re sum conj(a) b of such arrays."""
        return self.total(arrays.inner(self.own(a), self.own(b)))[0]

    def rms(self, array: Any) -> Any:
        """Return the root mean square of the modulus of such an array."""
        power, count = self.total(arrays.inner(self.own(array), self.own(array)), math.prod(self.own(array).shape))
        return (power / count) ** 0.5


WHOLE_OBJECT = WholeObject()


@dataclass(frozen=True, eq=False)
class Tile(WholeObject):
    """What one of several processes has of the object."""

    communicator: Communicator
    number: int
    """Which of the tiles it is."""
    edges: NDArray[np.int64]
    """The first row of every stripe, and the number of rows of the object, shape (tiles + 1,)."""
    spans: NDArray[np.int64]
    """The first row of every tile, and the one after its last, shape (tiles, 2)."""
    frames: NDArray[np.int64]
    """The frames of this one, ascending."""
    room: float

    def __str__(self) -> str:
        first, end = self.spans[self.number]
        return f"rows {first} to {end - 1} of {self.edges[-1]}"

    @property
    def origin(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Where its first pixel (row, column) is in the object; even, so that half a pixel is rounded the same way."""
        return np.array([self.spans[self.number, 0], 0])

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether `assembled` has all that there is: in the first process, and where the others are lost."""
        return self.number == 0 or self.communicator.size == 1

    def alone(self) -> "Tile":
        """Return the tile of a process whose others are lost."""
        return replace(self, communicator=ONE_PROCESS)

    def shape(self, whole: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of the tile."""
        return int(np.diff(self.spans[self.number])[0]), whole[1]

    def cut(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Return the tile of the object that the first process has."""
        tile = whole[slice(*self.spans[self.number])].copy()
        others = [(k, np.ascontiguousarray(whole[slice(*span)])) for k, span in enumerate(self.spans) if k]
        self.communicator.exchange(*((others, []) if self.number == 0 else ([], [(0, tile)])))
        return tile

    def assembled(self, array: NDArray[Any], rest: Any) -> NDArray[Any]:
        """Return the whole object in the first process, and where the others are lost; else 0 outside of the stripe."""
        whole = np.zeros((self.edges[-1], array.shape[1]), array.dtype)  # rows that nobody writes take no memory
        if self.communicator.size == 1:
            whole[:] = rest
            whole[slice(*self.spans[self.number])] = array
            return whole
        stripes = [whole[first:end] for first, end in pairwise(self.edges)]
        stripes[self.number][:] = self.own(array)
        others = [(k, stripe) for k, stripe in enumerate(stripes) if k and len(stripe)]
        mine = [(0, stripe) for k, stripe in others if k == self.number]
        self.communicator.exchange(mine, [] if self.number else others)
        return whole

    def holds(self, array: Any) -> bool:
        """Say whether an array is on the object's grid: it has more rows than a wave."""
        return array.ndim == 2 and len(array) == np.diff(self.spans[self.number])[0]

    def own(self, array: Any) -> Any:
        """Return the rows of the stripe; of a probe, which all processes have, all or nothing."""
        first, end = self.edges[self.number : self.number + 2] - self.origin[0]
        return array[first:end] if self.holds(array) else array[: None if self.complete else 0]

    def total(self, *values: Any) -> Sequence[Any]:
        """Return the sums of some numbers over the processes."""
        totals = np.array([float(each) for each in values])
        self.communicator.add(totals)
        found: list[float] = totals.tolist()
        return found

    def largest(self, array: Any) -> Any:
        """Return the largest value in all processes."""
        return self.communicator.largest(float(array.max()))

    @contextmanager
    def levelled(self, denominator: Any) -> Iterator[None]:
        """Have the largest value of all tiles in the first pixel for a while, which no frame sees."""
        corner = denominator[:1, :1]
        before = arrays.copy(corner)
        corner[:] = self.largest(denominator)
        yield
        corner[:] = before

    def add(self, total: Any) -> None:
        """Add up what all processes have of the rows of this tile, in place.

        The order is that of the processes, so that all get the same bits.
        """
        rows = {k: shared for k in range(len(self.spans)) if (shared := self._shared(k))}
        pieces = {k: arrays.zeros_like(total[shared]) for k, shared in rows.items()}
        self.communicator.exchange([(k, total[shared]) for k, shared in rows.items()], list(pieces.items()))
        before, after = ([k for k in rows if (k < self.number) == first] for first in (True, False))
        top = total[: max((rows[k].stop for k in before), default=0)]
        own = arrays.copy(top)
        top[:] = 0
        for k in before:
            total[rows[k]] += pieces[k]
        top += own
        for k in after:
            total[rows[k]] += pieces[k]

    def _shared(self, other: int) -> slice | None:
        """Return the rows of this tile that another has too; None: there are none, or it is this one."""
        first, end = max(self.spans[[self.number, other], 0]), min(self.spans[[self.number, other], 1])
        top = self.spans[self.number, 0]
        return slice(first - top, end - top) if first < end and other != self.number else None


def cut(
    rows: NDArray[np.float64],
    wanted: NDArray[np.int64],
    shape: tuple[int, int],
    ny: int,
    room: int,
    communicator: Communicator,
) -> Tile:
    """Return the tile of this process.

    Parameters
    ----------
    rows : ndarray of shape (npos, views)
        Rows of the object under the probe's centre, of all views of every frame.
    wanted : ndarray of int
        The frames that may be used, at least as many as there are processes; each gets as many of them.
    shape : tuple of int
        Shape of the object.
    ny : int
        Rows of the probe.
    room : int
        Pixels that a frame may move.
    team : Alone
        The processes.
    """
    order = np.argsort(rows.mean(1), kind="stable")
    counted = np.isin(order, wanted)
    owner = np.empty(len(rows), np.int64)
    owner[order] = np.minimum((np.cumsum(counted) - counted) * communicator.size // len(wanted), communicator.size - 1)
    groups = [rows[owner == k] for k in range(communicator.size)]
    edges = np.array([0, *(round(float(each.mean(1).min())) for each in groups[1:]), shape[0]])
    margin = ny // 2 + room + SPARE
    low = [min(math.floor(each.min()) - margin, edge) for each, edge in zip(groups, edges[:-1], strict=True)]
    high = [max(math.ceil(each.max()) + margin, edge) for each, edge in zip(groups, edges[1:], strict=True)]
    spans = np.clip(np.stack([np.array(low) // 2 * 2, high], axis=1), 0, shape[0])
    return Tile(communicator, communicator.rank, edges, spans, np.flatnonzero(owner == communicator.rank), float(room))
