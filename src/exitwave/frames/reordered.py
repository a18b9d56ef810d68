"""Patterns of a dataset whose axes have another order or include those of a raster."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.frames.confine import note_followed
from exitwave.frames.damage import no_measurement
from exitwave.frames.frames import DerivedFrames, open_hdf5


class ReorderedFrames(DerivedFrames):
    """The patterns of a dataset with any order of axes, shape (npos, ny, nx), read when they are sliced.

    Parameters
    ----------
    path : Path
        The HDF5 file.
    dataset : str
        Absolute path of the dataset inside the file.
    axes : tuple of str
        Meaning of each axis: ``y``, ``x`` or ``frame``; of several frame axes the last is the fastest.

    Raises
    ------
    InputError
        If the number of axes of the dataset differs.
    """

    def __init__(self, path: Path, dataset: str, axes: tuple[str, ...]) -> None:
        self.path, self.dataset, self.axes = path, dataset, axes
        note_followed(path)
        with open_hdf5(path) as file:
            stored = file[dataset]
            stack, self.dtype = stored.shape, stored.dtype.newbyteorder("=")
        if stack is None or len(stack) != len(axes):
            remedy = f"Name all axes of the dataset; the given axes are {', '.join(axes)}"
            found = f"shape {stack}"
            raise InputError("The number of axes differs", where=f"{path}:{dataset}", found=found, remedy=remedy)
        self.raster = tuple(n for n, axis in zip(stack, axes, strict=True) if axis == "frame")
        ny, nx = stack[axes.index("y")], stack[axes.index("x")]
        self.shape = (int(np.prod(self.raster, dtype=object)), ny, nx)

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        transposed = self.axes.index("x") < self.axes.index("y")
        blank = np.full(self.shape[1:], no_measurement(self.dtype))
        assert self.path is not None
        with open_hdf5(self.path) as file:
            stored = file[self.dataset]

            def read(number: int) -> NDArray[Any]:
                raster_index = iter(np.unravel_index(number, self.raster))
                key = tuple(next(raster_index) if axis == "frame" else slice(None) for axis in self.axes)
                counts = np.asarray(stored[key])
                return counts.T if transposed else counts

            for index in indices:
                numbers = np.arange(len(self))[index]
                block = np.empty((numbers.size, *self.shape[1:]), self.dtype)
                for row, number in enumerate(numbers.ravel()):
                    block[row] = self.damage.read([number], read, blank, f"{self.path}:{self.dataset}")[0]
                yield block if numbers.ndim else block[0]
