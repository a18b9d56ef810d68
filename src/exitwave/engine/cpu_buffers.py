"""What the sweeps on the CPU work in: arrays in the layout of the loops (`kernels`)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import fourier
from exitwave.engine.kernels.vectors import WIDTH
from exitwave.engine.problem import Problem
from exitwave.engine.sweeps import RESPONSES


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
    low: int
    high: int
    """Rows of the object that the frames see."""


class Totals:
    """Sums in the layout of the loops, a set for each thread. The first set takes up the others after a pass."""

    def __init__(self, problem: Problem, modes: int, plans: fourier.Plans, sets: int) -> None:
        (ny, nx), (*rows, columns) = problem.shape, problem.full_shape
        # memory that a thread does not touch is not taken
        self.object_num = np.zeros((sets, *rows, 2 * columns), np.float32)
        self.object_den = np.zeros((sets, *rows, columns), np.float32)
        self.probe_num = fourier.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.spectrum_num = fourier.zeros(sets, modes, plans.height, 2 * plans.stride)
        self.probe_den = fourier.zeros(sets, ny + 1, nx)  # and a row that is not used
        self.varied_num = fourier.zeros(sets, 0, plans.height, 2 * plans.stride)

    @property
    def object(self) -> tuple[NDArray[np.float32], ...]:
        """The sums on the object's grid."""
        return self.object_num, self.object_den

    @property
    def probe(self) -> tuple[NDArray[np.float32], ...]:
        """The sums on the probe's grid."""
        varied = (self.varied_num,) if self.varied_num.size else ()
        return self.probe_num, self.spectrum_num, self.probe_den, *varied

    def vary(self, variations: int) -> None:
        """Make room for the sums of some variations."""
        sets, _, height, width = self.varied_num.shape
        self.varied_num = fourier.zeros(sets, variations, height, width)

    def of(self, number: int) -> tuple[NDArray[np.float32], ...]:
        """Return one set."""
        arrays = *self.object, self.probe_num, self.spectrum_num, self.probe_den, self.varied_num
        return tuple(array[number] for array in arrays)


class Scratch:
    """The buffers of one thread."""

    def __init__(self, plans: fourier.Plans, modes: int, ny: int, nx: int) -> None:
        wave, shifted = (fourier.zeros(modes, plans.height, 2 * plans.stride) for _ in range(2))
        row_ramp, column_ramp = fourier.zeros(2 * ny), fourier.zeros(2 * plans.stride)
        model, mixed, sums = fourier.zeros(plans.columns), fourier.zeros(plans.columns), fourier.zeros(WIDTH)
        heard = fourier.zeros(len(RESPONSES) - 1, WIDTH)
        self.gather = (wave, shifted, row_ramp, column_ramp, model, sums, heard)
        self.project = (wave, shifted, row_ramp, column_ramp, model, mixed, sums, heard)
