"""The compiled loops of the projection algorithms; for arrays, layout and arguments see `kernels`.

The exit waves are stored at the detector, Psi = F psi with a unitary F. There the modulus projection is a factor for
every pixel, and the misfit of the model needs no further transform.
"""

import numpy as np

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import advance_detector
from exitwave.engine.backends.cpu.kernels.gather import (
    add_probe_sums,
    add_to_sums,
    begin_frame_probe,
    end_frame_probe,
    form_exit_wave,
    is_unchanged,
    undo_pointing,
    wave_shape,
)
from exitwave.engine.backends.cpu.kernels.near_field import apply_transfer, propagate_near, write_ramps_back
from exitwave.engine.backends.cpu.kernels.waves import transform_rows

_ONE = np.float32(1)


@compiled
def modulus_factors(modelled, mixed, counts, invalid, floor, b):
    """Replace the intensities of the mixture by b times the factor of Pi_F, and return the misfit of the model.

    The factor is 1 + that of `gather.compare`; here the amplitudes of model and mixture are needed apart.
    """
    misfit = np.float32(0)
    for c in range(counts.shape[0]):
        good = np.float32(counts[c] != invalid)
        measured, amplitude = np.sqrt(np.float32(counts[c]) * good), np.sqrt(mixed[c])
        difference = (measured - np.sqrt(modelled[c])) * good
        misfit += difference * difference
        mixed[c] = b + b * good * (measured - amplitude) * amplitude / (mixed[c] + floor * floor)
    return misfit


@compiled
def advance(stored, wave, frame, invalid, floor, a, b, c, plans, ny, nx, modelled, mixed):
    """Advance the stored waves of a frame, and replace the model by the difference that is summed.

    On entry the rows of the FFT of P O are transformed. With Psi_O the unitary FFT, Phi = c Psi_O + (1 - c) Psi, and
    the columns of the wave transformed back,

        Psi <- (1 - a - b) Psi + a Psi_O + b Pi_F Phi        wave <- (Psi - Psi_O) / sqrt(ny nx)

    Returns the misfit of the model. ``modelled`` and ``mixed`` are scratch for a row.
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
                rows.add_mixture(modelled, mixed, wave[k, r, part], stored[k, place], normal, c, other, width)
            counts = frame[r, left : left + width]
            misfit += modulus_factors(modelled, mixed, counts, invalid, floor, b)
            for k in range(wave.shape[0]):
                rows.advance(wave[k, r, part], stored[k, place], mixed, normal, keep, a, c, other, width)
        for k in range(wave.shape[0]):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_backward, address, address)
    return misfit


@compiled
def load_stored(wave, stored, plans, ny, nx):
    """Copy the stored waves of a frame, and transform their columns back."""
    normal = np.float32(1.0 / np.sqrt(ny * nx))
    for k in range(wave.shape[0]):
        for r in range(ny):
            w, psi = wave[k, r], stored[k, 2 * r * nx : 2 * (r + 1) * nx]
            for i in range(2 * nx):
                w[i] = psi[i] * normal
        for left in range(0, nx, plans.columns):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_backward, address, address)


@compiled
def advance_near(stored, wave, frame, invalid, floor, a, b, c, plans, ny, nx, near, shift):
    """Do what `advance` does at a detector in the near field.

    The loop over rows is repeated here, because a shared function changes the order of the relaxed arithmetic.
    """
    keep, other = _ONE - a - b, _ONE - c
    modelled, mixed = near.model, near.mixed
    misfit = 0.0
    propagate_near(wave, near, shift, plans, ny, nx)
    transform_rows(plans.rows_backward, wave, plans)
    for r in range(ny):
        place = slice(2 * r * nx, 2 * (r + 1) * nx)
        modelled[:] = 0
        mixed[:] = 0
        for k in range(wave.shape[0]):
            rows.add_mixture(modelled, mixed, wave[k, r], stored[k, place], _ONE, c, other, nx)
        misfit += modulus_factors(modelled, mixed, frame[r], invalid, floor, b)
        for k in range(wave.shape[0]):
            rows.advance(wave[k, r], stored[k, place], mixed, _ONE, keep, a, c, other, nx)
    transform_rows(plans.rows_forward, wave, plans)
    apply_transfer(wave, near, plans, ny, True)
    return misfit


@compiled
def load_stored_near(wave, stored, plans, ny, nx, near, shift):
    """Do what `load_stored` does at a detector in the near field."""
    for k in range(wave.shape[0]):
        for r in range(ny):
            wave[k, r, : 2 * nx] = stored[k, 2 * r * nx : 2 * (r + 1) * nx]
    transform_rows(plans.rows_forward, wave, plans)
    write_ramps_back(near, shift, ny, nx)
    apply_transfer(wave, near, plans, ny, True)


@compiled
def project(frames, indices, all_stored, counts, invalid, floor, parameters, plans, obj, probe, spectrum, move, a, b, c,
            sum_object, sum_probe, near, detector, scratch, set_of_row, object_num, object_den, probe_num,
            spectrum_num, probe_den, opr_num):  # fmt: skip
    """Advance the stored waves of frames, shape (frames, modes, 2 * ny * nx), and sum; returns the misfit.

    With ``move`` the waves are advanced, otherwise they stay. Then numerators and denominators are summed like in
    `gather.gather`, with psi - P O in place of chi.
    """
    wave, shifted, row_ramp, column_ramp, modelled, mixed, sums, response_sums = scratch
    ny, nx = wave_shape(counts, detector)
    misfit, with_pointing, no_responses = 0.0, parameters.pointing.shape[0] > 0, np.zeros(0)
    for i, j in enumerate(frames):
        stored, top, left = all_stored[indices[i]], parameters.corners[j, 0], parameters.corners[j, 1]
        unchanged = is_unchanged(parameters, j)
        frame_probe = probe
        if not unchanged:
            frame_probe = shifted
            begin_frame_probe(frame_probe, spectrum, parameters, j, row_ramp, column_ramp, plans, ny, nx)
            end_frame_probe(frame_probe, parameters, j, column_ramp, plans, ny, nx)
        shift = parameters.shifts[j]
        if move:
            form_exit_wave(wave, frame_probe, False, obj, top, left, plans, ny, nx)
            if detector is not None:
                misfit += advance_detector(
                    stored, wave, counts[j], invalid, floor, a, b, c, plans, ny, nx, detector
                )  # fmt: skip
            elif near is None:
                misfit += advance(stored, wave, counts[j], invalid, floor, a, b, c, plans, ny, nx, modelled, mixed)
            else:
                misfit += advance_near(stored, wave, counts[j], invalid, floor, a, b, c, plans, ny, nx, near, shift)
        elif near is None:
            load_stored(wave, stored, plans, ny, nx)
        else:
            load_stored_near(wave, stored, plans, ny, nx, near, shift)
        if not (sum_object or sum_probe):
            continue
        add_to_sums(
            wave, frame_probe, unchanged, with_pointing, not move, obj, top, left, plans, ny, nx, sum_object, sum_probe,
            response_sums[:0], no_responses, set_of_row, 0, object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if sum_probe and with_pointing:
            undo_pointing(wave, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        if sum_probe and not unchanged:
            add_probe_sums(
                spectrum_num, opr_num, no_responses, wave, parameters, j, row_ramp, column_ramp, plans, ny, sums
            )  # fmt: skip
    return misfit
