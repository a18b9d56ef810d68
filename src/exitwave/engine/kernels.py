"""The compiled loops of the CPU backend: one thread carries one frame through the whole chain, inside its cache.

Complex arrays come as float32 views with real and imaginary parts side by side (index 2i and 2i + 1), since the
compiler vectorises those and not complex arithmetic. Waves and probes are flat, shape (modes, 2 * stride), where the
stride is ny * nx rounded up so that every mode is aligned for FFTW; the object is (rows, 2 * columns).
"""

import math

import numpy as np

from exitwave.engine.compiled import compiled
from exitwave.engine.fftw import execute
from exitwave.engine.kernels_noise import AMPLITUDE, weigh


@compiled
def shift(out, spectrum, row_ramp, column_ramp, ny, nx, backward):
    """Fourier-shift every mode: out = IFFT(spectrum * ramps); the ramps hold the normalisation."""
    for k in range(spectrum.shape[0]):
        for r in range(ny):
            source, target = spectrum[k, 2 * r * nx : 2 * (r + 1) * nx], out[k, 2 * r * nx : 2 * (r + 1) * nx]
            a, b = row_ramp[2 * r], row_ramp[2 * r + 1]
            for c in range(nx):
                re = a * column_ramp[2 * c] - b * column_ramp[2 * c + 1]
                im = a * column_ramp[2 * c + 1] + b * column_ramp[2 * c]
                target[2 * c] = source[2 * c] * re - source[2 * c + 1] * im
                target[2 * c + 1] = source[2 * c] * im + source[2 * c + 1] * re
        execute(backward, out[k].ctypes.data, out[k].ctypes.data)


@compiled
def exit_waves(wave, probe, obj, top, left, ny, nx, forward):
    """Multiply every mode with the object's window and propagate: wave = FFT(P * O), unnormalised."""
    for k in range(probe.shape[0]):
        for r in range(ny):
            p, w = probe[k, 2 * r * nx : 2 * (r + 1) * nx], wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            o = obj[top + r, 2 * left : 2 * (left + nx)]
            for c in range(nx):
                w[2 * c] = p[2 * c] * o[2 * c] - p[2 * c + 1] * o[2 * c + 1]
                w[2 * c + 1] = p[2 * c] * o[2 * c + 1] + p[2 * c + 1] * o[2 * c]
        execute(forward, wave[k].ctypes.data, wave[k].ctypes.data)


@compiled
def transform(plan, waves):
    """Run an FFTW plan on every mode, in place."""
    for k in range(waves.shape[0]):
        execute(plan, waves[k].ctypes.data, waves[k].ctypes.data)


@compiled
def compare(wave, frame, invalid, floor, row, ny, nx):
    """Compare the model with the measured counts, and turn the propagated waves into chi, in place.

    The factor from wave to correction is ``(sqrt(I) - sqrt(model)) sqrt(model) / (model + floor^2)``, 0 on invalid
    pixels. Returns ``sum (sqrt(I) - sqrt(model))^2`` and ``sum I`` over the valid pixels. Both need no other root than
    that of I * model. A row of all modes stays in the first cache from its intensity to its correction; ``row`` is
    scratch of nx numbers.
    """
    scale = np.float32(1.0 / (ny * nx))
    misfit, signal = 0.0, 0.0
    for r in range(ny):
        row[:] = 0
        for k in range(wave.shape[0]):
            w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            for c in range(nx):
                row[c] += w[2 * c] * w[2 * c] + w[2 * c + 1] * w[2 * c + 1]
        counts, row_misfit, row_signal = frame[r], np.float32(0.0), np.float32(0.0)
        for c in range(nx):
            good = np.float32(counts[c] != invalid)
            intensity, model = np.float32(counts[c]) * good, row[c] * scale * good
            both = np.sqrt(intensity * model)
            row_misfit += intensity + model - both - both
            row_signal += intensity
            row[c] = (both - model) / (model + floor * floor) * scale
        for k in range(wave.shape[0]):
            w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            for c in range(nx):
                w[2 * c] *= row[c]
                w[2 * c + 1] *= row[c]
        misfit += row_misfit
        signal += row_signal
    return misfit, signal


@compiled
def add_object(numerator, denominator, wave, probe, r, top, left, nx):
    """Add sum_k conj(P_k) chi_k and sum_k |P_k|^2 to row r of the object's window."""
    num = numerator[top + r, 2 * left : 2 * (left + nx)]
    den = denominator[top + r, left : left + nx]
    for k in range(probe.shape[0]):
        p, w = probe[k, 2 * r * nx : 2 * (r + 1) * nx], wave[k, 2 * r * nx : 2 * (r + 1) * nx]
        for c in range(nx):
            num[2 * c] += p[2 * c] * w[2 * c] + p[2 * c + 1] * w[2 * c + 1]
            num[2 * c + 1] += p[2 * c] * w[2 * c + 1] - p[2 * c + 1] * w[2 * c]
            den[c] += p[2 * c] * p[2 * c] + p[2 * c + 1] * p[2 * c + 1]


@compiled
def probe_steps(denominator, wave, obj, r, top, left, nx):
    """Replace row r of chi_k by conj(O) chi_k, in place, and add |O|^2."""
    o, den = obj[top + r, 2 * left : 2 * (left + nx)], denominator[r * nx : (r + 1) * nx]
    for c in range(nx):
        den[c] += o[2 * c] * o[2 * c] + o[2 * c + 1] * o[2 * c + 1]
    for k in range(wave.shape[0]):
        w = wave[k, 2 * r * nx : 2 * (r + 1) * nx]
        for c in range(nx):
            re = o[2 * c] * w[2 * c] + o[2 * c + 1] * w[2 * c + 1]
            w[2 * c + 1] = o[2 * c] * w[2 * c + 1] - o[2 * c + 1] * w[2 * c]
            w[2 * c] = re


@compiled
def add_spectrum(spectrum, wave, row_ramp, column_ramp, ny, nx, forward):
    """Add the adjoint of the shift: spectrum += conj(ramps) * FFT(wave); the wave is destroyed."""
    for k in range(wave.shape[0]):
        execute(forward, wave[k].ctypes.data, wave[k].ctypes.data)
        for r in range(ny):
            w, s = wave[k, 2 * r * nx : 2 * (r + 1) * nx], spectrum[k, 2 * r * nx : 2 * (r + 1) * nx]
            a, b = row_ramp[2 * r], row_ramp[2 * r + 1]
            for c in range(nx):
                re = a * column_ramp[2 * c] - b * column_ramp[2 * c + 1]
                im = a * column_ramp[2 * c + 1] + b * column_ramp[2 * c]
                s[2 * c] += w[2 * c] * re + w[2 * c + 1] * im
                s[2 * c + 1] += w[2 * c + 1] * re - w[2 * c] * im


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
def gather(frames, stack, invalid, floor, corners, shifts, plans, obj, probe, spectrum, noise, want_object, want_probe,
           kept, scratch, object_num, object_den, probe_num, spectrum_num, probe_den):  # fmt: skip
    """Carry frames through the model and add up what an update needs; returns misfit, signal and loss.

    The probe of a frame on whole pixels is used as it is; any other is shifted from its ``spectrum`` on the way there,
    and its correction is collected in ``spectrum_num``, shifted back. ``kept``, shape (frames or 0, modes,
    2 * ny * nx), receives chi.
    """
    wave, shifted, row, row_ramp, column_ramp = scratch
    forward, backward = plans
    ny, nx = stack.shape[1], stack.shape[2]
    misfit, signal, loss = 0.0, 0.0, 0.0
    for i, j in enumerate(frames):
        top, left = corners[j, 0], corners[j, 1]
        whole = shifts[j, 0] == 0.0 and shifts[j, 1] == 0.0
        beam = probe
        if not whole:
            ramp(row_ramp, shifts[j, 0], ny, 1.0 / (ny * nx))
            ramp(column_ramp, shifts[j, 1], nx, 1.0)
            shift(shifted, spectrum, row_ramp, column_ramp, ny, nx, backward)
            beam = shifted
        exit_waves(wave, beam, obj, top, left, ny, nx, forward)
        if noise == AMPLITUDE:
            frame_misfit, frame_signal = compare(wave, stack[j], invalid, floor, row, ny, nx)
            frame_loss = frame_misfit
        else:
            frame_misfit, frame_signal, frame_loss = weigh(wave, stack[j], invalid, noise, row, ny, nx)
        misfit += frame_misfit
        signal += frame_signal
        loss += frame_loss
        if not (want_object or want_probe):
            continue
        transform(backward, wave)
        if i < kept.shape[0]:
            kept[i] = wave[:, : kept.shape[2]]
        for r in range(ny):
            if want_object:
                add_object(object_num, object_den, wave, beam, r, top, left, nx)
            if want_probe:
                probe_steps(probe_den, wave, obj, r, top, left, nx)
        if want_probe and whole:
            add(probe_num, wave)
        elif want_probe:
            add_spectrum(spectrum_num, wave, row_ramp, column_ramp, ny, nx, forward)
    return misfit, signal, loss


@compiled
def add(target, wave):
    """Add the waves of all modes."""
    for k in range(wave.shape[0]):
        t, w = target[k], wave[k]
        for i in range(w.shape[0]):
            t[i] += w[i]


@compiled
def drain(total, part, first):
    """Move a thread's sums into the total: the first thread's replace what is there, and the part becomes zero."""
    for i in range(total.shape[0]):
        total[i] = part[i] if first else total[i] + part[i]
        part[i] = 0.0


@compiled
def descend(target, numerator, denominator, largest, step, alpha):
    """Update flat arrays: target += step * numerator / ((1 - alpha) * denominator + alpha * largest)."""
    floor = np.float32(alpha * largest) + np.float32(1e-20)
    share, length = np.float32(1.0 - alpha), np.float32(step)
    for i in range(denominator.shape[0]):
        weight = length / (share * denominator[i] + floor)
        target[2 * i] += weight * numerator[2 * i]
        target[2 * i + 1] += weight * numerator[2 * i + 1]


@compiled
def power(out, wave, size):
    """Write sum_k |wave_k|^2 and return the largest."""
    out[:] = 0
    for k in range(wave.shape[0]):
        w = wave[k]
        for i in range(size):
            out[i] += w[2 * i] * w[2 * i] + w[2 * i + 1] * w[2 * i + 1]
    return out.max()


@compiled
def pie_object(obj, wave, probe, den, largest, step, alpha, top, left, ny, nx):
    """Update the object's window: O += step * sum_k conj(P_k) chi_k / ((1 - alpha) |P|^2 + alpha max |P|^2)."""
    floor = np.float32(alpha * largest) + np.float32(1e-20)
    share, length = np.float32(1.0 - alpha), np.float32(step)
    for r in range(ny):
        o, d = obj[top + r, 2 * left : 2 * (left + nx)], den[r * nx : (r + 1) * nx]
        for k in range(probe.shape[0]):
            p, w = probe[k, 2 * r * nx : 2 * (r + 1) * nx], wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            for c in range(nx):
                weight = length / (share * d[c] + floor)
                o[2 * c] += weight * (p[2 * c] * w[2 * c] + p[2 * c + 1] * w[2 * c + 1])
                o[2 * c + 1] += weight * (p[2 * c] * w[2 * c + 1] - p[2 * c + 1] * w[2 * c])


@compiled
def sequential(frames, stack, invalid, floor, corners, shifts, plans, obj, spectrum, object_step, object_alpha,
               probe_step, probe_alpha, scratch, den):  # fmt: skip
    """Update object and probe after every frame (a step of 0 leaves it alone); returns misfit and signal.

    The probe lives in its ``spectrum`` here; both updates of a frame start from the same object and probe.
    """
    wave, shifted, row, row_ramp, column_ramp = scratch
    forward, backward = plans
    ny, nx = stack.shape[1], stack.shape[2]
    size = ny * nx
    misfit, signal = 0.0, 0.0
    steps, update = np.empty_like(wave), np.empty_like(wave)
    for j in frames:
        top, left = corners[j, 0], corners[j, 1]
        ramp(row_ramp, shifts[j, 0], ny, 1.0 / size)
        ramp(column_ramp, shifts[j, 1], nx, 1.0)
        shift(shifted, spectrum, row_ramp, column_ramp, ny, nx, backward)
        exit_waves(wave, shifted, obj, top, left, ny, nx, forward)
        frame_misfit, frame_signal = compare(wave, stack[j], invalid, floor, row, ny, nx)
        misfit += frame_misfit
        signal += frame_signal
        transform(backward, wave)
        if probe_step > 0:
            steps[:] = wave
            update[:] = 0.0
            den[:] = 0.0
            for r in range(ny):
                probe_steps(den, steps, obj, r, top, left, nx)
            largest = den.max()
            for k in range(wave.shape[0]):
                descend(update[k, : 2 * size], steps[k, : 2 * size], den[:size], largest, probe_step, probe_alpha)
        if object_step > 0:
            largest = power(den, shifted, size)
            pie_object(obj, wave, shifted, den, largest, object_step, object_alpha, top, left, ny, nx)
        if probe_step > 0:
            row_ramp *= np.float32(size)
            add_spectrum(spectrum, update, row_ramp, column_ramp, ny, nx, forward)
    return misfit, signal
