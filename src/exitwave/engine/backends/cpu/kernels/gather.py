"""One thread carries one frame through the whole chain, inside its cache.

The chain works on some rows in real space, and on some columns at the detector, while the transform has them in the
first cache. For arrays and their layout see `kernels`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import RESPONSES
from exitwave.engine.backends.cpu.fft.transforms import execute, execute_turned
from exitwave.engine.backends.cpu.kernels import detector, rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.near_field import compare_near
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, weigh
from exitwave.engine.backends.cpu.kernels.pointing import respond_to_tilt, tilt
from exitwave.engine.backends.cpu.kernels.waves import ramp, transform_rows

TOLD, OF_SLOPES = len(RESPONSES), 5
"""What a frame tells before what is of variations and tilts, and how much of it, after the first, is of slopes."""


class FrameParameters(NamedTuple):
    """What every frame has of its own."""

    corners: NDArray[np.int64]
    """First row and column of the object's window, shape (npos, 2)."""
    shifts: NDArray[np.float32]
    """Sub-pixel shift of the probe, shape (npos, 2)."""
    probe_factors: NDArray[np.float32]
    """Factor of the probe, shape (npos,)."""
    weights: NDArray[np.float32]
    """Weights of the variations, shape (npos, variations)."""
    spectra: NDArray[np.float32]
    """Spectra of the variations, shape (variations, height, 2 * stride)."""
    pointing: NDArray[np.float32]
    """Shift of the pattern in detector pixels, shape (npos, 2), or (0, 2) where no frame has one."""


@compiled
def ramps(row_ramp, column_ramp, own, j, ny, nx):
    """Write the ramps that shift and scale a spectrum for frame j, with the normalisation of the transform back."""
    ramp(row_ramp, own.shifts[j, 0], ny, own.probe_factors[j] / (ny * nx))
    ramp(column_ramp, own.shifts[j, 1], nx, 1.0)


@compiled
def as_it_is(own, j):
    """Say whether frame j has the probe as it is: on whole pixels, not scaled, varied or tilted."""
    whole = own.shifts[j, 0] == 0.0 and own.shifts[j, 1] == 0.0
    return whole and own.probe_factors[j] == 1.0 and own.spectra.shape[0] + own.pointing.shape[0] == 0


@compiled
def shift_columns(beam, spectrum, spectra, weights, row_ramp, column_ramp, plans, ny):
    """Begin a Fourier shift of every mode: turn the spectrum by the ramps, and transform its columns back.

    ``spectra`` times ``weights`` are added to the first mode.
    """
    for k in range(beam.shape[0]):
        varied = spectra if k == 0 else spectra[:0]
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            turn_columns(beam[k], spectrum[k], varied, weights, row_ramp, column_ramp, plans, ny, left)


@compiled
def turn_columns(beam, spectrum, spectra, weights, row_ramp, column_ramp, plans, ny, left):
    """Do what `shift_columns` does with some columns of a mode."""
    address, part = beam.ctypes.data + 8 * left, slice(2 * left, 2 * (left + plans.columns))
    source, fused = spectrum, plans.turned_backward[0] != 0
    for m in range(spectra.shape[0]):
        for r in range(ny):
            rows.vary(beam[r, part], source[r, part], spectra[m, r, part], weights[m], plans.columns)
        source = beam
    if fused:
        start, ramp = source.ctypes.data + 8 * left, column_ramp.ctypes.data + 8 * left
        execute_turned(plans.turned_backward, start, address, row_ramp.ctypes.data, ramp)
        return
    for r in range(ny):
        z, re, im = source[r, part], row_ramp[2 * r], row_ramp[2 * r + 1]
        rows.turn(beam[r, part], column_ramp[part], z, re, im, plans.columns)
    execute(plans.columns_backward, address, address)


@compiled
def end_shift(beam, own, j, column_ramp, plans, ny, nx):
    """End a Fourier shift whose columns are done, and tilt the beam of frame j; the ramp's place is used for that."""
    transform_rows(plans.rows_backward, beam, plans)
    if own.pointing.shape[0]:
        tilt(beam, column_ramp, own.pointing[j, 0], own.pointing[j, 1], ny, nx)


@compiled
def tilt_back(wave, own, j, row_ramp, column_ramp, plans, ny, nx):
    """Do the adjoint of a tilt, transform the rows, and write the ramps of the shift anew, whose place it takes."""
    tilt(wave, column_ramp, -own.pointing[j, 0], -own.pointing[j, 1], ny, nx)
    transform_rows(plans.rows_forward, wave, plans)
    ramps(row_ramp, column_ramp, own, j, ny, nx)


@compiled
def shift_columns_back(spectrum, wave, row_ramp, column_ramp, plans, ny, kept):
    """End the adjoint of the shift: transform the columns of the wave, turn them back, and add them to the spectrum.

    Of so many modes the wave keeps what is added.
    """
    for k in range(wave.shape[0]):
        for left in range(0, plans.stride - plans.columns + 1, plans.columns):
            turn_columns_back(spectrum[k], wave[k], row_ramp, column_ramp, plans, ny, left, k < kept)


@compiled
def turn_columns_back(spectrum, wave, row_ramp, column_ramp, plans, ny, left, keep):
    """Do what `shift_columns_back` does with some columns of a mode."""
    address, part = wave.ctypes.data + 8 * left, slice(2 * left, 2 * (left + plans.columns))
    ramps = row_ramp.ctypes.data, column_ramp.ctypes.data + 8 * left
    fused = plans.added_forward[0] != 0
    if fused and not keep:
        execute_turned(plans.added_forward, address, spectrum.ctypes.data + 8 * left, ramps[0], ramps[1])
        return
    if fused:
        execute_turned(plans.turned_forward, address, address, ramps[0], ramps[1])
    else:
        execute(plans.columns_forward, address, address)
    for r in range(ny):
        if not fused:
            rows.turn_back(wave[r, part], column_ramp[part], row_ramp[2 * r], row_ramp[2 * r + 1], plans.columns)
        rows.add(spectrum[r, part], wave[r, part], plans.columns)


@compiled
def vary_back(spectra_num, products, spectra, weights, wave, plans, ny, sums):
    """Add to the variations what a frame wants of them, and write its products with them: Re <a U_m O, chi>.

    ``wave`` is what `shift_columns_back` has kept of the first mode; ``sums`` is scratch for a vector.
    """
    for m in range(spectra.shape[0]):
        product = 0.0
        sums[:] = 0
        for r in range(ny):
            rows.add_varied_back(spectra_num[m, r], sums, spectra[m, r], wave[r], weights[m], plans.stride)
            if (r + 1) % plans.rows == 0 or r + 1 == ny:
                product += sums.sum()
                sums[:] = 0
        if products.shape[0]:
            products[m] = product


@compiled
def respond(sums, obj, row, left, beam, wave, nx):
    """Add what one row of a mode tells; see `backend.RESPONSES`. ``sums`` is (7, vector)."""
    width, first = 2 * nx, 2 * left
    o = obj[row]
    rows.add_responses(
        o[first - 4 : first - 4 + width], o[first - 2 : first - 2 + width],
        o[first + 2 : first + 2 + width], o[first + 4 : first + 4 + width],
        obj[row - 2, first : first + width], obj[row - 1, first : first + width],
        obj[row + 1, first : first + width], obj[row + 2, first : first + width],
        o[first : first + width], beam, wave, sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], nx,
    )  # fmt: skip


@compiled
def hear(heard, listen, gradients):
    """Return scratch for what frames tell: for all of it, for what is not of slopes, or for nothing."""
    return heard[:0] if not listen else heard if gradients else heard[OF_SLOPES:]


@compiled
def pour(out, sums):
    """Add what vectors have summed up to numbers in double precision, and clear them before digits are lost."""
    for n in range(sums.shape[0]):
        out[n] += sums[n].sum()
        sums[n] = 0


@compiled
def enter(wave, beam, half_shifted, obj, top, left, plans, ny, nx):
    """Multiply every mode with the object's window, and transform the rows; first end a shift that has begun."""
    for first in range(0, ny, plans.rows):
        last = min(first + plans.rows, ny)
        for r in range(first, last):
            rows.fetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
        for k in range(beam.shape[0]):
            if half_shifted:
                address = beam[k, first].ctypes.data
                execute(plans.rows_backward, address, address)
            for r in range(first, last):
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
def field(stack, pixels):
    """Return the shape (ny, nx) of the waves."""
    if pixels is None:
        return stack.shape[1], stack.shape[2]
    return pixels.oversample * stack.shape[1], pixels.oversample * stack.shape[2]


@compiled
def leave(wave, beam, whole, tilted, remainder, obj, top, left, plans, ny, nx, want_object, want_probe, heard, told,
          home, above, object_num, object_den, probe_num, probe_den):  # fmt: skip
    """Transform the rows of chi, and add sum_k conj(P_k) chi_k and sum_k |P_k|^2 to the object's window.

    The object's sums are those of all threads, and row r is added to set ``home[r]`` of them; there are ``above`` rows,
    those of other slices, above its first.
    |O|^2 is added to the probe's denominator once: for further modes to its row ny, which nobody reads. conj(O) chi_k
    is added to the numerator of a probe on whole pixels; for any other it takes the place of chi, with its rows
    transformed but for a tilted one. With ``remainder`` the wave is not chi yet, but what P O is taken off from.
    What a frame tells is added to ``told``, for which ``heard``, see `hear`, is scratch, empty before and after.
    """
    for first in range(0, ny, plans.rows):
        last = min(first + plans.rows, ny)
        for r in range(first, last):
            rows.fetch(object_num[home[top + r], above + top + r, 2 * left : 2 * (left + nx)], nx)
            rows.fetch(obj[top + r, 2 * left : 2 * (left + nx)], nx)
        for k in range(beam.shape[0]):
            address = wave[k, first].ctypes.data
            execute(plans.rows_backward, address, address)
            for r in range(first, last):
                p, w = beam[k, r], wave[k, r]
                o, at = obj[top + r, 2 * left : 2 * (left + nx)], home[top + r]
                out = object_num[at, above + top + r, 2 * left : 2 * (left + nx)]
                if remainder:
                    rows.subtract_product(w, p, o, nx)
                if heard.shape[0] > OF_SLOPES:
                    respond(heard, obj, top + r, left, p, w, nx)
                elif heard.shape[0]:
                    rows.add_gain(o, p, w, heard[0], heard[1], nx)
                power, seen = object_den[at, above + top + r, left : left + nx], probe_den[r if k == 0 else ny]
                if want_object and want_probe and whole:
                    rows.add_both(out, power, probe_num[k, r], seen, p, o, w, nx)
                elif want_object and want_probe:
                    rows.add_and_multiply(out, power, w, seen, p, o, nx)
                elif want_object:
                    rows.add_conjugate_product(out, p, w, nx)
                    rows.add_power(power, p, nx)
                elif not want_probe:
                    continue
                elif whole:
                    rows.add_conjugate_product(probe_num[k, r], o, w, nx)
                    rows.add_power(seen, o, nx)
                else:
                    rows.conjugate_multiply(w, o, nx)
                    rows.add_power(seen, o, nx)
            pour(told, heard)
            if want_probe and not whole and not tilted:
                execute(plans.rows_forward, address, address)


@compiled
def gather(frames, places, stack, invalid, floor, own, plans, obj, probe, spectrum, noise, want_object, want_probe,
           responses, gradients, near, pixels, scratch, home, object_num, object_den, probe_num, spectrum_num,
           probe_den, varied_num):  # fmt: skip
    """Carry frames through the model and add up what an update needs; returns misfit and loss.

    The probe of a frame on whole pixels is used as it is; any other is shifted from its ``spectrum`` on the way there,
    and its correction is collected in ``spectrum_num``, shifted back. ``responses``, shape (frames or 0, columns),
    receives what frames tell at their places. ``near`` is the way to a detector in the near field; it is compiled for
    None, the far field, or for that. So is ``pixels``, the detector as in `detector.Pixels`, or None for an ideal one.
    """
    wave, shifted, row_ramp, column_ramp, model, sums, heard = scratch
    ny, nx = field(stack, pixels)
    misfit, loss = 0.0, 0.0
    listen, tilted = responses.shape[0] > 0, own.pointing.shape[0] > 0
    heard = hear(heard, listen, gradients)
    wanted = want_object or want_probe or listen
    for i, j in enumerate(frames):
        top, left = own.corners[j, 0], own.corners[j, 1]
        whole = as_it_is(own, j)
        beam = probe
        if not whole:
            beam = shifted
            ramps(row_ramp, column_ramp, own, j, ny, nx)
            shift_columns(beam, spectrum, own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
        if tilted:
            transform_rows(plans.rows_backward, beam, plans)
            tilt(beam, column_ramp, own.pointing[j, 0], own.pointing[j, 1], ny, nx)
        enter(wave, beam, not whole and not tilted, obj, top, left, plans, ny, nx)
        if pixels is not None:
            frame_misfit, frame_loss = detector.compare(
                wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, model, pixels
            )  # fmt: skip
        elif near is None:
            frame_misfit, frame_loss = compare(
                wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, model, sums
            )  # fmt: skip
        else:
            frame_misfit, frame_loss = compare_near(
                wave, stack[j], invalid, floor, noise, wanted, plans, ny, nx, near, own.shifts[j], sums
            )  # fmt: skip
        misfit += frame_misfit
        loss += frame_loss
        if not wanted:
            continue
        told = responses[places[i]] if listen else responses[0:0, 0]
        if listen:
            told[0], told[1:TOLD] = frame_misfit, 0
        leave(
            wave, beam, whole, tilted, False, obj, top, left, plans, ny, nx, want_object, want_probe, heard,
            told[TOLD - heard.shape[0] :], home, 0, object_num, object_den, probe_num, probe_den,
        )  # fmt: skip
        if want_probe and tilted:
            if listen:
                respond_to_tilt(told[TOLD + own.spectra.shape[0] :], wave, beam, ny, nx)
            tilt_back(wave, own, j, row_ramp, column_ramp, plans, ny, nx)
        if want_probe and not whole:
            shift_columns_back(spectrum_num, wave, row_ramp, column_ramp, plans, ny, own.spectra.shape[0])
            vary_back(varied_num, told[TOLD:], own.spectra, own.weights[j], wave[0], plans, ny, sums)
    return misfit, loss
