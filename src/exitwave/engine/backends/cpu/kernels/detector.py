"""The compiled loops of a non-ideal detector; see `engine.model.detector` for the model.

If a pixel contains one sample of the far field and has no point spread, columns are compared as soon as they are
propagated. Otherwise the whole frame is propagated, detected, compared, and its factors are mapped back to the samples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.noise import (
    AMPLITUDE,
    INTENSITY,
    POISSON,
    READOUT_VARIANCE,
    derivatives,
)
from exitwave.engine.backends.cpu.kernels.waves import transform_columns

_ZERO, _HALF, _ONE, _TWO, _THREE, _FOUR, _TWELVE = map(np.float32, (0, 0.5, 1, 2, 3, 4, 12))
_TINY = np.float32(1e-20)


class DetectorArrays(NamedTuple):
    """The detector in the layout of the loops, with scratch for one thread."""

    flat: NDArray[np.float32]
    """Efficiency, shape (ny, nx) of a frame."""
    background: NDArray[np.float32]
    """Counts without the beam, shape (ny, nx) of a frame."""
    cap: NDArray[np.float32]
    """Counts at which a pixel is saturated, shape (ny, nx) of a frame."""
    kernel: NDArray[np.float32]
    """The point spread along one axis, of length 1 if there is none."""
    oversample: int
    """Samples of the far field along each side of a pixel."""
    planes: NDArray[np.float32]
    """Scratch, shape (4, oversample * ny, oversample * nx)."""
    line: NDArray[np.float32]
    """Scratch for a row of samples, extended by the point spread at both ends."""
    background_sums: NDArray[np.float32]
    """The two sums of `Sums.background`, shape (2, ny, nx), or (0, ny, nx) if the background is not refined."""


@compiled
def is_local(detector):
    """Return whether a pixel contains one sample of the far field and has no point spread."""
    return detector.oversample == 1 and detector.kernel.shape[0] == 1


@compiled
def constrains(measured, model, cap):
    """Return 1 if a count constrains the model, and 0 if it is saturated and below the model."""
    return _ONE - np.float32(measured >= cap) * np.float32(model > measured)


@compiled
def correction_factors(model, counts, flat, background, cap, invalid, floor, noise, normal):
    """Replace a row's intensities by the factors from wave to correction.

    With the modelled counts m = flat * normal * intensity + background, the factor is normal * flat * (-dL/dm). It is 0
    on invalid pixels and on saturated pixels whose counts the model exceeds. Returns ``sum (sqrt(I) - sqrt(m))^2`` and
    the loss.
    """
    misfit, loss, fade = _ZERO, _ZERO, floor * floor
    if noise == POISSON:
        loss = poisson_loss(model, counts, flat, background, cap, invalid, normal)
    for c in range(counts.shape[0]):
        gain = flat[c] * normal
        expected = gain * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        good *= constrains(measured, expected, cap[c])
        root = np.sqrt(measured * expected)
        misfit += good * (measured + expected - _TWO * root)
        if noise == AMPLITUDE:
            force = (root - expected) / (expected + fade)
        elif noise == INTENSITY:
            force = _HALF * (measured - expected) / (measured + READOUT_VARIANCE)
            loss += good * (measured - expected) * force * _HALF
        else:
            force = _HALF * (measured - expected) / (expected + READOUT_VARIANCE)
        model[c] = good * gain * force
    return misfit, misfit if noise == AMPLITUDE else loss


@compiled
def poisson_loss(model, counts, flat, background, cap, invalid, normal):
    """Return one row's loss (m - I - (I + r) log((m + r) / (I + r))) / 2."""
    loss = _ZERO
    for c in range(counts.shape[0]):
        expected = flat[c] * normal * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        variance = measured + READOUT_VARIANCE
        term = expected - measured - variance * np.log((expected + READOUT_VARIANCE) / variance)
        loss += good * constrains(measured, expected, cap[c]) * term
    return _HALF * loss


@compiled
def add_background_terms(ratio, number, model, counts, flat, background, cap, invalid, normal):
    """Add (I - m) / m to ``ratio`` and 1 to ``number`` on the valid pixels of a row; see `Sums.background`."""
    for c in range(counts.shape[0]):
        expected = flat[c] * normal * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        ratio[c] += good * constrains(measured, expected, cap[c]) * (measured - expected) / (expected + _TINY)
        number[c] += good


@compiled
def correct_part(model, frame, r, left, width, invalid, floor, noise, normal, detector):
    """Call `correction_factors` for a part of row r of a frame, and first add to the sums of the background."""
    part = slice(left, left + width)
    flat, background, cap = detector.flat[r, part], detector.background[r, part], detector.cap[r, part]
    counts = frame[r, part]
    if detector.background_sums.shape[0]:
        ratio, number = detector.background_sums[0, r, part], detector.background_sums[1, r, part]
        add_background_terms(ratio, number, model, counts, flat, background, cap, invalid, normal)
    return correction_factors(model, counts, flat, background, cap, invalid, floor, noise, normal)


@compiled
def blur(plane, ny, nx, kernel, line, scratch):
    """Convolve a plane with the point spread along both axes, in place and periodic."""
    half = kernel.shape[0] // 2
    for r in range(ny):
        row = plane[r]
        for c in range(nx + 2 * half):
            line[c] = row[(c - half) % nx]
        row[:nx] = 0
        for k in range(kernel.shape[0]):
            weight = kernel[k]
            for c in range(nx):
                row[c] += weight * line[c + k]
    for r in range(ny):
        out = scratch[r]
        out[:nx] = 0
        for k in range(kernel.shape[0]):
            weight, row = kernel[k], plane[(r + k - half) % ny]
            for c in range(nx):
                out[c] += weight * row[c]
    for r in range(ny):
        plane[r, :nx] = scratch[r, :nx]


@compiled
def owners(sample, oversample, n):
    """Return the two pixels to which half of a sample belongs each; see `engine.model.detector.owners`."""
    first, rest = divmod(sample + oversample // 2, oversample)
    border = 1 if rest == 0 and oversample % 2 == 0 else 0
    return first % n, (first - border) % n


@compiled
def detect(out, samples, detector, scratch):
    """Write the intensity in every pixel, of samples of shape (q ny, q nx), before flat field and background."""
    (ny, nx), q = detector.flat.shape, detector.oversample
    out[:ny, :nx] = 0
    for s in range(q * ny):
        first, second = owners(s, q, ny)
        for t in range(q * nx):
            value = np.float32(0.25) * samples[s, t]
            left, right = owners(t, q, nx)
            out[first, left] += value
            out[first, right] += value
            out[second, left] += value
            out[second, right] += value
    if detector.kernel.shape[0] > 1:
        blur(out, ny, nx, detector.kernel, detector.line, scratch)


@compiled
def detect_adjoint(samples, pixels, detector, scratch):
    """Write the adjoint of `detect` of values in the pixels; these are overwritten."""
    (ny, nx), q = detector.flat.shape, detector.oversample
    if detector.kernel.shape[0] > 1:
        blur(pixels, ny, nx, detector.kernel, detector.line, scratch)
    for s in range(q * ny):
        first, second = owners(s, q, ny)
        for t in range(q * nx):
            left, right = owners(t, q, nx)
            total = pixels[first, left] + pixels[first, right] + pixels[second, left] + pixels[second, right]
            samples[s, t] = np.float32(0.25) * total


@compiled
def sum_modes(out, wave, ny, nx):
    """Write sum_k |wave_k|^2, shape (ny, nx)."""
    for r in range(ny):
        rows.power(out[r], wave[0, r, : 2 * nx], nx)
        for k in range(1, wave.shape[0]):
            rows.add_power(out[r], wave[k, r, : 2 * nx], nx)


@compiled
def correct_frame(samples, detected, frame, invalid, floor, noise, normal, detector):
    """Replace the intensities of a frame, shape (q ny, q nx), by the factors from wave to correction.

    Returns misfit and loss.
    """
    scratch = detector.planes[3]
    detect(detected, samples, detector, scratch)
    misfit, loss, nx = 0.0, 0.0, frame.shape[1]
    for r in range(frame.shape[0]):
        row_misfit, row_loss = correct_part(detected[r, :nx], frame, r, 0, nx, invalid, floor, noise, normal, detector)
        misfit += row_misfit
        loss += row_loss
    detect_adjoint(samples, detected, detector, scratch)
    return misfit, loss


@compiled
def compare_detector(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, detector):
    """Do what `gather.compare` does, with the detector in the model."""
    if is_local(detector):
        return compare_columns(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, detector)
    samples = detector.planes[0]
    transform_columns(plans.columns_forward, wave, plans)
    sum_modes(samples, wave, ny, nx)
    normal = np.float32(1.0 / (ny * nx))
    misfit, loss = correct_frame(samples, detector.planes[1], frame, invalid, floor, noise, normal, detector)
    if back:
        for r in range(ny):
            for k in range(wave.shape[0]):
                rows.scale(wave[k, r, : 2 * nx], samples[r], nx)
        transform_columns(plans.columns_backward, wave, plans)
    return misfit, loss


@compiled
def compare_columns(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, detector):
    """Compare some columns at a time, for a pixel of one sample without point spread."""
    normal = np.float32(1.0 / (ny * nx))
    misfit, loss = 0.0, 0.0
    for left in range(0, nx, plans.columns):
        width = min(plans.columns, nx - left)
        part = slice(2 * left, 2 * (left + width))
        for k in range(wave.shape[0]):
            address = wave[k].ctypes.data + 8 * left
            execute(plans.columns_forward, address, address)
        for r in range(ny):
            rows.power(model, wave[0, r, part], width)
            for k in range(1, wave.shape[0]):
                rows.add_power(model, wave[k, r, part], width)
            row_misfit, row_loss = correct_part(
                model[:width], frame, r, left, width, invalid, floor, noise, normal, detector
            )  # fmt: skip
            misfit += row_misfit
            loss += row_loss
            for k in range(wave.shape[0]):
                rows.scale(wave[k, r, part], model, width)
        if back:
            for k in range(wave.shape[0]):
                address = wave[k].ctypes.data + 8 * left
                execute(plans.columns_backward, address, address)
    return misfit, loss


@compiled
def advance_detector(stored, wave, frame, invalid, floor, a, b, c, plans, ny, nx, detector):
    """Do what `project.advance` does, with the detector in the model."""
    normal = np.float32(1.0 / np.sqrt(ny * nx))
    keep, other = _ONE - a - b, _ONE - c
    modelled, mixed, detected = detector.planes[0], detector.planes[1], detector.planes[2]
    transform_columns(plans.columns_forward, wave, plans)
    for r in range(ny):
        part = slice(2 * r * nx, 2 * (r + 1) * nx)
        modelled[r] = 0
        mixed[r] = 0
        for k in range(wave.shape[0]):
            rows.add_mixture(modelled[r], mixed[r], wave[k, r, : 2 * nx], stored[k, part], normal, c, other, nx)
    misfit, _ = correct_frame(modelled, detected, frame, invalid, floor, AMPLITUDE, _ONE, detector)
    correct_frame(mixed, detected, frame, invalid, floor, AMPLITUDE, _ONE, detector)
    for r in range(ny):
        part, factor = slice(2 * r * nx, 2 * (r + 1) * nx), mixed[r]
        for x in range(nx):
            factor[x] = b + b * factor[x]
        for k in range(wave.shape[0]):
            rows.advance(wave[k, r, : 2 * nx], stored[k, part], factor, normal, keep, a, c, other, nx)
    transform_columns(plans.columns_backward, wave, plans)
    return misfit


@compiled
def compare_line_detector(start, first, second, frame, invalid, floor, noise, lengths, out, plans, ny, nx, detector,
                          planes):  # fmt: skip
    """Do what `line.compare_line` does, with the detector in the model.

    ``planes`` is scratch, shape (10, ny, nx) of samples.
    """
    normal = np.float32(1.0 / (ny * nx))
    for wave in (start, first, second):
        transform_columns(plans.columns_forward, wave, plans)
    q, detected = planes[:5], planes[5:]
    for r in range(ny):
        q[:, r] = 0
        for k in range(start.shape[0]):
            a, b, c = start[k, r, : 2 * nx], first[k, r, : 2 * nx], second[k, r, : 2 * nx]
            rows.add_quartic(q[0, r], q[1, r], q[2, r], q[3, r], q[4, r], a, b, c, nx)
    for n in range(5):
        detect(detected[n], q[n], detector, detector.planes[3])
    for r in range(frame.shape[0]):
        for i in range(lengths.shape[0]):
            d1, d2 = line_derivatives(detected, r, frame[r], invalid, floor, noise, lengths[i], normal, detector)
            out[i, 0] += d1
            out[i, 1] += d2


@compiled
def line_derivatives(q, r, counts, invalid, floor, noise, t, normal, detector):
    """Do what `noise.line_derivatives` does with row r, with the detector in the model."""
    first, second, fade = _ZERO, _ZERO, floor * floor
    flat, background, cap = detector.flat[r], detector.background[r], detector.cap[r]
    for c in range(counts.shape[0]):
        gain = normal * flat[c]
        q0, q1, q2, q3, q4 = q[0, r, c], q[1, r, c], q[2, r, c], q[3, r, c], q[4, r, c]
        model = gain * max((((q4 * t + q3) * t + q2) * t + q1) * t + q0, _ZERO) + background[c]
        d1 = gain * (((_FOUR * q4 * t + _THREE * q3) * t + _TWO * q2) * t + q1)
        d2 = gain * ((_TWELVE * q4 * t + _TWO * _THREE * q3) * t + _TWO * q2)
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        good *= constrains(measured, model, cap[c])
        force, curvature = derivatives(measured, model, noise, fade)
        first -= good * force * d1
        second += good * (curvature * d1 * d1 - force * d2)
    return first, second
