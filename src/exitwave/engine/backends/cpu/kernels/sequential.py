"""The compiled loop that updates object and probe after every frame; for arrays, layout and arguments see `kernels`."""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import compare_detector
from exitwave.engine.backends.cpu.kernels.gather import (
    begin_frame_probe,
    compare,
    end_frame_probe,
    form_exit_wave,
    shift_columns_back,
    undo_pointing,
    wave_shape,
)
from exitwave.engine.backends.cpu.kernels.near_field import compare_near
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE

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
def update(wave, frame_probe, with_pointing, obj, top, left, plans, ny, nx, object_step, probe_step, probe_density,
           object_density, before):  # fmt: skip
    """Step the object's window, and replace chi by the probe's step, with rows transformed if there is no pointing.

    ``object_step`` and ``probe_step`` are (length, share of the denominator, floor); a length of 0 leaves the quantity
    unchanged. Both start from the same object: ``before`` is scratch for a row of it.
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
                    length, share, floor = object_step
                    rows.step(o, frame_probe[k, r], w, probe_density[r], length, share, floor, nx)
                if probe_step[0] > 0:
                    length, share, floor = probe_step
                    rows.to_step(w, before, object_density[r], length, share, floor, nx)
        if probe_step[0] > 0 and not with_pointing:
            for k in range(modes):
                address = wave[k, first].ctypes.data
                execute(plans.rows_forward, address, address)


@compiled
def sequential(frames, counts, invalid, floor, parameters, plans, obj, spectrum, object_length, object_alpha,
               probe_length, probe_alpha, near, detector, scratch, probe_density, object_density,
               before):  # fmt: skip
    """Update object and probe after every frame (a length of 0 leaves it unchanged); returns the misfit.

    The probe is stored as its ``spectrum``. Both updates of a frame start from the same object and probe.
    """
    wave, frame_probe, row_ramp, column_ramp, model, sums, _ = scratch
    ny, nx = wave_shape(counts, detector)
    object_share, probe_share = np.float32(1 - object_alpha), np.float32(1 - probe_alpha)
    whole_object = obj.reshape((1, obj.shape[0], obj.shape[1]))
    misfit, with_pointing = 0.0, parameters.pointing.shape[0] > 0
    for j in frames:
        top, left = parameters.corners[j, 0], parameters.corners[j, 1]
        begin_frame_probe(frame_probe, spectrum, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        if with_pointing:
            end_frame_probe(frame_probe, parameters, j, column_ramp, plans, ny, nx)
        form_exit_wave(wave, frame_probe, not with_pointing, obj, top, left, plans, ny, nx)
        if detector is not None:
            misfit += compare_detector(
                wave, counts[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, model, detector
            )[0]  # fmt: skip
        elif near is None:
            misfit += compare(wave, counts[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, model, sums)[0]
        else:
            misfit += compare_near(
                wave, counts[j], invalid, floor, AMPLITUDE, True, plans, ny, nx, near, parameters.shifts[j], sums
            )[0]  # fmt: skip
        object_floor = np.float32(object_alpha * largest_power(probe_density, frame_probe, 0, 0, ny, nx)) + _TINY
        probe_floor = np.float32(probe_alpha * largest_power(object_density, whole_object, top, left, ny, nx)) + _TINY
        object_step = (np.float32(object_length), object_share, object_floor)
        probe_step = (np.float32(probe_length), probe_share, probe_floor)
        update(
            wave, frame_probe, with_pointing, obj, top, left, plans, ny, nx, object_step, probe_step, probe_density,
            object_density, before,
        )  # fmt: skip
        if probe_length > 0 and with_pointing:
            undo_pointing(wave, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        if probe_length > 0:
            row_ramp *= np.float32(ny * nx)
            shift_columns_back(spectrum, wave, row_ramp, column_ramp, plans, ny, 0)
    return misfit
