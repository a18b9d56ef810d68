"""The compiled loops of the near field, between the sample and the detector; for arrays and their layout see `kernels`.

The way there ends in real space: the wave's columns are transformed, turned by the transfer function and transformed
back, then its rows are transformed back and compared with the counts; and so on the way back. So a pass has twice the
transforms of the far field.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, weigh
from exitwave.engine.backends.cpu.kernels.waves import ramp

_ONE = np.float32(1)


class Near(NamedTuple):
    """The way to the detector, and what one thread needs for it."""

    transfer: NDArray[np.float32]
    """`near.Propagator.transfer` with the normalisation of the transforms, shape (height, 2 * stride)."""
    row_ramp: NDArray[np.float32]
    """Scratch, shape (2 * ny,)."""
    column_ramp: NDArray[np.float32]
    """Scratch, shape (2 * stride,)."""
    factor: NDArray[np.float32]
    """Scratch, shape (2 * stride,)."""
    model: NDArray[np.float32]
    """Scratch, shape (stride,)."""
    mixed: NDArray[np.float32]
    """Scratch, shape (stride,)."""


@compiled
def turn(wave, near, plans, ny, back):
    """Transform the columns, turn the wave by the transfer function and the ramps, and transform the columns back."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
            for r in range(ny):
                re, im = near.row_ramp[2 * r], near.row_ramp[2 * r + 1]
                rows.turn(near.factor, near.column_ramp[part], near.transfer[r, part], re, im, plans.columns)
                if back:
                    rows.conjugate_multiply(wave[k, r, part], near.factor, plans.columns)
                else:
                    rows.multiply(wave[k, r, part], near.factor, wave[k, r, part], plans.columns)
            execute(plans.columns_backward, address, address)


@compiled
def forth(wave, near, shift, plans, ny, nx):
    """Bring an exit wave, whose rows are transformed, to the detector: what remains is to transform the rows back.

    ``shift`` is the sub-pixel shift of the frame's probe, by which the wave is shifted back.
    """
    shift_back(near, shift, ny, nx)
    turn(wave, near, plans, ny, False)


@compiled
def shift_back(near, shift, ny, nx):
    """Write the ramps that shift a wave back."""
    ramp(near.row_ramp, -shift[0], ny, 1.0)
    ramp(near.column_ramp, -shift[1], nx, 1.0)


@compiled
def compare_near(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, shift, sums):
    """End the propagation, compare with the measured counts, and turn the waves into chi: `chain.compare`."""
    forth(wave, near, shift, plans, ny, nx)
    misfit, loss = judge(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, sums)
    if back:
        turn(wave, near, plans, ny, True)
    return misfit, loss


@compiled
def judge(wave, frame, invalid, floor, noise, back, plans, ny, nx, near, sums):
    """Transform the rows back, compare with the measured counts and correct the waves, and transform the rows again."""
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
                row_misfit, row_loss = weigh(model[:nx], counts, invalid, noise, _ONE)
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
