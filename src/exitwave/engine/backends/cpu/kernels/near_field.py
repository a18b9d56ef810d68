"""The compiled propagation to a detector in the near field; see `engine.model.near_field`.

The image is in real space. From the sample to the detector, the columns of the wave are transformed, multiplied by the
transfer function and transformed back, then the rows are transformed back and compared with the counts. The way back is
the same in reverse. So a pass has twice as many transforms as in the far field.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, correction_factors
from exitwave.engine.backends.cpu.kernels.waves import ramp

_ONE = np.float32(1)


class NearField(NamedTuple):
    """The propagation to the detector, with scratch for one thread."""

    transfer: NDArray[np.float32]
    """`Propagator.transfer` with the normalisation of the transforms, shape (height, 2 * stride)."""
    row_ramp: NDArray[np.float32]
    """Scratch, shape (2 * ny,)."""
    column_ramp: NDArray[np.float32]
    """Scratch, shape (2 * stride,)."""
    factor: NDArray[np.float32]
    """Scratch, shape (2 * columns,)."""
    model: NDArray[np.float32]
    """Scratch, shape (stride,)."""
    mixed: NDArray[np.float32]
    """Scratch, shape (stride,)."""


@compiled
def apply_transfer(wave, near, plans, ny, conjugate):
    """Transform the columns, multiply by the transfer function and the ramps, and transform the columns back."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
            for r in range(ny):
                re, im = near.row_ramp[2 * r], near.row_ramp[2 * r + 1]
                rows.multiply_ramps(near.factor, near.column_ramp[part], near.transfer[r, part], re, im, plans.columns)
                if conjugate:
                    rows.conjugate_multiply(wave[k, r, part], near.factor, plans.columns)
                else:
                    rows.multiply(wave[k, r, part], near.factor, wave[k, r, part], plans.columns)
            execute(plans.columns_backward, address, address)


@compiled
def propagate_near(wave, near, shift, plans, ny, nx):
    """Propagate an exit wave, whose rows are transformed, to the detector, except for the transform of the rows back.

    ``shift`` is the sub-pixel shift of the frame's probe, by which the wave is shifted back.
    """
    write_ramps_back(near, shift, ny, nx)
    apply_transfer(wave, near, plans, ny, False)


@compiled
def write_ramps_back(near, shift, ny, nx):
    """Write the ramps that shift a wave back."""
    ramp(near.row_ramp, -shift[0], ny, 1.0)
    ramp(near.column_ramp, -shift[1], nx, 1.0)


@compiled
def compare_near(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, shift, sums):
    """Do what `gather.compare` does, at a detector in the near field."""
    propagate_near(wave, near, shift, plans, ny, nx)
    misfit, loss = correct_near(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, sums)
    if back:
        apply_transfer(wave, near, plans, ny, True)
    return misfit, loss


@compiled
def correct_near(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, sums):
    """Transform the rows back, compare with the counts and correct the waves, and transform the rows again."""
    fade, mark, model = floor * floor, np.float32(invalid), near.model
    modes = wave.shape[0]
    misfit, loss = 0.0, 0.0
    sums[:] = 0
    for first in range(0, ny, plans.rows):
        for k in range(modes):
            address = wave[k, first].ctypes.data
            execute(plans.rows_backward, address, address)
        for r in range(first, min(first + plans.rows, ny)):
            counts = frame[r]
            if noise == AMPLITUDE and modes == 1:
                rows.correct_wave(wave[0, r], counts, sums, mark, fade, _ONE, _ONE, nx)
                continue
            rows.power(model, wave[0, r], nx)
            for k in range(1, modes):
                rows.add_power(model, wave[k, r], nx)
            if noise == AMPLITUDE:
                rows.correct(model, counts, sums, mark, fade, _ONE, _ONE, nx)
            else:
                row_misfit, row_loss = correction_factors(model[:nx], counts, invalid, noise, _ONE)
                misfit += row_misfit
                loss += row_loss
            for k in range(modes):
                rows.scale(wave[k, r], model, nx)
        if back:
            for k in range(modes):
                address = wave[k, first].ctypes.data
                execute(plans.rows_forward, address, address)
    if noise == AMPLITUDE:
        for i in range(sums.shape[0]):
            misfit += sums[i]
        loss = misfit
    return misfit, loss
