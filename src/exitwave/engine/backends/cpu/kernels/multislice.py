"""The compiled loops for a thick sample: a thread carries one frame through all slices, to the detector and back.

For arrays and their layout see `kernels`. ``obj`` is (slices, rows, 2 * columns), and ``waves`` keeps what enters the
slices, shape (slices, modes, height, 2 * stride).
"""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    TOLD,
    as_it_is,
    compare,
    enter,
    leave,
    ramps,
    shift_columns,
    shift_columns_back,
    vary_back,
)
from exitwave.engine.backends.cpu.kernels.waves import transform_rows

_EIGHT, _TWELVE = np.float32(8), np.float32(12)


@compiled
def propagate(out, wave, transfer, plans, ny):
    """Carry waves whose rows are transformed to the next slice; their rows stay transformed.

    ``transfer`` is (height, 2 * stride), with the normalisation of the transform back; ``wave`` is used up.
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
def slope(out, obj, row, left, axis, nx):
    """Write one row of the object's derivative along an axis; see `backend.gradient`."""
    ahead = 2 if axis == 1 else obj.shape[1]
    flat, first = obj.reshape(-1), row * obj.shape[1] + 2 * left
    for i in range(2 * nx):
        at = first + i
        near, far = flat[at + ahead] - flat[at - ahead], flat[at + 2 * ahead] - flat[at - 2 * ahead]
        out[i] = (_EIGHT * near - far) / _TWELVE


@compiled
def dot(a, b, ny, nx):
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
def add_slopes(tangent, entering, obj, top, left, axis, line, ny, nx):
    """Turn a tangent into O tangent + (dO along the axis) entering; ``line`` is scratch for a row."""
    for r in range(ny):
        slope(line, obj, top + r, left, axis, nx)
        for k in range(tangent.shape[0]):
            t = tangent[k, r]
            rows.cross(t, obj[top + r, 2 * left : 2 * (left + nx)], t, line, entering[k, r], nx)


@compiled
def add_to_each(target, waves, ny, nx):
    """Add waves to others."""
    for k in range(target.shape[0]):
        for r in range(ny):
            for i in range(2 * nx):
                target[k, r, i] += waves[k, r, i]


@compiled
def multiply_slice(wave, obj, top, left, ny, nx):
    """Multiply waves with a slice, in place."""
    for r in range(ny):
        for k in range(wave.shape[0]):
            w = wave[k, r]
            rows.multiply(w, w, obj[top + r, 2 * left : 2 * (left + nx)], nx)


@compiled
def carry(out, wave, transfer, plans, ny):
    """Carry waves to the next slice, from real space to real space."""
    transform_rows(plans.rows_forward, wave, plans)
    propagate(out, wave, transfer, plans, ny)
    transform_rows(plans.rows_backward, out, plans)


@compiled
def differentiate(tangents, beam, waves, obj, top, left, transfer, steeper, plans, ny, nx, line):
    """Write the exit wave's derivatives: along rows and columns of all slices together, and by the spacing.

    ``tangents`` are four sets of waves, of which the last is scratch. ``steeper`` is the transfer function's derivative
    by the spacing.
    """
    aside = tangents[3]
    tangents[:3] = 0
    for n in range(obj.shape[0]):
        entering = beam if n == 0 else waves[n]
        if n > 0:
            for axis in range(3):
                aside[:] = tangents[axis]
                carry(tangents[axis], aside, transfer, plans, ny)
            before = beam if n == 1 else waves[n - 1]
            for k in range(beam.shape[0]):
                for r in range(ny):
                    o = obj[n - 1, top + r, 2 * left : 2 * (left + nx)]
                    rows.multiply(aside[k, r], before[k, r], o, nx)
            transform_rows(plans.rows_forward, aside, plans)
            propagate(aside, aside, steeper, plans, ny)
            transform_rows(plans.rows_backward, aside, plans)
            add_to_each(tangents[2], aside, ny, nx)
        for axis in range(2):
            add_slopes(tangents[axis], entering, obj[n], top, left, axis, line, ny, nx)
        multiply_slice(tangents[2], obj[n], top, left, ny, nx)


@compiled
def tell(told, apart, tangents, entering, obj, top, left, chi, ny, nx):
    """Write what a frame tells after its difference; see `RESPONSES`. ``apart`` takes what the spacing wants."""
    y, x, z, psi = tangents[0], tangents[1], tangents[2], tangents[3]
    for k in range(psi.shape[0]):
        for r in range(ny):
            rows.multiply(psi[k, r], entering[k, r], obj[top + r, 2 * left : 2 * (left + nx)], nx)
    told[0], told[1], told[2] = dot(y, y, ny, nx), dot(x, x, ny, nx), dot(y, x, ny, nx)
    told[3], told[4] = dot(y, chi, ny, nx), dot(x, chi, ny, nx)
    told[5], told[6] = dot(psi, psi, ny, nx), dot(psi, chi, ny, nx)
    apart[0] += dot(z, chi, ny, nx)


@compiled
def forward(wave, beam, waves, half_shifted, obj, top, left, transfer, plans, ny, nx):
    """Carry a frame's beam through all slices; leaves the exit wave with its rows transformed."""
    enter(wave, beam, half_shifted, obj[0], top, left, plans, ny, nx)
    for n in range(1, obj.shape[0]):
        propagate(waves[n], wave, transfer, plans, ny)
        enter(wave, waves[n], True, obj[n], top, left, plans, ny, nx)


@compiled
def gather(frames, places, stack, invalid, floor, own, plans, obj, probe, spectrum, transfer, steeper, noise,
           want_object, want_probe, responses, apart, scratch, thick, home, object_num, object_den,
           probe_num, spectrum_num, probe_den, varied_num):  # fmt: skip
    """Carry frames through the slices and add up what an update needs; see `chain.gather`.

    Behind the last slice chi is what the measurement asks for. Every slice but the first sends it back to the one
    before: times the conjugate slice, and propagated back.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, _ = scratch
    waves, tangents, line, unused, chi = thick
    ny, nx, last = stack.shape[1], stack.shape[2], obj.shape[0] - 1
    misfit, loss = 0.0, 0.0
    listen = responses.shape[0] > 0
    silent = np.zeros((0, sums.shape[0]), np.float32)
    for i, j in enumerate(frames):
        top, left = own.corners[j, 0], own.corners[j, 1]
        whole = as_it_is(own, j)
        beam = probe
        if not whole:
            beam = shifted
            ramps(row_ramp, column_ramp, own, j, ny, nx)
            shift_columns(beam, spectrum, own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
        forward(wave, beam, waves, not whole, obj, top, left, transfer, plans, ny, nx)
        wanted = want_object or want_probe or listen
        frame_misfit, frame_loss = compare(wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, model, sums)
        misfit += frame_misfit
        loss += frame_loss
        if not wanted:
            continue
        told = responses[places[i]] if listen else responses[0:0, 0]
        if listen:
            chi[:] = wave
            transform_rows(plans.rows_backward, chi, plans)
            differentiate(tangents, beam, waves, obj, top, left, transfer, steeper, plans, ny, nx, line)
            told[0] = frame_misfit
            tell(told[1:], apart, tangents, waves[last], obj[last], top, left, chi, ny, nx)
        if not (want_object or want_probe):
            continue
        for n in range(last, 0, -1):
            leave(
                wave, waves[n], False, False, False, obj[n], top, left, plans, ny, nx, want_object, True, silent, told,
                home, n * obj.shape[1], object_num, object_den, probe_num, unused,
            )  # fmt: skip
            propagate_back(wave, transfer, plans, ny)
        leave(
            wave, beam, whole, False, False, obj[0], top, left, plans, ny, nx, want_object, want_probe, silent, told,
            home, 0, object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if want_probe and not whole:
            shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, own.spectra.shape[0])
            vary_back(varied_num, told[TOLD:], own.spectra, own.weights[j], wave[0], plans, ny, sums)
    return misfit, loss
