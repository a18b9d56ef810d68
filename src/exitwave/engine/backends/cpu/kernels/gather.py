"""The compiled loop that carries one frame at a time through the whole model, within the cache of one core.

It processes some rows in real space, and some columns at the detector, while their transform has them in the first
cache. For arrays, their layout and the names of arguments see `kernels`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.backends.cpu.fft.transforms import execute, execute_ramped
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import compare_detector
from exitwave.engine.backends.cpu.kernels.near_field import compare_near
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, correction_factors
from exitwave.engine.backends.cpu.kernels.pointing import apply_pointing, write_pointing_responses
from exitwave.engine.backends.cpu.kernels.waves import ramp, transform_rows

RESPONSE_COUNT, GRADIENT_RESPONSES = len(RESPONSES), 5
"""Responses of a frame before those of OPR modes and pointing, and how many after the first need the derivatives."""


class FrameParameters(NamedTuple):
    """The parameters of the model that differ from frame to frame."""

    corners: NDArray[np.int64]
    """First row and column of the object's window, shape (npos, 2)."""
    shifts: NDArray[np.float32]
    """Sub-pixel shift of the probe, shape (npos, 2)."""
    probe_factors: NDArray[np.float32]
    """Factor of the probe, shape (npos,)."""
    opr_weights: NDArray[np.float32]
    """Weights of the OPR modes, shape (npos, opr_modes)."""
    opr_spectra: NDArray[np.float32]
    """Spectra of the OPR modes, shape (opr_modes, height, 2 * stride)."""
    pointing: NDArray[np.float32]
    """Shift of the pattern in detector pixels, shape (npos, 2), or (0, 2) if no frame has one."""


@compiled
def write_ramps(row_ramp, column_ramp, parameters, j, ny, nx):
    """Write the ramps that shift and scale a spectrum for frame j, with the normalisation of the transform back."""
    ramp(row_ramp, parameters.shifts[j, 0], ny, parameters.probe_factors[j] / (ny * nx))
    ramp(column_ramp, parameters.shifts[j, 1], nx, 1.0)


@compiled
def is_unchanged(parameters, j):
    """Return whether the probe of frame j is the probe itself: on whole pixels, without any per-frame parameter."""
    whole = parameters.shifts[j, 0] == 0.0 and parameters.shifts[j, 1] == 0.0
    others = parameters.opr_spectra.shape[0] + parameters.pointing.shape[0]
    return whole and parameters.probe_factors[j] == 1.0 and others == 0


@compiled
def begin_frame_probe(frame_probe, spectrum, parameters, j, row_ramp, column_ramp, plans, ny, nx):
    """Write the ramps of frame j, and begin its probe: all but the transform of the rows back, and the pointing."""
    write_ramps(row_ramp, column_ramp, parameters, j, ny, nx)
    shift_columns(
        frame_probe, spectrum, parameters.opr_spectra, parameters.opr_weights[j], row_ramp, column_ramp, plans, ny
    )  # fmt: skip


@compiled
def end_frame_probe(frame_probe, parameters, j, column_ramp, plans, ny, nx):
    """Transform the rows of a probe back, and apply the pointing of frame j, for which the column ramp is scratch."""
    transform_rows(plans.rows_backward, frame_probe, plans)
    if parameters.pointing.shape[0]:
        apply_pointing(frame_probe, column_ramp, parameters.pointing[j, 0], parameters.pointing[j, 1], ny, nx)


@compiled
def shift_columns(out, spectrum, opr_spectra, opr_weights, row_ramp, column_ramp, plans, ny):
    """Begin a Fourier shift of every mode: multiply the spectrum by the ramps, and transform its columns back.

    ``opr_spectra`` times ``opr_weights`` are added to the first mode.
    """
    for k in range(out.shape[0]):
        added = opr_spectra if k == 0 else opr_spectra[:0]
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            shift_some_columns(out[k], spectrum[k], added, opr_weights, row_ramp, column_ramp, plans, ny, left)


@compiled
def shift_some_columns(out, spectrum, opr_spectra, opr_weights, row_ramp, column_ramp, plans, ny, left):
    """Do what `shift_columns` does with ``plans.columns`` columns of a mode."""
    address, part = out.ctypes.data + 8 * left, slice(2 * left, 2 * (left + plans.columns))
    source, fused = spectrum, plans.ramped_backward[0] != 0
    for m in range(opr_spectra.shape[0]):
        for r in range(ny):
            rows.add_weighted(out[r, part], source[r, part], opr_spectra[m, r, part], opr_weights[m], plans.columns)
        source = out
    if fused:
        start, ramp = source.ctypes.data + 8 * left, column_ramp.ctypes.data + 8 * left
        execute_ramped(plans.ramped_backward, start, address, row_ramp.ctypes.data, ramp)
        return
    for r in range(ny):
        z, re, im = source[r, part], row_ramp[2 * r], row_ramp[2 * r + 1]
        rows.multiply_ramps(out[r, part], column_ramp[part], z, re, im, plans.columns)
    execute(plans.columns_backward, address, address)


@compiled
def undo_pointing(wave, parameters, j, row_ramp, column_ramp, plans, ny, nx):
    """Do the adjoint of the pointing, transform the rows, and write the ramps again, which were scratch for it."""
    apply_pointing(wave, column_ramp, -parameters.pointing[j, 0], -parameters.pointing[j, 1], ny, nx)
    transform_rows(plans.rows_forward, wave, plans)
    write_ramps(row_ramp, column_ramp, parameters, j, ny, nx)


@compiled
def shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, kept):
    """End the adjoint of the shift: transform columns, multiply by the conjugate ramps, and add to the spectrum.

    The first ``kept`` modes of the wave hold afterwards what was added.
    """
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            shift_some_columns_back(spectrum_num[k], wave[k], row_ramp, column_ramp, plans, ny, left, k < kept)


@compiled
def shift_some_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, left, keep):
    """Do what `shift_columns_back` does with ``plans.columns`` columns of a mode."""
    address, part = wave.ctypes.data + 8 * left, slice(2 * left, 2 * (left + plans.columns))
    ramps = row_ramp.ctypes.data, column_ramp.ctypes.data + 8 * left
    fused = plans.added_forward[0] != 0
    if fused and not keep:
        execute_ramped(plans.added_forward, address, spectrum_num.ctypes.data + 8 * left, ramps[0], ramps[1])
        return
    if fused:
        execute_ramped(plans.ramped_forward, address, address, ramps[0], ramps[1])
    else:
        execute(plans.columns_forward, address, address)
    for r in range(ny):
        if not fused:
            re, im = row_ramp[2 * r], row_ramp[2 * r + 1]
            rows.multiply_conjugate_ramps(wave[r, part], column_ramp[part], re, im, plans.columns)
        rows.add(spectrum_num[r, part], wave[r, part], plans.columns)


@compiled
def add_probe_sums(spectrum_num, opr_num, products, wave, parameters, j, row_ramp, column_ramp, plans, ny, sums):
    """Add the correction of the probe of frame j, whose rows are transformed, to the sums of probe and OPR modes.

    Writes Re <a U_m O, chi> of every OPR mode to ``products`` if it is not empty. ``sums`` is scratch for a vector.
    """
    opr_spectra, opr_weights = parameters.opr_spectra, parameters.opr_weights[j]
    shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, opr_spectra.shape[0])
    add_opr_sums(opr_num, products, opr_spectra, opr_weights, wave[0], plans, ny, sums)


@compiled
def add_opr_sums(opr_num, products, opr_spectra, opr_weights, wave, plans, ny, sums):
    """Add to the sums of the OPR modes, and write the products; ``wave`` is the first mode that was added."""
    for m in range(opr_spectra.shape[0]):
        product = 0.0
        sums[:] = 0
        for r in range(ny):
            rows.add_opr_sums(opr_num[m, r], sums, opr_spectra[m, r], wave[r], opr_weights[m], plans.stride)
            if (r + 1) % plans.rows == 0 or r + 1 == ny:
                product += sums.sum()
                sums[:] = 0
        if products.shape[0]:
            products[m] = product


@compiled
def add_responses(sums, obj, row, left, frame_probe, wave, nx):
    """Add the responses of one row of a mode after the first; see `backend.RESPONSES`. ``sums`` is (7, vector)."""
    width, first = 2 * nx, 2 * left
    o = obj[row]
    rows.add_responses(
        o[first - 4 : first - 4 + width], o[first - 2 : first - 2 + width],
        o[first + 2 : first + 2 + width], o[first + 4 : first + 4 + width],
        obj[row - 2, first : first + width], obj[row - 1, first : first + width],
        obj[row + 1, first : first + width], obj[row + 2, first : first + width],
        o[first : first + width], frame_probe, wave,
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], nx,
    )  # fmt: skip


@compiled
def select_response_sums(response_sums, requested, gradients):
    """Return the part of the scratch for responses that is needed: all, those without derivatives, or nothing."""
    return response_sums[:0] if not requested else response_sums if gradients else response_sums[GRADIENT_RESPONSES:]


@compiled
def flush(out, sums):
    """Add sums in vectors to numbers in double precision, and clear them before digits are lost."""
    for n in range(sums.shape[0]):
        out[n] += sums[n].sum()
        sums[n] = 0


@compiled
def form_exit_wave(wave, frame_probe, rows_pending, obj, top, left, plans, ny, nx):
    """Multiply every mode by the object's window, and transform the rows.

    With ``rows_pending`` the rows of the probe are first transformed back, which ends its shift.
    """
    for first in range(0, ny, plans.rows):
        last = min(first + plans.rows, ny)
        for r in range(first, last):
            rows.prefetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
        for k in range(frame_probe.shape[0]):
            if rows_pending:
                address = frame_probe[k, first].ctypes.data
                execute(plans.rows_backward, address, address)
            for r in range(first, last):
                rows.multiply(wave[k, r], frame_probe[k, r], obj[top + r, 2 * left : 2 * (left + nx)], nx)
            address = wave[k, first].ctypes.data
            execute(plans.rows_forward, address, address)


@compiled
def compare(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, sums):
    """End the propagation, compare with the counts, and replace the waves by chi with its columns transformed back.

    The factor from wave to correction is ``(sqrt(I) - sqrt(m)) sqrt(m) / (m + floor^2)``, or that of another noise
    model, and 0 on invalid pixels. Returns ``sum (sqrt(I) - sqrt(m))^2`` over the valid pixels, and the loss. Without
    ``back``, only these are computed. ``model`` is scratch for a row, and ``sums`` for a vector.

    `near_field.correct_near` repeats the loop over a row: a shared function for a row costs 5 to 8 % of a frame.
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
                row_misfit, row_loss = correction_factors(model[:width], counts, invalid, noise, normal)
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
def wave_shape(counts, detector):
    """Return the shape (ny, nx) of the waves."""
    if detector is None:
        return counts.shape[1], counts.shape[2]
    return detector.oversample * counts.shape[1], detector.oversample * counts.shape[2]


@compiled
def add_to_sums(wave, frame_probe, unchanged, with_pointing, remainder, obj, top, left, plans, ny, nx, sum_object,
                sum_probe, response_sums, responses, set_of_row, row_offset, object_num, object_den, probe_num,
                probe_den):  # fmt: skip
    """Transform the rows of chi, and add sum_k conj(P_k) chi_k and sum_k |P_k|^2 to the object's window.

    The object's sums are the sets of all threads. Row r is added to set ``set_of_row[r]``, at row ``row_offset + r``:
    the sums of other slices are above.
    |O|^2 is added to the probe's denominator once; for further modes to its row ny, which is not used. conj(O) chi_k
    is added to the numerator of an ``unchanged`` probe. For any other probe it replaces chi, and its rows are
    transformed unless the frame has a pointing. With ``remainder`` the wave is not chi yet: P O is subtracted first.
    The responses are added to ``responses``; ``response_sums``, see `select_response_sums`, is scratch, 0 before and
    after.
    """
    for first in range(0, ny, plans.rows):
        last = min(first + plans.rows, ny)
        for r in range(first, last):
            rows.prefetch(object_num[set_of_row[top + r], row_offset + top + r, 2 * left : 2 * (left + nx)], nx)
            rows.prefetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
        for k in range(frame_probe.shape[0]):
            address = wave[k, first].ctypes.data
            execute(plans.rows_backward, address, address)
            for r in range(first, last):
                p, w = frame_probe[k, r], wave[k, r]
                o, at = obj[top + r, 2 * left : 2 * (left + nx)], set_of_row[top + r]
                out = object_num[at, row_offset + top + r, 2 * left : 2 * (left + nx)]
                if remainder:
                    rows.subtract_product(w, p, o, nx)
                if response_sums.shape[0] > GRADIENT_RESPONSES:
                    add_responses(response_sums, obj, top + r, left, p, w, nx)
                elif response_sums.shape[0]:
                    rows.add_power_and_gain(o, p, w, response_sums[0], response_sums[1], nx)
                probe_density = object_den[at, row_offset + top + r, left : left + nx]
                object_density = probe_den[r if k == 0 else ny]
                if sum_object and sum_probe and unchanged:
                    rows.add_both(out, probe_density, probe_num[k, r], object_density, p, o, w, nx)
                elif sum_object and sum_probe:
                    rows.add_and_multiply(out, probe_density, w, object_density, p, o, nx)
                elif sum_object:
                    rows.add_conjugate_product(out, p, w, nx)
                    rows.add_power(probe_density, p, nx)
                elif not sum_probe:
                    continue
                elif unchanged:
                    rows.add_conjugate_product(probe_num[k, r], o, w, nx)
                    rows.add_power(object_density, o, nx)
                else:
                    rows.conjugate_multiply(w, o, nx)
                    rows.add_power(object_density, o, nx)
            flush(responses, response_sums)
            if sum_probe and not unchanged and not with_pointing:
                execute(plans.rows_forward, address, address)


@compiled
def gather(frames, indices, counts, invalid, floor, parameters, plans, obj, probe, spectrum, noise, sum_object,
           sum_probe, responses, gradients, near, detector, scratch, set_of_row, object_num, object_den, probe_num,
           spectrum_num, probe_den, opr_num):  # fmt: skip
    """Carry frames through the model and sum the corrections; returns misfit and loss.

    A frame on whole pixels without parameters of its own uses the ``probe``. For any other frame the probe is shifted
    from its ``spectrum``, and the correction is added to ``spectrum_num``, shifted back. ``responses``, shape (frames
    or 0, columns), receives the responses of the frames at their ``indices``.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, response_sums = scratch
    ny, nx = wave_shape(counts, detector)
    misfit, loss = 0.0, 0.0
    requested, with_pointing = responses.shape[0] > 0, parameters.pointing.shape[0] > 0
    response_sums = select_response_sums(response_sums, requested, gradients)
    back = sum_object or sum_probe or requested
    for i, j in enumerate(frames):
        top, left = parameters.corners[j, 0], parameters.corners[j, 1]
        unchanged = is_unchanged(parameters, j)
        frame_probe = probe
        if not unchanged:
            frame_probe = shifted
            begin_frame_probe(frame_probe, spectrum, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        if with_pointing:
            end_frame_probe(frame_probe, parameters, j, column_ramp, plans, ny, nx)
        form_exit_wave(wave, frame_probe, not unchanged and not with_pointing, obj, top, left, plans, ny, nx)
        if detector is not None:
            frame_misfit, frame_loss = compare_detector(
                wave, counts[j], invalid, floor, noise, back, plans, ny, nx, model, detector
            )  # fmt: skip
        elif near is None:
            frame_misfit, frame_loss = compare(
                wave, counts[j], invalid, floor, noise, back, plans, ny, nx, model, sums
            )  # fmt: skip
        else:
            frame_misfit, frame_loss = compare_near(
                wave, counts[j], invalid, floor, noise, back, plans, ny, nx, near, parameters.shifts[j], sums
            )  # fmt: skip
        misfit += frame_misfit
        loss += frame_loss
        if not back:
            continue
        of_frame = responses[indices[i]] if requested else responses[0:0, 0]
        if requested:
            of_frame[0], of_frame[1:RESPONSE_COUNT] = frame_misfit, 0
        add_to_sums(
            wave, frame_probe, unchanged, with_pointing, False, obj, top, left, plans, ny, nx, sum_object, sum_probe,
            response_sums, of_frame[RESPONSE_COUNT - response_sums.shape[0] :], set_of_row, 0, object_num, object_den,
            probe_num, probe_den,
        )  # fmt: skip
        if sum_probe and with_pointing:
            if requested:
                of_pointing = of_frame[RESPONSE_COUNT + parameters.opr_spectra.shape[0] :]
                write_pointing_responses(of_pointing, wave, frame_probe, ny, nx)
            undo_pointing(wave, parameters, j, row_ramp, column_ramp, plans, ny, nx)
        if sum_probe and not unchanged:
            add_probe_sums(
                spectrum_num, opr_num, of_frame[RESPONSE_COUNT:], wave, parameters, j, row_ramp, column_ramp, plans,
                ny, sums,
            )  # fmt: skip
    return misfit, loss
