"""How the frames of an iteration are grouped into batches that share an update.

- random: every batch sees the whole field, and some of its frames overlap.
- compact: a batch is one piece of the field, so its frames overlap as much as frames can.
- sparse: the frames of a batch are spread evenly over the field, so they overlap as little as they can.

Compact and sparse batches come from the same recursive bisection: cut the frames in two across their longer side,
and both halves again, until no cut is left. Where the cuts fall on the batches, the pieces are compact. Where every
piece has as many frames as there are batches, and every batch takes the frames of the same rank in each piece, a batch
is sparse. The axes are turned by a random angle, so that the pieces are others in every iteration.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Batching = Literal["random", "compact", "sparse"]


def batches(
    kind: Batching, rng: np.random.Generator, frames: NDArray[np.int64], size: int, pixels: NDArray[np.float32]
) -> Iterator[NDArray[np.int64]]:
    """Yield all frames once, in groups whose sizes differ by at most one and do not exceed ``size``.

    Parameters
    ----------
    kind : str
        ``"random"``, ``"compact"`` or ``"sparse"``.
    rng : Generator
        The source of the grouping and of the order of the groups.
    frames : ndarray of int, shape (n,)
        The frames to group.
    size : int
        The largest group.
    pixels : ndarray of shape (npos, 2)
        Positions (row, column) of all frames, of which ``frames`` are some.
    """
    count = -(-len(frames) // size)
    if kind == "random":
        yield from np.array_split(rng.permutation(frames), count)
        return
    points = pixels[frames] @ _turn(rng.uniform(0, 2 * np.pi))
    groups = _compact(points, count) if kind == "compact" else _sparse(points, count)
    for k in rng.permutation(count):
        yield frames[groups[k]]


def _turn(angle: float) -> NDArray[np.float32]:
    """Return the matrix that turns the axes by an angle."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]], np.float32)


def _compact(points: NDArray[np.float32], count: int) -> list[NDArray[np.int64]]:
    """Cut the points into equal pieces."""
    n = len(points)
    starts = np.cumsum([0] + [n // count + (k < n % count) for k in range(count)])
    return np.split(_bisect(points, np.arange(n), starts[[0, -1]], starts), starts[1:-1])


def _sparse(points: NDArray[np.float32], count: int) -> list[NDArray[np.int64]]:
    """Cut the points into pieces of ``count``, order each by further cuts, and take every count-th."""
    n = len(points)
    pieces = np.append(np.arange(0, n, count), n)
    order = _bisect(points, np.arange(n), pieces[[0, -1]], pieces)
    order = _bisect(points, order, pieces, np.arange(n + 1))
    return [order[k::count] for k in range(count)]


def _bisect(
    points: NDArray[np.float32], order: NDArray[np.int64], edges: NDArray[np.int64], cuts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sort the points so that every stretch from cut to cut is compact; all stretches are halved at once.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Positions.
    order : ndarray of int, shape (n,)
        The points as ordered so far.
    edges : ndarray of int
        Ascending ends of the stretches that are ordered so far, from 0 to n.
    cuts : ndarray of int
        Ascending ends of the stretches wanted, the edges among them.
    """
    while len(edges) < len(cuts):
        stretch = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        placed = points[order]
        sides = np.maximum.reduceat(placed, edges[:-1]) - np.minimum.reduceat(placed, edges[:-1])
        across = placed[np.arange(len(order)), sides.argmax(1)[stretch]]
        order = order[np.lexsort((across, stretch))]
        at = np.searchsorted(cuts, edges)
        edges = cuts[np.union1d(at, (at[:-1] + at[1:]) // 2)]
    return order
