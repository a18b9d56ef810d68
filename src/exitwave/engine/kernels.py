"""The compiled loops of the CPU backend: one thread carries one frame through the whole chain, inside its cache.

The chain works on some rows in real space, and on some columns at the detector, while the transform has them in the
first cache; the row operations are those of `rows`. Waves and probes have the layout of `fftw.Plans`, shape (modes,
height, 2 * stride), with zeros beyond the frame; the object is (rows, 2 * columns). Real and imaginary parts lie side
by side (index 2i and 2i + 1).
"""

import math

import numpy as np

from exitwave.engine import rows
from exitwave.engine.compiled import compiled
from exitwave.engine.fftw import execute
from exitwave.engine.kernels_noise import AMPLITUDE, weigh


@compiled
def ramp(out, shift, n, scale):
    """Write scale * exp(-2 pi i f shift / n) for the frequencies f = 0, 1, .., -1 of an FFT of length n."""
    step = complex(math.cos(2 * math.pi * shift / n), -math.sin(2 * math.pi * shift / n))
    value = complex(scale, 0.0)
    for f in range(n // 2 + 1):
        if f > 0:
            out[2 * (n - f)], out[2 * (n - f) + 1] = value.real, -value.imag
        if 2 * f < n:
            out[2 * f], out[2 * f + 1] = value.real, value.imag
        value *= step


@compiled
def ramps(row_ramp, column_ramp, shift, ny, nx):
    """Write the ramps that shift a spectrum, with the normalisation of the transform back."""
    ramp(row_ramp, shift[0], ny, 1.0 / (ny * nx))
    ramp(column_ramp, shift[1], nx, 1.0)


@compiled
def transform_rows(plan, wave, plans):
    """Run a plan for rows on every row, in place."""
    for k in range(wave.shape[0]):
        for first in range(0, plans.height, plans.rows):
            address = wave[k, first].ctypes.data
            execute(plan, address, address)


@compiled
def transform_columns(plan, wave, plans):
    """Run a plan for columns on every column, in place."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            address = wave[k].ctypes.data + 8 * left
            execute(plan, address, address)


@compiled
def shift_columns(beam, spectrum, row_ramp, column_ramp, plans, ny):
    """Begin a Fourier shift of every mode: turn the spectrum by the ramps, and transform its columns back."""
    for k in range(beam.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            for r in range(ny):
                out, z = beam[k, r, part], spectrum[k, r, part]
                rows.turn(out, column_ramp[part], z, row_ramp[2 * r], row_ramp[2 * r + 1], plans.columns)
            address = beam[k].ctypes.data + 8 * left
            execute(plans.columns_backward, address, address)


@compiled
def shift_columns_back(spectrum, wave, row_ramp, column_ramp, plans, ny):
    """End the adjoint of the shift: transform the columns of the wave, turn them back, and add them to the spectrum."""
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            part = slice(2 * left, 2 * (left + plans.columns))
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
            for r in range(ny):
                out, z = spectrum[k, r, part], wave[k, r, part]
                rows.add_turned_back(out, column_ramp[part], z, row_ramp[2 * r], row_ramp[2 * r + 1], plans.columns)


@compiled
def enter(wave, beam, half_shifted, obj, top, left, plans, ny, nx):
    """Multiply every mode with the object's window, and transform the rows; first end a shift that has begun."""
    for k in range(beam.shape[0]):
        for first in range(0, ny, plans.rows):
            address = beam[k, first].ctypes.data
            for r in range(first, min(first + plans.rows, ny)):
                rows.fetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
            if half_shifted:
                execute(plans.rows_backward, address, address)
            for r in range(first, min(first + plans.rows, ny)):
                rows.multiply(wave[k, r], beam[k, r], obj[top + r, 2 * left : 2 * (left + nx)], nx)
            address = wave[k, first].ctypes.data
            execute(plans.rows_forward, address, address)


@compiled
def compare(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, sums):
    """End the propagation, compare with the measured counts, and turn the waves into chi, whose columns are done.

    The factor from wave to correction is ``(sqrt(I) - sqrt(model)) sqrt(model) / (model + floor^2)``, 0 on invalid
    pixels, or that of another noise model. Returns ``sum (sqrt(I) - sqrt(model))^2`` over the valid pixels, and the
    loss. Without ``back`` nothing but these is wanted. ``model`` is scratch for a row, and ``sums`` for a vector.
    """
    normal, fade, mark = np.float32(1.0 / (ny * nx)), floor * floor, np.float32(invalid)
    modes = wave.shape[0]
    misfit, loss = 0.0, 0.0
    sums[:] = 0
    for left in range(0, nx, plans.columns):
        width = min(plans.columns, nx - left)
        part = slice(2 * left, 2 * (left + width))
        for k in range(modes):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
        for r in range(ny):
            counts = frame[r, left : left + width]
            if noise == AMPLITUDE and modes == 1:
                rows.correct_wave(wave[0, r, part], counts, sums, mark, fade, normal, normal, width)
                continue
            rows.power(model, wave[0, r, part], width)
            for k in range(1, modes):
                rows.add_power(model, wave[k, r, part], width)
            if noise == AMPLITUDE:
                rows.correct(model, counts, sums, mark, fade, normal, normal, width)
            else:
                row_misfit, row_loss = weigh(model[:width], counts, invalid, noise, normal)
                misfit += row_misfit
                loss += row_loss
            for k in range(modes):
                rows.scale(wave[k, r, part], model, width)
        if back:
            for k in range(modes):
                address = wave[k].ctypes.data + 8 * left
                execute(plans.columns_backward, address, address)
    if noise == AMPLITUDE:
        for i in range(sums.shape[0]):
            misfit += sums[i]
        loss = misfit
    return misfit, loss


@compiled
def leave(wave, beam, whole, remainder, obj, top, left, plans, ny, nx, want_object, want_probe, kept,
          object_num, object_den, probe_num, probe_den):  # fmt: skip
    """Transform the rows of chi, and add sum_k conj(P_k) chi_k and sum_k |P_k|^2 to the object's window.

    |O|^2 is added to the probe's denominator once: for further modes to its row ny, which nobody reads. conj(O) chi_k
    is added to the numerator of a probe on whole pixels; for any other it takes the place of chi, with its rows
    transformed. With ``remainder`` the wave is not chi yet, but what P O is taken off from. ``kept``, shape (modes or
    0, 2 * ny * nx), receives chi.
    """
    for k in range(beam.shape[0]):
        for first in range(0, ny, plans.rows):
            for r in range(first, min(first + plans.rows, ny)):
                rows.fetch(object_num[top + r, 2 * left : 2 * (left + nx)], nx)
                rows.fetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
            address = wave[k, first].ctypes.data
            execute(plans.rows_backward, address, address)
            for r in range(first, min(first + plans.rows, ny)):
                p, w = beam[k, r], wave[k, r]
                o, out = obj[top + r, 2 * left : 2 * (left + nx)], object_num[top + r, 2 * left : 2 * (left + nx)]
                if remainder:
                    rows.subtract_product(w, p, o, nx)
                if k < kept.shape[0]:
                    kept[k, 2 * r * nx : 2 * (r + 1) * nx] = w[: 2 * nx]
                power, seen = object_den[top + r, left : left + nx], probe_den[r if k == 0 else ny]
                if want_object and want_probe and whole:
                    rows.add_both(out, power, probe_num[k, r], seen, p, o, w, nx)
                elif want_object and want_probe:
                    rows.add_and_multiply(out, power, w, seen, p, o, nx)
                elif want_object:
                    rows.add_conjugate_product(out, p, w, nx)
                    rows.add_power(power, p, nx)
                elif whole:
                    rows.add_conjugate_product(probe_num[k, r], o, w, nx)
                    rows.add_power(seen, o, nx)
                else:
                    rows.conjugate_multiply(w, o, nx)
                    rows.add_power(seen, o, nx)
            if want_probe and not whole:
                execute(plans.rows_forward, address, address)


@compiled
def gather(frames, places, stack, invalid, floor, corners, shifts, plans, obj, probe, spectrum, noise, want_object,
           want_probe, kept, scratch, object_num, object_den, probe_num, spectrum_num, probe_den):  # fmt: skip
    """Carry frames through the model and add up what an update needs; returns misfit and loss.

    The probe of a frame on whole pixels is used as it is; any other is shifted from its ``spectrum`` on the way there,
    and its correction is collected in ``spectrum_num``, shifted back. ``kept``, shape (frames or 0, modes,
    2 * ny * nx), receives the chi of every frame at its place.
    """
    wave, shifted, row_ramp, column_ramp, model, sums = scratch
    ny, nx = stack.shape[1], stack.shape[2]
    misfit, loss = 0.0, 0.0
    wanted = want_object or want_probe
    for i, j in enumerate(frames):
        top, left = corners[j, 0], corners[j, 1]
        whole = shifts[j, 0] == 0.0 and shifts[j, 1] == 0.0
        beam = probe
        if not whole:
            beam = shifted
            ramps(row_ramp, column_ramp, shifts[j], ny, nx)
            shift_columns(beam, spectrum, row_ramp, column_ramp, plans, ny)
        enter(wave, beam, not whole, obj, top, left, plans, ny, nx)
        frame_misfit, frame_loss = compare(wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, model, sums)
        misfit += frame_misfit
        loss += frame_loss
        if not wanted:
            continue
        own = kept[places[i]] if kept.shape[0] else kept[:, 0]
        leave(
            wave, beam, whole, False, obj, top, left, plans, ny, nx, want_object, want_probe, own,
            object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if want_probe and not whole:
            shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny)
    return misfit, loss


@compiled
def collect(total, parts, low, high, first, last):
    """Move the threads' rows from first to last into the total; thread t has rows from low[t] to high[t] only."""
    for r in range(first, last):
        empty = True
        for t in range(parts.shape[0]):
            if low[t] <= r < high[t]:
                move(total[r], parts[t, r], empty)
                empty = False
        if empty:
            total[r] = 0


@compiled
def move(total, part, replace):
    """Add a part to the total, or put it there, and clear it."""
    for i in range(total.shape[0]):
        total[i] = part[i] if replace else total[i] + part[i]
        part[i] = 0.0


@compiled
def descend(target, numerator, denominator, largest, length, alpha):
    """Update flat arrays: target += length * numerator / ((1 - alpha) * denominator + alpha * largest)."""
    floor = np.float32(alpha * largest) + np.float32(1e-20)
    rows.descend(target, numerator, denominator, length, np.float32(1.0 - alpha), floor, denominator.shape[0])


@compiled
def signals(stack, invalid):
    """Return the sum of the valid counts of every frame."""
    out = np.zeros(stack.shape[0])
    for j in range(stack.shape[0]):
        for r in range(stack.shape[1]):
            total = np.float32(0)
            counts = stack[j, r]
            for c in range(stack.shape[2]):
                total += np.float32(counts[c]) if counts[c] != invalid else np.float32(0)
            out[j] += total
    return out
