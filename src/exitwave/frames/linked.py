"""Patterns that are stored in several files, one after the other."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.errors import DAMAGE
from exitwave.frames.damage import no_measurement, raise_if_out_of_memory
from exitwave.frames.frames import DerivedFrames, Frames, open_hdf5


class LinkedFrames(DerivedFrames):
    """The patterns of several files as one stack, shape (npos, ny, nx), read when they are sliced.

    The largest value of an unsigned integer type marks bad pixels. It becomes the largest value of the common type.

    Parameters
    ----------
    pieces : list of Frames
        Stacks of files, with frames of the same shape.
    frames : int, optional
        Number of frames from the beginning that are used; by default all.
    """

    def __init__(self, pieces: list[Frames], frames: int | None = None) -> None:
        self.pieces, self.path, self.dataset = pieces, pieces[0].path, pieces[0].dataset
        self.starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        number = int(self.starts[-1]) if frames is None else min(frames, int(self.starts[-1]))
        self.shape = (number, *pieces[0].shape[1:])
        self.dtype = np.result_type(*(piece.dtype for piece in pieces))

    @property
    def uniform(self) -> bool:
        """Whether all stacks are datasets of files with the same type, so that a virtual dataset can replace them."""
        return all(type(piece) is Frames and piece.path and piece.dtype == self.dtype for piece in self.pieces)

    def virtual(self, folder: Path) -> h5py.VirtualLayout:
        """Return the layout of a virtual dataset of the patterns, for a file in a folder."""
        layout = h5py.VirtualLayout(self.shape, self.dtype)
        for piece, start in zip(self.pieces, self.starts[:-1], strict=True):
            stop = min(int(start) + len(piece), len(self))
            relative = Path(os.path.relpath(Path(str(piece.path)).resolve(), folder)).as_posix()
            if start < stop:
                source = h5py.VirtualSource(relative, piece.dataset, piece.shape, piece.dtype)
                layout[int(start) : stop] = source[: stop - int(start)]
        return layout

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        opened: dict[int, h5py.Dataset] = {}  # one file is open at a time
        with ExitStack() as stack:
            for index in indices:
                numbers = np.arange(len(self))[index]
                rows = np.atleast_1d(numbers)
                block = np.empty((len(rows), *self.shape[1:]), self.dtype)
                owners = np.searchsorted(self.starts, rows, side="right") - 1
                for owner in np.unique(owners):
                    if owner not in opened:
                        stack.close()
                        self.pieces[owner].require_unchanged()
                        file = stack.enter_context(open_hdf5(Path(str(self.pieces[owner].path))))
                        opened = {owner: file[self.pieces[owner].dataset]}
                    selected = owners == owner
                    block[selected] = self._rows(opened[owner], rows[selected], int(self.starts[owner]))
                yield block if numbers.ndim else block[0]

    def _rows(self, stored: h5py.Dataset, frames: NDArray[np.int64], start: int) -> NDArray[Any]:
        """Return some frames of a file whose first frame is ``start``."""
        rows = frames - start
        if not self.damage.known(frames):
            try:
                run = (np.diff(rows) == 1).all()
                counts = stored[rows[0] : rows[-1] + 1] if run else np.array([stored[row] for row in rows])
                return self._converted(counts)
            except DAMAGE as error:
                raise_if_out_of_memory(error)
        blank = np.full(self.shape[1:], no_measurement(self.dtype))
        where = f"{stored.file.filename}:{stored.name}"
        return np.stack(self.damage.read(frames, lambda j: self._converted(stored[j - start]), blank, where))

    def _converted(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Return counts of one file in the common type, with the mark of a bad pixel of that type."""
        kind, wide = counts.dtype, self.dtype
        counts = counts.astype(wide, copy=False)
        if kind.kind == wide.kind == "u" and kind.itemsize < wide.itemsize:
            counts[counts == np.iinfo(kind).max] = np.iinfo(wide).max
        return counts
