"""The compiled derivatives along a line through object and probe; for arrays, layout and arguments see `kernels`."""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import compare_line_detector
from exitwave.engine.backends.cpu.kernels.gather import (
    begin_frame_probe,
    end_frame_probe,
    form_exit_wave,
    is_unchanged,
    shift_columns,
    wave_shape,
)
from exitwave.engine.backends.cpu.kernels.moves import add_moved_probe, multiply_ramps
from exitwave.engine.backends.cpu.kernels.near_field import propagate_near
from exitwave.engine.backends.cpu.kernels.noise import line_derivatives
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows


@compiled
def form_first_change(wave, probe, d_obj, d_probe, obj, top, left, plans, ny, nx):
    """Write probe * d_obj + d_probe * obj for every mode, with its rows transformed: d psi / dt at t = 0."""
    for k in range(wave.shape[0]):
        for r in range(ny):
            a, b = d_obj[top + r, 2 * left : 2 * (left + nx)], obj[top + r, 2 * left : 2 * (left + nx)]
            rows.sum_of_products(wave[k, r], probe[k, r], a, d_probe[k, r], b, nx)
    transform_rows(plans.rows_forward, wave, plans)


@compiled
def along_line(frames, counts, invalid, floor, parameters, plans, obj, probe, spectrum, d_obj, d_probe, d_spectrum,
               moves, noise, lengths, out, near, detector, exposures, scratch, q, planes):  # fmt: skip
    """Add the first and second derivative of the loss at (O + t h_O, P + t h_P) to ``out``, shape (lengths, 2).

    The modelled wave is A + t B + t^2 C, with A = F[P O], B = F[P h_O + h_P O] and C = F[h_P h_O]. ``d_obj`` is h_O,
    ``d_probe`` h_P with its spectrum ``d_spectrum``. ``scratch`` holds buffers for A, B, C and both shifted probes, the
    ramps of the shift and two more. ``q`` is (5, columns at a time, or a row), and ``planes`` scratch for a non-ideal
    detector, see `detector.compare_line_detector`. ``moves``, shape (npos or 0, 2), are displacements of the frames;
    the change of a frame's probe by its move is part of its h_P. ``parameters`` and the waves have the exposures of a
    frame like in `fly_scan.gather_fly`.
    """
    start, first, second, probe_buffer, d_probe_buffer, row_ramp, column_ramp, ramp_derivatives = scratch
    ny, nx = wave_shape(counts, detector)
    modes = probe.shape[0]
    for j in frames:
        for e in range(exposures):
            v, part = j * exposures + e, slice(e * modes, (e + 1) * modes)
            top, left = parameters.corners[v, 0], parameters.corners[v, 1]
            frame_probe, d_frame_probe = probe, d_probe
            if moves.shape[0] or not is_unchanged(parameters, v):
                frame_probe, d_frame_probe = probe_buffer, d_probe_buffer
                begin_frame_probe(frame_probe, spectrum, parameters, v, row_ramp, column_ramp, plans, ny, nx)
                if moves.shape[0]:
                    multiply_ramps(d_frame_probe, d_spectrum, row_ramp, column_ramp, ny, plans.stride)
                    add_moved_probe(
                        d_frame_probe, spectrum, parameters.opr_spectra, parameters.opr_weights[v], moves[j], row_ramp,
                        column_ramp, ramp_derivatives, plans, ny, nx,
                    )  # fmt: skip
                    transform_columns(plans.columns_backward, d_frame_probe, plans)
                else:
                    shift_columns(
                        d_frame_probe, d_spectrum, parameters.opr_spectra[:0], parameters.opr_weights[v], row_ramp,
                        column_ramp, plans, ny,
                    )  # fmt: skip
                end_frame_probe(frame_probe, parameters, v, column_ramp, plans, ny, nx)
                end_frame_probe(d_frame_probe, parameters, v, column_ramp, plans, ny, nx)
            form_exit_wave(start[part], frame_probe, False, obj, top, left, plans, ny, nx)
            form_exit_wave(second[part], d_frame_probe, False, d_obj, top, left, plans, ny, nx)
            form_first_change(first[part], frame_probe, d_obj, d_frame_probe, obj, top, left, plans, ny, nx)
            if near is not None:
                for wave in (start[part], first[part], second[part]):
                    propagate_near(wave, near, parameters.shifts[v], plans, ny, nx)
                    transform_rows(plans.rows_backward, wave, plans)
        if detector is not None:
            compare_line_detector(
                start, first, second, counts[j], invalid, floor, noise, lengths, out, plans, ny, nx, detector, planes
            )  # fmt: skip
        elif near is None:
            compare_line(start, first, second, counts[j], invalid, floor, noise, lengths, out, plans, ny, nx, q)
        else:
            compare_line_near(start, first, second, counts[j], invalid, floor, noise, lengths, out, ny, nx, q)


@compiled
def compare_line(start, first, second, frame, invalid, floor, noise, lengths, out, plans, ny, nx, q):
    """End the propagation of a frame's three waves, and add its derivatives at all lengths."""
    normal = np.float32(1.0 / (ny * nx))
    for left in range(0, nx, plans.columns):
        width = min(plans.columns, nx - left)
        part = slice(2 * left, 2 * (left + width))
        for wave in (start, first, second):
            for k in range(wave.shape[0]):
                address = wave[k].ctypes.data + 8 * left
                execute(plans.columns_forward, address, address)
        for r in range(ny):
            counts = frame[r, left : left + width]
            compare_line_row(start, first, second, r, part, counts, invalid, floor, noise, lengths, out, normal, q)


@compiled
def compare_line_near(start, first, second, frame, invalid, floor, noise, lengths, out, ny, nx, q):
    """Add a frame's derivatives at all lengths, with its three waves at a detector in the near field."""
    for r in range(ny):
        part, one = slice(0, 2 * nx), np.float32(1)
        compare_line_row(start, first, second, r, part, frame[r], invalid, floor, noise, lengths, out, one, q)


@compiled
def compare_line_row(start, first, second, r, part, counts, invalid, floor, noise, lengths, out, normal, q):
    """Add the derivatives of a part of a row at all lengths."""
    q[:] = 0
    for k in range(start.shape[0]):
        a, b, c = start[k, r, part], first[k, r, part], second[k, r, part]
        rows.add_quartic(q[0], q[1], q[2], q[3], q[4], a, b, c, counts.shape[0])
    for i in range(lengths.shape[0]):
        d1, d2 = line_derivatives(q, counts, invalid, floor, noise, lengths[i], normal)
        out[i, 0] += d1
        out[i, 1] += d2
