"""The compiled loops of the projection algorithms; the layout of the arrays is that of `kernels`.

The exit waves are kept at the detector, Psi = F psi with a unitary F: there the modulus projection is a factor per
pixel, and the misfit of the model comes with the transform that is needed anyway.
"""

import numpy as np

from exitwave.engine.compiled import compiled
from exitwave.engine.kernels import (
    add,
    add_object,
    add_spectrum,
    exit_waves,
    probe_steps,
    ramp,
    shift,
    transform,
)


@compiled
def advance(kept, wave, frame, invalid, floor, a, b, c, modelled, ratio, ny, nx):
    """Advance the kept waves of a frame, and turn the propagated model into what the overlap projection needs.

    On entry ``wave`` is the unnormalised FFT of P O. With Psi_O the same, unitary, and Phi = c Psi_O + (1 - c) Psi,

        Psi <- (1 - a - b) Psi + a Psi_O + b Pi_F Phi        wave <- (Psi - Psi_O) / sqrt(ny nx)

    The factor of Pi_F is that of `kernels.compare`. Returns misfit and signal of the model; ``modelled`` and
    ``ratio`` are scratch of nx numbers.
    """
    scale = np.float32(1.0 / np.sqrt(ny * nx))
    keep, other = np.float32(1.0) - a - b, np.float32(1.0) - c
    misfit, signal = 0.0, 0.0
    for r in range(ny):
        modelled[:] = 0
        ratio[:] = 0
        for k in range(wave.shape[0]):
            w, p = wave[k, 2 * r * nx : 2 * (r + 1) * nx], kept[k, 2 * r * nx : 2 * (r + 1) * nx]
            for i in range(2 * nx):
                w[i] *= scale
            for x in range(nx):
                re, im = c * w[2 * x] + other * p[2 * x], c * w[2 * x + 1] + other * p[2 * x + 1]
                modelled[x] += w[2 * x] * w[2 * x] + w[2 * x + 1] * w[2 * x + 1]
                ratio[x] += re * re + im * im
        counts, row_misfit, row_signal = frame[r], np.float32(0.0), np.float32(0.0)
        for x in range(nx):
            good = np.float32(counts[x] != invalid)
            intensity = np.float32(counts[x]) * good
            measured, mixed = np.sqrt(intensity), np.sqrt(ratio[x])
            difference = (measured - np.sqrt(modelled[x])) * good
            row_misfit += difference * difference
            row_signal += intensity
            ratio[x] = b + b * good * (measured - mixed) * mixed / (ratio[x] + floor * floor)
        for k in range(wave.shape[0]):
            w, p = wave[k, 2 * r * nx : 2 * (r + 1) * nx], kept[k, 2 * r * nx : 2 * (r + 1) * nx]
            for x in range(nx):
                re = (keep + ratio[x] * other) * p[2 * x] + (a + ratio[x] * c) * w[2 * x]
                im = (keep + ratio[x] * other) * p[2 * x + 1] + (a + ratio[x] * c) * w[2 * x + 1]
                p[2 * x], p[2 * x + 1] = re, im
                w[2 * x], w[2 * x + 1] = (re - w[2 * x]) * scale, (im - w[2 * x + 1]) * scale
        misfit += row_misfit
        signal += row_signal
    return misfit, signal


@compiled
def remainder(wave, kept, probe, obj, top, left, ny, nx, backward):
    """Write what the model lacks of the kept waves, behind the sample: wave = F^-1 Psi - P O."""
    scale = np.float32(1.0 / np.sqrt(ny * nx))
    for k in range(wave.shape[0]):
        w, p = wave[k], kept[k]
        for i in range(p.shape[0]):
            w[i] = p[i] * scale
    transform(backward, wave)
    for k in range(wave.shape[0]):
        for r in range(ny):
            p, w = probe[k, 2 * r * nx : 2 * (r + 1) * nx], wave[k, 2 * r * nx : 2 * (r + 1) * nx]
            o = obj[top + r, 2 * left : 2 * (left + nx)]
            for x in range(nx):
                w[2 * x] -= p[2 * x] * o[2 * x] - p[2 * x + 1] * o[2 * x + 1]
                w[2 * x + 1] -= p[2 * x] * o[2 * x + 1] + p[2 * x + 1] * o[2 * x]


@compiled
def project(frames, kept, stack, invalid, floor, corners, shifts, plans, obj, probe, spectrum, move, a, b, c,
            want_object, want_probe, scratch, object_num, object_den, probe_num, spectrum_num, probe_den):  # fmt: skip
    """Carry frames and their kept waves, shape (frames, modes, 2 * ny * nx); returns misfit and signal.

    With ``move`` the waves are advanced; without it they stay, and only the sums are made (and no misfit).
    """
    wave, shifted, row, row_ramp, column_ramp = scratch
    forward, backward = plans
    ny, nx = stack.shape[1], stack.shape[2]
    misfit, signal = 0.0, 0.0
    ratio = np.empty_like(row)
    for i in range(frames.shape[0]):
        j = frames[i]
        top, left = corners[j, 0], corners[j, 1]
        whole = shifts[j, 0] == 0.0 and shifts[j, 1] == 0.0
        beam = probe
        if not whole:
            ramp(row_ramp, shifts[j, 0], ny, 1.0 / (ny * nx))
            ramp(column_ramp, shifts[j, 1], nx, 1.0)
            shift(shifted, spectrum, row_ramp, column_ramp, ny, nx, backward)
            beam = shifted
        if move:
            exit_waves(wave, beam, obj, top, left, ny, nx, forward)
            frame_misfit, frame_signal = advance(kept[i], wave, stack[j], invalid, floor, a, b, c, row, ratio, ny, nx)
            misfit += frame_misfit
            signal += frame_signal
            if want_object or want_probe:
                transform(backward, wave)
        else:
            remainder(wave, kept[i], beam, obj, top, left, ny, nx, backward)
        for r in range(ny):
            if want_object:
                add_object(object_num, object_den, wave, beam, r, top, left, nx)
            if want_probe:
                probe_steps(probe_den, wave, obj, r, top, left, nx)
        if want_probe and whole:
            add(probe_num, wave)
        elif want_probe:
            add_spectrum(spectrum_num, wave, row_ramp, column_ramp, ny, nx, forward)
    return misfit, signal
