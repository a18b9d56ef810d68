"""The buffers of the CPU backend, in the layout of the compiled loops (`kernels`)."""

from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels.sums import distribute_frames
from exitwave.engine.backends.cpu.kernels.vectors import WIDTH
from exitwave.engine.problem import Problem


class Share(NamedTuple):
    """The frames of one thread in a pass."""

    frames: NDArray[np.int64]
    """The frames."""
    indices: NDArray[np.int64]
    """The index of each frame in the pass."""


class ThreadSums:
    """The sums of a pass, one set for each thread. After a pass the first set takes the sums of the others.

    The numerators (``_num``) are the sums with chi of `backend.Sums`, and the denominators (``_den``) its densities.
    """

    def __init__(self, problem: Problem, modes: int, plans: transforms.Plans, sets: int) -> None:
        (ny, nx), (*rows, columns) = problem.shape, problem.full_shape
        # the system allocates only the pages of memory that a thread writes to
        self.object_num = np.zeros((sets, *rows, 2 * columns), np.float32)
        self.object_den = np.zeros((sets, *rows, columns), np.float32)
        self.probe_num = transforms.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.spectrum_num = transforms.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.probe_den = transforms.zeros(sets, ny + 1, nx)  # and a row that is not used
        self.opr_num = transforms.zeros(sets, 0, plans.height, 2 * plans.stride)
        self.row_ranges: NDArray[np.int64] = np.zeros((2, sets), np.int64)
        """The first row and the end of the rows of the object to which each thread adds."""
        self.owner: NDArray[np.int64] = np.zeros(rows[-1], np.int64)
        """The only thread that adds to a row of the object; 0: there is none."""
        self._sets_of_rows: NDArray[np.int64] = np.zeros((sets, rows[-1]), np.int64)
        self.stale = self._used = (0, 0)
        """Rows of the object's sums that the threads have to clear before they add to them."""
        self._collect_arguments: dict[tuple[bool, bool], Any] = {}

    @property
    def object(self) -> list[NDArray[np.float32]]:
        """The sums on the object's grid, slice by slice, each of shape (sets, rows, width)."""
        both = self.object_num, self.object_den
        thick = self.object_num.ndim == 4
        return [array[:, n] for array in both for n in range(array.shape[1])] if thick else list(both)

    @property
    def probe(self) -> list[NDArray[np.float32]]:
        """The sums on the probe's grid, each of shape (sets, rows, width)."""
        arrays = self.probe_num, self.spectrum_num, self.probe_den, self.opr_num
        return [array.reshape(len(array), -1, array.shape[-1]) for array in arrays if array.size]

    @property
    def all(self) -> tuple[NDArray[np.float32], ...]:
        """The sums in the order of the arguments of the loops."""
        return self.object_num, self.object_den, self.probe_num, self.spectrum_num, self.probe_den, self.opr_num

    def allocate_opr(self, opr_modes: int) -> None:
        """Allocate the sums of some OPR modes."""
        sets, _, height, width = self.opr_num.shape
        self.opr_num = transforms.zeros(sets, opr_modes, height, width)
        self._collect_arguments = {}

    def distribute(self, frames: NDArray[np.int64], tops: NDArray[np.int64], height: int) -> list[Share]:
        """Divide frames between the threads, by the first rows of their windows, shape (frames, exposures)."""
        order, ends = distribute_frames(tops, height, self.row_ranges, self.owner, self._sets_of_rows)
        return [Share(frames[order[first:last]], order[first:last]) for first, last in pairwise(ends)]

    def of(self, number: int) -> tuple[NDArray[Any], ...]:
        """Return the arrays to which a thread adds: the set for each row of the object, then the sums.

        Of the object these are all sets, with the slices below each other.
        """
        objects = (array.reshape(len(array), -1, array.shape[-1]) for array in self.all[:2])
        return self._sets_of_rows[number], *objects, *(array[number] for array in self.all[2:])

    def collect_arguments(self, object: bool, probe: bool) -> NDArray[np.int64]:
        """Return the arguments of the task `sums.collect`."""
        if (object, probe) not in self._collect_arguments:
            sets, arrays = len(self.object_num), [(each, self.owner, self.row_ranges) for each in self.object if object]
            for each in self.probe if probe else []:
                every_row = np.array([[0], [each.shape[1]]]).repeat(sets, 1)
                arrays.append((each, np.zeros(each.shape[1], np.int64), every_row))
            table = [
                (each.ctypes.data, each.strides[0] // 4, each.shape[2], owner.ctypes.data, ranges.ctypes.data)
                for each, owner, ranges in arrays
            ]
            arguments = np.array([sets, len(table), *chain.from_iterable(table)], np.int64)
            self._collect_arguments[object, probe] = arguments, arrays  # the arrays must exist as long as the addresses
        return self._collect_arguments[object, probe][0]

    def clear(self) -> None:
        """Set the sums of the last pass to 0, except the probe's numerators and the object's sums, which are `stale`.

        `sums.take_probe_sums` clears the former, and every thread the latter.
        """
        self.probe_den[0] = 0
        self.opr_num[0] = 0
        self.stale = self._used

    def collected(self, object: bool) -> None:
        """Record which rows of the object's sums have been added to."""
        rows = int(self.row_ranges[0].min()), int(self.row_ranges[1].max())
        self._used, self.stale = rows if object else (0, 0), (0, 0)

    def clear_all(self) -> None:
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
        response_sums = transforms.zeros(len(RESPONSES) - 1, 2 * WIDTH)
        self.gather = (wave, shifted, row_ramp, column_ramp, model, sums, response_sums)
        self.project = (wave, shifted, row_ramp, column_ramp, model, mixed, sums, response_sums)
