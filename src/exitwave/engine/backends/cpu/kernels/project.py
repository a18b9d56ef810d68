"""The compiled loops of the projection algorithms; the layout of the arrays is that of `kernels`.

The exit waves are kept at the detector, Psi = F psi with a unitary F: there the modulus projection is a factor per
pixel, and the misfit of the model comes with the transform that is needed anyway.
"""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import detector, rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.gather import (
    as_it_is,
    enter,
    field,
    leave,
    ramps,
    shift_columns,
    shift_columns_back,
    tilt_back,
    vary_back,
)
from exitwave.engine.backends.cpu.kernels.near_field import forth, shift_back, turn
from exitwave.engine.backends.cpu.kernels.pointing import tilt
from exitwave.engine.backends.cpu.kernels.waves import transform_rows

_ONE = np.float32(1)


@compiled
def modulus(modelled, mixed, counts, invalid, floor, b):
    """Replace the intensities of the mixture by b times the factor of Pi_F, and return the misfit of the model."""
    misfit = np.float32(0)
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        measured, amplitude = np.sqrt(np.float32(counts[c]) * good), np.sqrt(mixed[c])
        difference = (measured - np.sqrt(modelled[c])) * good
        misfit += difference * difference
        mixed[c] = b + b * good * (measured - amplitude) * amplitude / (mixed[c] + floor * floor)
    return misfit


@compiled
def advance(own, wave, frame, invalid, floor, a, b, c, plans, ny, nx, modelled, mixed):
    """Advance the waves of a frame's own, and turn the propagated model into what the overlap projection needs.

    On entry the rows of the FFT of P O are done. With Psi_O the FFT, unitary, and Phi = c Psi_O + (1 - c) Psi,

        Psi <- (1 - a - b) Psi + a Psi_O + b Pi_F Phi        wave <- (Psi - Psi_O) / sqrt(ny nx)

    with the columns of the wave transformed back. The factor of Pi_F is that of `chain.compare`. Returns the misfit
    of the model; ``modelled`` and ``mixed`` are scratch for a row.
    """
    normal = np.float32(1.0 / np.sqrt(ny * nx))
    keep, other = _ONE - a - b, _ONE - c
    misfit = 0.0
    for left in range(0, nx, plans.columns):
        width = min(plans.columns, nx - left)
        part = slice(2 * left, 2 * (left + width))
        for k in range(wave.shape[0]):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
        for r in range(ny):
            place = slice(2 * (r * nx + left), 2 * (r * nx + left + width))
            modelled[:] = 0
            mixed[:] = 0
            for k in range(wave.shape[0]):
                rows.add_mixture(modelled, mixed, wave[k, r, part], own[k, place], normal, c, other, width)
            counts = frame[r, left : left + width]
            misfit += modulus(modelled, mixed, counts, invalid, floor, b)
            for k in range(wave.shape[0]):
                rows.advance(wave[k, r, part], own[k, place], mixed, normal, keep, a, c, other, width)
        for k in range(wave.shape[0]):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_backward, address, address)
    return misfit


@compiled
def load(wave, own, plans, ny, nx):
    """Take a frame's own waves as they are, with their columns transformed back."""
    normal = np.float32(1.0 / np.sqrt(ny * nx))
    for k in range(wave.shape[0]):
        for r in range(ny):
            w, psi = wave[k, r], own[k, 2 * r * nx : 2 * (r + 1) * nx]
            for i in range(2 * nx):
                w[i] = psi[i] * normal
        for left in range(0, nx, plans.columns):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_backward, address, address)


@compiled
def advance_near(own, wave, frame, invalid, floor, a, b, c, plans, ny, nx, near, shift):
    """Do what `advance` does at a detector in the near field."""
    keep, other = _ONE - a - b, _ONE - c
    modelled, mixed = near.model, near.mixed
    misfit = 0.0
    forth(wave, near, shift, plans, ny, nx)
    transform_rows(plans.rows_backward, wave, plans)
    for r in range(ny):
        place = slice(2 * r * nx, 2 * (r + 1) * nx)
        modelled[:] = 0
        mixed[:] = 0
        for k in range(wave.shape[0]):
            rows.add_mixture(modelled, mixed, wave[k, r], own[k, place], _ONE, c, other, nx)
        misfit += modulus(modelled, mixed, frame[r], invalid, floor, b)
        for k in range(wave.shape[0]):
            rows.advance(wave[k, r], own[k, place], mixed, _ONE, keep, a, c, other, nx)
    transform_rows(plans.rows_forward, wave, plans)
    turn(wave, near, plans, ny, True)
    return misfit


@compiled
def load_near(wave, own, plans, ny, nx, near, shift):
    """Do what `load` does with waves at a detector in the near field."""
    for k in range(wave.shape[0]):
        for r in range(ny):
            wave[k, r, : 2 * nx] = own[k, 2 * r * nx : 2 * (r + 1) * nx]
    transform_rows(plans.rows_forward, wave, plans)
    shift_back(near, shift, ny, nx)
    turn(wave, near, plans, ny, True)


@compiled
def project(frames, places, kept, stack, invalid, floor, own, plans, obj, probe, spectrum, move, a, b, c,
            want_object, want_probe, near, pixels, scratch, home, object_num, object_den, probe_num, spectrum_num,
            probe_den, varied_num):  # fmt: skip
    """Carry frames and their own waves, ``kept``, shape (frames, modes, 2 * ny * nx); returns the misfit.

    With ``move`` the waves are advanced, else they stay; then the numerators and denominators of `chain.gather` are
    added up with psi - P O in the place of chi.
    """
    wave, shifted, row_ramp, column_ramp, modelled, mixed, sums, heard = scratch
    ny, nx = field(stack, pixels)
    misfit, tilted, silent = 0.0, own.pointing.shape[0] > 0, np.zeros(0)
    for i, j in enumerate(frames):
        waves, top, left = kept[places[i]], own.corners[j, 0], own.corners[j, 1]
        whole = as_it_is(own, j)
        beam = probe
        if not whole:
            beam = shifted
            ramps(row_ramp, column_ramp, own, j, ny, nx)
            shift_columns(beam, spectrum, own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
            transform_rows(plans.rows_backward, beam, plans)
        if tilted:
            tilt(beam, column_ramp, own.pointing[j, 0], own.pointing[j, 1], ny, nx)
        shift = own.shifts[j]
        if move:
            enter(wave, beam, False, obj, top, left, plans, ny, nx)
            if pixels is not None:
                misfit += detector.advance(
                    waves, wave, stack[j], invalid, floor, a, b, c, plans, ny, nx, pixels
                )  # fmt: skip
            elif near is None:
                misfit += advance(waves, wave, stack[j], invalid, floor, a, b, c, plans, ny, nx, modelled, mixed)
            else:
                misfit += advance_near(waves, wave, stack[j], invalid, floor, a, b, c, plans, ny, nx, near, shift)
        elif near is None:
            load(wave, waves, plans, ny, nx)
        else:
            load_near(wave, waves, plans, ny, nx, near, shift)
        if not (want_object or want_probe):
            continue
        leave(
            wave, beam, whole, tilted, not move, obj, top, left, plans, ny, nx, want_object, want_probe,
            heard[:0], silent, home, 0, object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if want_probe and tilted:
            tilt_back(wave, own, j, row_ramp, column_ramp, plans, ny, nx)
        if want_probe and not whole:
            shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, own.spectra.shape[0])
            vary_back(varied_num, silent, own.spectra, own.weights[j], wave[0], plans, ny, sums)
    return misfit
