"""What the sweeps on the CPU work in: arrays in the layout of the loops (`kernels`)."""

from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels.sums import share_out
from exitwave.engine.backends.cpu.kernels.vectors import WIDTH
from exitwave.engine.problem import Problem


class Beam(NamedTuple):
    """A probe in the layout of the loops."""

    waves: NDArray[np.float32]
    """Shape (modes, height, 2 * stride)."""
    spectrum: NDArray[np.float32]
    """Its Fourier transform, unnormalised; the same shape."""


class Share(NamedTuple):
    """What one thread gets of a pass."""

    frames: NDArray[np.int64]
    places: NDArray[np.int64]
    """Where the frames are in the pass."""


class Totals:
    """Sums in the layout of the loops, a set for each thread. The first set takes up the others after a pass."""

    def __init__(self, problem: Problem, modes: int, plans: transforms.Plans, sets: int) -> None:
        (ny, nx), (*rows, columns) = problem.shape, problem.full_shape
        # memory that a thread does not touch is not taken
        self.object_num = np.zeros((sets, *rows, 2 * columns), np.float32)
        self.object_den = np.zeros((sets, *rows, columns), np.float32)
        self.probe_num = transforms.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.spectrum_num = transforms.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.probe_den = transforms.zeros(sets, ny + 1, nx)  # and a row that is not used
        self.varied_num = transforms.zeros(sets, 0, plans.height, 2 * plans.stride)
        self.seen: NDArray[np.int64] = np.zeros((2, sets), np.int64)
        """The first and the last row of the object that each thread sees."""
        self.keeper: NDArray[np.int64] = np.zeros(rows[-1], np.int64)
        """The thread that alone sees a row; 0: there is none."""
        self._homes: NDArray[np.int64] = np.zeros((sets, rows[-1]), np.int64)
        self.stale = self._used = (0, 0)
        """Rows of the object's sums that the threads have to clear before they add to them."""
        self._collecting: dict[tuple[bool, bool], Any] = {}

    @property
    def object(self) -> list[NDArray[np.float32]]:
        """The sums on the object's grid, of one slice after the other, each of shape (sets, rows, width)."""
        both = self.object_num, self.object_den
        thick = self.object_num.ndim == 4
        return [array[:, n] for array in both for n in range(array.shape[1])] if thick else list(both)

    @property
    def probe(self) -> list[NDArray[np.float32]]:
        """The sums on the probe's grid, each of shape (sets, rows, width)."""
        arrays = self.probe_num, self.spectrum_num, self.probe_den, self.varied_num
        return [array.reshape(len(array), -1, array.shape[-1]) for array in arrays if array.size]

    @property
    def all(self) -> tuple[NDArray[np.float32], ...]:
        """The sums in the order of the loops."""
        return self.object_num, self.object_den, self.probe_num, self.spectrum_num, self.probe_den, self.varied_num

    def vary(self, opr_modes: int) -> None:
        """Make room for the sums of some variations."""
        sets, _, height, width = self.varied_num.shape
        self.varied_num = transforms.zeros(sets, opr_modes, height, width)
        self._collecting = {}

    def share(self, frames: NDArray[np.int64], tops: NDArray[np.int64], height: int) -> list[Share]:
        """Share frames out, with the first rows of their windows, shape (frames, exposures), so many rows high."""
        order, ends = share_out(tops, height, self.seen, self.keeper, self._homes)
        return [Share(frames[order[first:last]], order[first:last]) for first, last in pairwise(ends)]

    def of(self, number: int) -> tuple[NDArray[Any], ...]:
        """Return what a thread adds to: of the object all sets, slices below each other, and before them to which."""
        objects = (array.reshape(len(array), -1, array.shape[-1]) for array in self.all[:2])
        return self._homes[number], *objects, *(array[number] for array in self.all[2:])

    def collecting(self, object: bool, probe: bool) -> NDArray[np.int64]:
        """Return the arguments of the task `sums.collect`."""
        if (object, probe) not in self._collecting:
            sets, lines = len(self.object_num), [(each, self.keeper, self.seen) for each in self.object if object]
            for each in self.probe if probe else []:
                whole = np.array([[0], [each.shape[1]]]).repeat(sets, 1)
                lines.append((each, np.zeros(each.shape[1], np.int64), whole))
            table = [
                (each.ctypes.data, each.strides[0] // 4, each.shape[2], keeper.ctypes.data, seen.ctypes.data)
                for each, keeper, seen in lines
            ]
            said = np.array([sets, len(table), *chain.from_iterable(table)], np.int64)
            self._collecting[object, probe] = said, lines
        return self._collecting[object, probe][0]

    def clear(self) -> None:
        """Set the sums of the last pass to 0, but for what a probe wants, and for the object's, which are `stale`."""
        self.probe_den[0] = 0
        self.varied_num[0] = 0
        self.stale = self._used

    def collected(self, object: bool) -> None:
        """Note which rows of the object's sums have been added to."""
        rows = int(self.seen[0].min()), int(self.seen[1].max())
        self._used, self.stale = rows if object else (0, 0), (0, 0)

    def empty(self) -> None:
        """Set all sums to 0."""
        for array in self.all:
            array.fill(0)


class Scratch:
    """The buffers of one thread."""

    def __init__(self, plans: transforms.Plans, modes: int, ny: int, nx: int) -> None:
        wave, shifted = (transforms.zeros(modes, plans.height, 2 * plans.stride) for _ in range(2))
        row_ramp, column_ramp = transforms.zeros(2 * ny), transforms.zeros(2 * plans.stride)
        model, mixed = (transforms.zeros(plans.columns) for _ in range(2))
        sums = transforms.zeros(2 * WIDTH)
        heard = transforms.zeros(len(RESPONSES) - 1, 2 * WIDTH)
        self.gather = (wave, shifted, row_ramp, column_ramp, model, sums, heard)
        self.project = (wave, shifted, row_ramp, column_ramp, model, mixed, sums, heard)
