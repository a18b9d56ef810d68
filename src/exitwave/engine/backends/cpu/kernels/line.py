"""The compiled loop along a line through object and probe; for arrays and their layout see `kernels`."""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import detector, rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import as_it_is, end_shift, enter, field, ramps, shift_columns
from exitwave.engine.backends.cpu.kernels.moves import move_columns, turn_rows
from exitwave.engine.backends.cpu.kernels.near_field import forth
from exitwave.engine.backends.cpu.kernels.noise import gradients
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows


@compiled
def cross(wave, first, obj, second, other, top, left, plans, ny, nx):
    """Write first * obj + second * other for every mode, its rows transformed: how the exit wave begins to change."""
    for k in range(wave.shape[0]):
        for r in range(ny):
            a, b = obj[top + r, 2 * left : 2 * (left + nx)], other[top + r, 2 * left : 2 * (left + nx)]
            rows.cross(wave[k, r], first[k, r], a, second[k, r], b, nx)
    transform_rows(plans.rows_forward, wave, plans)


@compiled
def along(frames, stack, invalid, floor, own, plans, obj, probe, spectrum, obj_line, probe_line,
          line_spectrum, moves, noise, lengths, out, near, pixels, exposures, scratch, q, planes):  # fmt: skip
    """Add the first and second derivative of the loss at (O + t h_O, P + t h_P) to ``out``, shape (lengths, 2).

    The modelled wave is A + t B + t^2 C, with A = F[P O], B = F[P h_O + h_P O], C = F[h_P h_O]. ``scratch`` holds
    buffers for A, B, C and both shifted probes, the ramps of the shift and two more; ``q`` is (5, columns at a time, or
    a row), ``planes`` scratch for a detector that is not ideal, see `detector.compare_along`. ``moves``, shape (npos or
    0, 2), is how far the frames move; how that changes the probe of a frame is part of its h_P. ``own`` and the waves
    have the exposures of a frame as `fly.gather_fly` does.
    """
    start, slope, bend, beam_buffer, line_buffer, row_ramp, column_ramp, slants = scratch
    ny, nx = field(stack, pixels)
    modes = probe.shape[0]
    for j in frames:
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            top, left = own.corners[v, 0], own.corners[v, 1]
            beam, line = probe, probe_line
            if moves.shape[0] or not as_it_is(own, v):
                beam, line = beam_buffer, line_buffer
                ramps(row_ramp, column_ramp, own, v, ny, nx)
                shift_columns(beam, spectrum, own.spectra, own.weights[v], row_ramp, column_ramp, plans, ny)
                if moves.shape[0]:
                    turn_rows(line, line_spectrum, row_ramp, column_ramp, ny, plans.stride)
                    move_columns(
                        line, spectrum, own.spectra, own.weights[v], moves[j], row_ramp, column_ramp, slants, plans,
                        ny, nx,
                    )  # fmt: skip
                    transform_columns(plans.columns_backward, line, plans)
                else:
                    shift_columns(
                        line, line_spectrum, own.spectra[:0], own.weights[v], row_ramp, column_ramp, plans, ny
                    )  # fmt: skip
                end_shift(beam, own, v, column_ramp, plans, ny, nx)
                end_shift(line, own, v, column_ramp, plans, ny, nx)
            enter(start[part], beam, False, obj, top, left, plans, ny, nx)
            enter(bend[part], line, False, obj_line, top, left, plans, ny, nx)
            cross(slope[part], beam, obj_line, line, obj, top, left, plans, ny, nx)
            if near is not None:
                for wave in (start[part], slope[part], bend[part]):
                    forth(wave, near, own.shifts[v], plans, ny, nx)
                    transform_rows(plans.rows_backward, wave, plans)
        if pixels is not None:
            detector.compare_along(
                start, slope, bend, stack[j], invalid, floor, noise, lengths, out, plans, ny, nx, pixels, planes
            )  # fmt: skip
        elif near is None:
            compare_along(start, slope, bend, stack[j], invalid, floor, noise, lengths, out, plans, ny, nx, q)
        else:
            compare_rows(start, slope, bend, stack[j], invalid, floor, noise, lengths, out, ny, nx, q)


@compiled
def compare_along(start, slope, bend, frame, invalid, floor, noise, lengths, out, plans, ny, nx, q):
    """End the propagation of a frame's three waves, and add its derivatives at all lengths."""
    normal = np.float32(1.0 / (ny * nx))
    for left in range(0, nx, plans.columns):
        width = min(plans.columns, nx - left)
        part = slice(2 * left, 2 * (left + width))
        for wave in (start, slope, bend):
            for k in range(wave.shape[0]):
                address = wave[k].ctypes.data + 8 * left
                execute(plans.columns_forward, address, address)
        for r in range(ny):
            counts = frame[r, left : left + width]
            compare_row(start, slope, bend, r, part, counts, invalid, floor, noise, lengths, out, normal, q)


@compiled
def compare_rows(start, slope, bend, frame, invalid, floor, noise, lengths, out, ny, nx, q):
    """Add a frame's derivatives at all lengths, with its three waves at a detector in the near field."""
    for r in range(ny):
        whole = slice(0, 2 * nx)
        compare_row(start, slope, bend, r, whole, frame[r], invalid, floor, noise, lengths, out, np.float32(1), q)


@compiled
def compare_row(start, slope, bend, r, part, counts, invalid, floor, noise, lengths, out, normal, q):
    """Add the derivatives of a part of a row at all lengths."""
    q[:] = 0
    for k in range(start.shape[0]):
        a, b, c = start[k, r, part], slope[k, r, part], bend[k, r, part]
        rows.add_quartic(q[0], q[1], q[2], q[3], q[4], a, b, c, counts.shape[0])
    for i in range(lengths.shape[0]):
        first, second = gradients(q, counts, invalid, floor, noise, lengths[i], normal)
        out[i, 0] += first
        out[i, 1] += second
