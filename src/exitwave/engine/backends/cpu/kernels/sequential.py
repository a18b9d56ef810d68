"""The compiled loop that updates object and probe after every frame; for arrays and their layout see `kernels`."""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import detector, rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    compare,
    enter,
    field,
    ramps,
    shift_columns,
    shift_columns_back,
    tilt_back,
)
from exitwave.engine.backends.cpu.kernels.near_field import compare_near
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE
from exitwave.engine.backends.cpu.kernels.pointing import tilt
from exitwave.engine.backends.cpu.kernels.waves import transform_rows

_TINY = np.float32(1e-20)


@compiled
def largest_power(out, waves, top, left, ny, nx):
    """Write sum_k |wave_k|^2 of the window, shape (ny, nx), and return the largest."""
    largest = np.float32(0)
    for r in range(ny):
        row = out[r]
        rows.power(row, waves[0, top + r, 2 * left : 2 * (left + nx)], nx)
        for k in range(1, waves.shape[0]):
            rows.add_power(row, waves[k, top + r, 2 * left : 2 * (left + nx)], nx)
        for c in range(nx):
            largest = max(largest, row[c])
    return largest


@compiled
def update(wave, beam, tilted, obj, top, left, plans, ny, nx, object_step, probe_step, object_den, probe_den, before):
    """Step the object's window, and turn chi into the probe's step, with its rows transformed unless it is tilted.

    ``object_step`` and ``probe_step`` are (length, share of the denominator, floor); a length of 0 leaves the quantity
    alone. Both start from the same object: ``before`` is scratch for a row of it.
    """
    modes = wave.shape[0]
    for first in range(0, ny, plans.rows):
        for k in range(modes):
            address = wave[k, first].ctypes.data
            execute(plans.rows_backward, address, address)
        for r in range(first, min(first + plans.rows, ny)):
            o = obj[top + r, 2 * left : 2 * (left + nx)]
            before[: 2 * nx] = o
            for k in range(modes):
                w = wave[k, r]
                if object_step[0] > 0:
                    rows.step(o, beam[k, r], w, object_den[r], object_step[0], object_step[1], object_step[2], nx)
                if probe_step[0] > 0:
                    rows.into_step(w, before, probe_den[r], probe_step[0], probe_step[1], probe_step[2], nx)
        if probe_step[0] > 0 and not tilted:
            for k in range(modes):
                address = wave[k, first].ctypes.data
                execute(plans.rows_forward, address, address)


@compiled
def sequential(frames, stack, invalid, floor, own, plans, obj, spectrum, object_length, object_alpha,
               probe_length, probe_alpha, near, pixels, scratch, object_den, probe_den, before):  # fmt: skip
    """Update object and probe after every frame (a length of 0 leaves it alone); returns the misfit.

    The probe lives in its ``spectrum`` here; both updates of a frame start from the same object and probe.
    """
    wave, beam, row_ramp, column_ramp, model, sums, _ = scratch
    ny, nx = field(stack, pixels)
    object_share, probe_share = np.float32(1 - object_alpha), np.float32(1 - probe_alpha)
    window = obj.reshape((1, obj.shape[0], obj.shape[1]))
    misfit, tilted = 0.0, own.pointing.shape[0] > 0
    for j in frames:
        top, left = own.corners[j, 0], own.corners[j, 1]
        ramps(row_ramp, column_ramp, own, j, ny, nx)
        shift_columns(beam, spectrum, own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
        if tilted:
            transform_rows(plans.rows_backward, beam, plans)
            tilt(beam, column_ramp, own.pointing[j, 0], own.pointing[j, 1], ny, nx)
        enter(wave, beam, not tilted, obj, top, left, plans, ny, nx)
        if pixels is not None:
            misfit += detector.compare(
                wave, stack[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, model, pixels
            )[0]  # fmt: skip
        elif near is None:
            misfit += compare(wave, stack[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, model, sums)[0]
        else:
            misfit += compare_near(
                wave, stack[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, near, own.shifts[j], sums
            )[0]
        object_floor = np.float32(object_alpha * largest_power(object_den, beam, 0, 0, ny, nx)) + _TINY
        probe_floor = np.float32(probe_alpha * largest_power(probe_den, window, top, left, ny, nx)) + _TINY
        object_step = (np.float32(object_length), object_share, object_floor)
        probe_step = (np.float32(probe_length), probe_share, probe_floor)
        update(
            wave, beam, tilted, obj, top, left, plans, ny, nx, object_step, probe_step, object_den, probe_den, before
        )  # fmt: skip
        if probe_length > 0 and tilted:
            tilt_back(wave, own, j, row_ramp, column_ramp, plans, ny, nx)
        if probe_length > 0:
            row_ramp *= np.float32(ny * nx)
            shift_columns_back(spectrum, wave, row_ramp, column_ramp, plans, ny, 0)
    return misfit
