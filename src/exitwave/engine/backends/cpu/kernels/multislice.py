"""The compiled loops for a thick sample: one frame at a time, through all slices, to the detector and back.

For arrays, layout and arguments see `kernels`. ``obj`` is (slices, rows, 2 * columns), and ``entering`` holds the waves
that enter the slices, shape (slices, modes, height, 2 * stride). ``transfer`` is the transfer function between slices
with the normalisation of the transform back, shape (height, 2 * stride).
"""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    RESPONSE_COUNT,
    add_probe_sums,
    add_to_sums,
    begin_frame_probe,
    compare,
    form_exit_wave,
    is_unchanged,
)
from exitwave.engine.backends.cpu.kernels.waves import transform_rows

_EIGHT, _TWELVE = np.float32(8), np.float32(12)


@compiled
def propagate(out, wave, transfer, plans, ny):
    """Propagate waves whose rows are transformed to the next slice; their rows stay transformed.

    ``wave`` is overwritten.
    """
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            execute(plans.columns_forward, wave[k].ctypes.data + 8 * left, wave[k].ctypes.data + 8 * left)
            for r in range(ny):
                rows.multiply(out[k, r, part], transfer[r, part], wave[k, r, part], plans.columns)
            execute(plans.columns_backward, out[k].ctypes.data + 8 * left, out[k].ctypes.data + 8 * left)


@compiled
def propagate_back(wave, transfer, plans, ny):
    """Do the adjoint of `propagate` in place."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
            for r in range(ny):
                rows.conjugate_multiply(wave[k, r, part], transfer[r, part], plans.columns)
            execute(plans.columns_backward, address, address)


@compiled
def gradient_row(out, obj, row, left, axis, nx):
    """Write one row of the object's derivative along an axis; see `backend.gradient`.

    `rows.add_responses` has the same formula with other roundings, within registers.
    """
    step = 2 if axis == 1 else obj.shape[1]
    flat, first = obj.reshape(-1), row * obj.shape[1] + 2 * left
    for i in range(2 * nx):
        at = first + i
        near, far = flat[at + step] - flat[at - step], flat[at + 2 * step] - flat[at - 2 * step]
        out[i] = (_EIGHT * near - far) / _TWELVE


@compiled
def inner(a, b, ny, nx):
    """Return Re sum conj(a) b over modes and pixels."""
    total = 0.0
    for k in range(a.shape[0]):
        for r in range(ny):
            line = np.float32(0)
            for i in range(2 * nx):
                line += a[k, r, i] * b[k, r, i]
            total += line
    return total


@compiled
def through_slice(tangent, entering, obj, top, left, axis, line, ny, nx):
    """Replace a tangent by O tangent + (dO along the axis) entering; ``line`` is scratch for a row."""
    for r in range(ny):
        gradient_row(line, obj, top + r, left, axis, nx)
        for k in range(tangent.shape[0]):
            t = tangent[k, r]
            rows.sum_of_products(t, obj[top + r, 2 * left : 2 * (left + nx)], t, line, entering[k, r], nx)


@compiled
def add_waves(target, waves, ny, nx):
    """Add waves to the target."""
    for k in range(target.shape[0]):
        for r in range(ny):
            for i in range(2 * nx):
                target[k, r, i] += waves[k, r, i]


@compiled
def multiply_slice(wave, obj, top, left, ny, nx):
    """Multiply waves by a slice, in place."""
    for r in range(ny):
        for k in range(wave.shape[0]):
            w = wave[k, r]
            rows.multiply(w, w, obj[top + r, 2 * left : 2 * (left + nx)], nx)


@compiled
def propagate_real(out, wave, transfer, plans, ny):
    """Propagate waves to the next slice, from real space to real space; ``wave`` is overwritten."""
    transform_rows(plans.rows_forward, wave, plans)
    propagate(out, wave, transfer, plans, ny)
    transform_rows(plans.rows_backward, out, plans)


@compiled
def write_tangents(tangents, frame_probe, entering, obj, top, left, transfer, transfer_derivative, plans, ny, nx,
                   line):  # fmt: skip
    """Write the derivatives of the exit wave: along rows and columns of all slices together, and by the spacing.

    ``tangents`` are four sets of waves, of which the last is scratch. ``transfer_derivative`` is the derivative of the
    transfer function by the spacing.
    """
    spare = tangents[3]
    tangents[:3] = 0
    for n in range(obj.shape[0]):
        wave = frame_probe if n == 0 else entering[n]
        if n > 0:
            for axis in range(3):
                spare[:] = tangents[axis]
                propagate_real(tangents[axis], spare, transfer, plans, ny)
            before = frame_probe if n == 1 else entering[n - 1]
            for k in range(frame_probe.shape[0]):
                for r in range(ny):
                    o = obj[n - 1, top + r, 2 * left : 2 * (left + nx)]
                    rows.multiply(spare[k, r], before[k, r], o, nx)
            transform_rows(plans.rows_forward, spare, plans)
            propagate(spare, spare, transfer_derivative, plans, ny)
            transform_rows(plans.rows_backward, spare, plans)
            add_waves(tangents[2], spare, ny, nx)
        for axis in range(2):
            through_slice(tangents[axis], wave, obj[n], top, left, axis, line, ny, nx)
        multiply_slice(tangents[2], obj[n], top, left, ny, nx)


@compiled
def write_responses(out, spacing_sum, tangents, wave, obj, top, left, chi, ny, nx):
    """Write the responses of a frame after the first, and add <Z, chi> to ``spacing_sum``, with Z = dpsi / dspacing.

    ``wave`` enters the last slice ``obj``.
    """
    y, x, z, psi = tangents[0], tangents[1], tangents[2], tangents[3]
    for k in range(psi.shape[0]):
        for r in range(ny):
            rows.multiply(psi[k, r], wave[k, r], obj[top + r, 2 * left : 2 * (left + nx)], nx)
    out[0], out[1], out[2] = inner(y, y, ny, nx), inner(x, x, ny, nx), inner(y, x, ny, nx)
    out[3], out[4] = inner(y, chi, ny, nx), inner(x, chi, ny, nx)
    out[5], out[6] = inner(psi, psi, ny, nx), inner(psi, chi, ny, nx)
    spacing_sum[0] += inner(z, chi, ny, nx)


@compiled
def propagate_through(wave, frame_probe, entering, rows_pending, obj, top, left, transfer, plans, ny, nx):
    """Propagate a frame's probe through all slices; the exit wave has its rows transformed."""
    form_exit_wave(wave, frame_probe, rows_pending, obj[0], top, left, plans, ny, nx)
    for n in range(1, obj.shape[0]):
        propagate(entering[n], wave, transfer, plans, ny)
        form_exit_wave(wave, entering[n], True, obj[n], top, left, plans, ny, nx)


@compiled
def gather_slices(frames, indices, counts, invalid, floor, parameters, plans, obj, probe, spectrum, transfer,
                  transfer_derivative, noise, sum_object, sum_probe, responses, spacing_sum, scratch, slice_scratch,
                  set_of_row, object_num, object_den, probe_num, spectrum_num, probe_den, opr_num):  # fmt: skip
    """Carry frames through the slices and sum the corrections; see `gather.gather`.

    chi is the correction behind the last slice. The correction behind every other slice is that behind the next one,
    times the conjugate slice and propagated back.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, _ = scratch
    entering, tangents, line, unused, chi = slice_scratch
    ny, nx, last = counts.shape[1], counts.shape[2], obj.shape[0] - 1
    misfit, loss = 0.0, 0.0
    requested = responses.shape[0] > 0
    no_responses = np.zeros((0, sums.shape[0]), np.float32)
    for i, j in enumerate(frames):
        top, left = parameters.corners[j, 0], parameters.corners[j, 1]
        unchanged = is_unchanged(parameters, j)
        frame_probe = probe
        if not unchanged:
            frame_probe = shifted
            begin_frame_probe(frame_probe, spectrum, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        propagate_through(wave, frame_probe, entering, not unchanged, obj, top, left, transfer, plans, ny, nx)
        back = sum_object or sum_probe or requested
        frame_misfit, frame_loss = compare(wave, counts[j], invalid, floor, noise, back, plans, ny, nx, model, sums)
        misfit += frame_misfit
        loss += frame_loss
        if not back:
            continue
        of_frame = responses[indices[i]] if requested else responses[0:0, 0]
        if requested:
            chi[:] = wave
            transform_rows(plans.rows_backward, chi, plans)
            write_tangents(
                tangents, frame_probe, entering, obj, top, left, transfer, transfer_derivative, plans, ny, nx, line
            )  # fmt: skip
            of_frame[0] = frame_misfit
            write_responses(of_frame[1:], spacing_sum, tangents, entering[last], obj[last], top, left, chi, ny, nx)
        if not (sum_object or sum_probe):
            continue
        for n in range(last, 0, -1):
            add_to_sums(
                wave, entering[n], False, False, False, obj[n], top, left, plans, ny, nx, sum_object, True,
                no_responses, of_frame, set_of_row, n * obj.shape[1], object_num, object_den, probe_num, unused,
            )  # fmt: skip
            propagate_back(wave, transfer, plans, ny)
        add_to_sums(
            wave, frame_probe, unchanged, False, False, obj[0], top, left, plans, ny, nx, sum_object, sum_probe,
            no_responses, of_frame, set_of_row, 0, object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if sum_probe and not unchanged:
            add_probe_sums(
                spectrum_num, opr_num, of_frame[RESPONSE_COUNT:], wave, parameters, j, row_ramp, column_ramp, plans,
                ny, sums,
            )  # fmt: skip
    return misfit, loss
