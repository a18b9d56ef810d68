"""The grouping of the frames of an iteration into batches; the frames of a batch share an update.

- random: every batch covers the whole field of view, and some of its frames overlap.
- compact: a batch covers one piece of the field of view, so that its frames overlap as much as possible.
- sparse: the frames of a batch are spread evenly over the field of view, so that they overlap as little as possible.

Compact and sparse batches come from the same recursive bisection: cut the frames in two across their longer side,
and both halves again, until no cut is left. If the cuts coincide with the batches, the pieces are compact batches. If
every piece has as many frames as there are batches, and every batch takes the frames of the same rank in each piece,
the batches are sparse. The axes are rotated by a random angle, so that the pieces differ in every iteration.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Batching = Literal["random", "compact", "sparse"]
BATCH, FEWEST_BATCHES = 64, 8
"""Default largest number of frames in a batch, and smallest number of batches in an iteration."""


def default_batch_size(frames: int) -> int:
    """Return the default size of a batch, for so many frames in an iteration."""
    return min(BATCH, max(1, frames // FEWEST_BATCHES))


def batches(
    kind: Batching, rng: np.random.Generator, frames: NDArray[np.int64], size: int, pixels: NDArray[np.float32]
) -> Iterator[NDArray[np.int64]]:
    """Yield all frames once, in groups whose sizes differ by at most one and do not exceed ``size``.

    Parameters
    ----------
    kind : str
        ``"random"``, ``"compact"`` or ``"sparse"``.
    rng : Generator
        Source of the grouping and of the order of the groups.
    frames : ndarray of int, shape (n,)
        The frames to group.
    size : int
        Size of the largest group.
    pixels : ndarray of shape (npos, 2)
        Positions (row, column) of all frames in pixels, indexed by ``frames``.
    """
    count = -(-len(frames) // size)
    if kind == "random":
        yield from np.array_split(rng.permutation(frames), count)
        return
    points = pixels[frames] @ _rotation(rng.uniform(0, 2 * np.pi))
    groups = _compact(points, count) if kind == "compact" else _sparse(points, count)
    for k in rng.permutation(count):
        yield frames[groups[k]]


def _rotation(angle: float) -> NDArray[np.float32]:
    """Return the matrix that rotates the axes by an angle in radians, shape (2, 2)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]], np.float32)


def _compact(points: NDArray[np.float32], count: int) -> list[NDArray[np.int64]]:
    """Return the indices of the points in ``count`` pieces of equal size (within one)."""
    n = len(points)
    starts = np.cumsum([0] + [n // count + (k < n % count) for k in range(count)])
    return np.split(_bisect(points, np.arange(n), starts[[0, -1]], starts), starts[1:-1])


def _sparse(points: NDArray[np.float32], count: int) -> list[NDArray[np.int64]]:
    """Cut the points into pieces of ``count``, order each piece by further cuts, and take every count-th point."""
    n = len(points)
    pieces = np.append(np.arange(0, n, count), n)
    order = _bisect(points, np.arange(n), pieces[[0, -1]], pieces)
    order = _bisect(points, order, pieces, np.arange(n + 1))
    return [order[k::count] for k in range(count)]


def _bisect(
    points: NDArray[np.float32], order: NDArray[np.int64], edges: NDArray[np.int64], cuts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the points in an order in which every section between two cuts is compact.

    All sections are halved at the same time.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Positions.
    order : ndarray of int, shape (n,)
        Indices of the points, in the order of the earlier cuts.
    edges : ndarray of int
        Ends of the sections of the earlier cuts, ascending, from 0 to n.
    cuts : ndarray of int
        Ends of the sections to make, ascending; they include ``edges``.
    """
    while len(edges) < len(cuts):
        section = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        sorted_points = points[order]
        sides = np.maximum.reduceat(sorted_points, edges[:-1]) - np.minimum.reduceat(sorted_points, edges[:-1])
        coordinate = sorted_points[np.arange(len(order)), sides.argmax(1)[section]]
        order = order[np.lexsort((coordinate, section))]
        index = np.searchsorted(cuts, edges)
        edges = cuts[np.union1d(index, (index[:-1] + index[1:]) // 2)]
    return order
