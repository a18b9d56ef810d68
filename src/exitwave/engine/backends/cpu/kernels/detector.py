"""The compiled loops of a detector that is less than ideal; see `engine.detector` for the model, `kernels` for arrays.

Where the model is local, the columns of the waves are compared as they are propagated. Where a pixel sees several
samples of the far field, the whole frame is propagated, seen, judged, and spread back.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backend import READOUT
from exitwave.engine.backends.cpu.fft.transforms import execute
from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.noise import AMPLITUDE, INTENSITY, POISSON, derivatives
from exitwave.engine.backends.cpu.kernels.waves import transform_columns

_READOUT = np.float32(READOUT)
_ZERO, _HALF, _ONE, _TWO, _THREE, _FOUR, _TWELVE = map(np.float32, (0, 0.5, 1, 2, 3, 4, 12))
_TINY = np.float32(1e-20)


class Pixels(NamedTuple):
    """The detector as the loops know it, with scratch of its own for a thread."""

    flat: NDArray[np.float32]
    """Efficiency, shape (ny, nx) of a frame, as the next two."""
    background: NDArray[np.float32]
    """Counts without the beam."""
    cap: NDArray[np.float32]
    """Counts from which on a pixel is saturated."""
    kernel: NDArray[np.float32]
    """The point spread along one axis; of length 1 where there is none."""
    oversample: int
    """Samples of the far field along each side of a pixel."""
    planes: NDArray[np.float32]
    """Scratch, shape (4, oversample * ny, oversample * nx)."""
    line: NDArray[np.float32]
    """Scratch for a row of samples and the point spread about it."""
    change: NDArray[np.float32]
    """Sums of what the frames say of the background, shape (2, ny, nx), or (0, ny, nx) where it is known."""


@compiled
def is_local(pixels):
    """Say whether a pixel sees one sample of the far field."""
    return pixels.oversample == 1 and pixels.kernel.shape[0] == 1


@compiled
def asked(measured, expected, cap):
    """Say, as 0 or 1, whether a measured count asks something of the expected one: not where it is a lower cap."""
    return _ONE - np.float32(measured >= cap) * np.float32(expected > measured)


@compiled
def judge(model, counts, flat, background, cap, invalid, floor, noise, normal):
    """Turn a row's intensities into the factor from wave to minus the gradient of a noise model's loss.

    The expected counts are m = flat * normal * model + background, and the factor normal * flat * (-dL/dm), 0 on
    invalid pixels and on those of counts from ``cap`` on that the model exceeds. Returns ``sum (sqrt(I) - sqrt(m))^2``
    and the loss.
    """
    misfit, loss, fade = _ZERO, _ZERO, floor * floor
    if noise == POISSON:
        loss = poisson(model, counts, flat, background, cap, invalid, normal)
    for c in range(counts.shape[0]):
        gain = flat[c] * normal
        expected = gain * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        good *= asked(measured, expected, cap[c])
        root = np.sqrt(measured * expected)
        misfit += good * (measured + expected - _TWO * root)
        if noise == AMPLITUDE:
            force = (root - expected) / (expected + fade)
        elif noise == INTENSITY:
            force = _HALF * (measured - expected) / (measured + _READOUT)
            loss += good * (measured - expected) * force * _HALF
        else:
            force = _HALF * (measured - expected) / (expected + _READOUT)
        model[c] = good * gain * force
    return misfit, misfit if noise == AMPLITUDE else loss


@compiled
def poisson(model, counts, flat, background, cap, invalid, normal):
    """Return one row's loss (m - I - (I + r) log((m + r) / (I + r))) / 2."""
    loss = _ZERO
    for c in range(counts.shape[0]):
        expected = flat[c] * normal * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        variance = measured + _READOUT
        term = expected - measured - variance * np.log((expected + _READOUT) / variance)
        loss += good * asked(measured, expected, cap[c]) * term
    return _HALF * loss


@compiled
def blame(change, number, model, counts, flat, background, cap, invalid, normal):
    """Add (I - m) / m and 1 on the valid pixels of a row: what the counts say of the background."""
    for c in range(counts.shape[0]):
        expected = flat[c] * normal * model[c] + background[c]
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        change[c] += good * asked(measured, expected, cap[c]) * (measured - expected) / (expected + _TINY)
        number[c] += good


@compiled
def judge_part(model, frame, r, left, width, invalid, floor, noise, normal, pixels):
    """`judge` a part of a row of a frame, after asking what it says of the background."""
    part = slice(left, left + width)
    flat, background, cap = pixels.flat[r, part], pixels.background[r, part], pixels.cap[r, part]
    counts = frame[r, part]
    if pixels.change.shape[0]:
        change, number = pixels.change[0, r, part], pixels.change[1, r, part]
        blame(change, number, model, counts, flat, background, cap, invalid, normal)
    return judge(model, counts, flat, background, cap, invalid, floor, noise, normal)


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
    """Return the two pixels that own half of a sample each; see `engine.detector.owners`."""
    first, rest = divmod(sample + oversample // 2, oversample)
    border = 1 if rest == 0 and oversample % 2 == 0 else 0
    return first % n, (first - border) % n


@compiled
def see(out, samples, pixels, scratch):
    """Write what the pixels see of the samples, shape (q ny, q nx), before flat field and background."""
    (ny, nx), q = pixels.flat.shape, pixels.oversample
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
    if pixels.kernel.shape[0] > 1:
        blur(out, ny, nx, pixels.kernel, pixels.line, scratch)


@compiled
def spread(samples, seen, pixels, scratch):
    """Write the adjoint of `see` of what the pixels say; that is overwritten."""
    (ny, nx), q = pixels.flat.shape, pixels.oversample
    if pixels.kernel.shape[0] > 1:
        blur(seen, ny, nx, pixels.kernel, pixels.line, scratch)
    for s in range(q * ny):
        first, second = owners(s, q, ny)
        for t in range(q * nx):
            left, right = owners(t, q, nx)
            total = seen[first, left] + seen[first, right] + seen[second, left] + seen[second, right]
            samples[s, t] = np.float32(0.25) * total


@compiled
def add_up(out, wave, ny, nx):
    """Write sum_k |wave_k|^2, shape (ny, nx)."""
    for r in range(ny):
        rows.power(out[r], wave[0, r, : 2 * nx], nx)
        for k in range(1, wave.shape[0]):
            rows.add_power(out[r], wave[k, r, : 2 * nx], nx)


@compiled
def judge_frame(samples, seen, frame, invalid, floor, noise, normal, pixels):
    """Turn the intensities of a frame, shape (q ny, q nx), into the factor of its waves; returns misfit and loss."""
    scratch = pixels.planes[3]
    see(seen, samples, pixels, scratch)
    misfit, loss, nx = 0.0, 0.0, frame.shape[1]
    for r in range(frame.shape[0]):
        row_misfit, row_loss = judge_part(seen[r, :nx], frame, r, 0, nx, invalid, floor, noise, normal, pixels)
        misfit += row_misfit
        loss += row_loss
    spread(samples, seen, pixels, scratch)
    return misfit, loss


@compiled
def compare(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, pixels):
    """Do what `chain.compare` does, with the detector in the model."""
    if is_local(pixels):
        return compare_columns(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, pixels)
    samples = pixels.planes[0]
    transform_columns(plans.columns_forward, wave, plans)
    add_up(samples, wave, ny, nx)
    normal = np.float32(1.0 / (ny * nx))
    misfit, loss = judge_frame(samples, pixels.planes[1], frame, invalid, floor, noise, normal, pixels)
    if back:
        for r in range(ny):
            for k in range(wave.shape[0]):
                rows.scale(wave[k, r, : 2 * nx], samples[r], nx)
        transform_columns(plans.columns_backward, wave, plans)
    return misfit, loss


@compiled
def compare_columns(wave, frame, invalid, floor, noise, back, plans, ny, nx, model, pixels):
    """Compare some columns at a time, where a pixel sees one sample."""
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
            row_misfit, row_loss = judge_part(
                model[:width], frame, r, left, width, invalid, floor, noise, normal, pixels
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
def advance(own, wave, frame, invalid, floor, a, b, c, plans, ny, nx, pixels):
    """Do what `project.advance` does, with the detector in the model."""
    normal = np.float32(1.0 / np.sqrt(ny * nx))
    keep, other = _ONE - a - b, _ONE - c
    modelled, mixed, seen = pixels.planes[0], pixels.planes[1], pixels.planes[2]
    transform_columns(plans.columns_forward, wave, plans)
    for r in range(ny):
        place = slice(2 * r * nx, 2 * (r + 1) * nx)
        modelled[r] = 0
        mixed[r] = 0
        for k in range(wave.shape[0]):
            rows.add_mixture(modelled[r], mixed[r], wave[k, r, : 2 * nx], own[k, place], normal, c, other, nx)
    misfit, _ = judge_frame(modelled, seen, frame, invalid, floor, AMPLITUDE, _ONE, pixels)
    judge_frame(mixed, seen, frame, invalid, floor, AMPLITUDE, _ONE, pixels)
    for r in range(ny):
        place, factor = slice(2 * r * nx, 2 * (r + 1) * nx), mixed[r]
        for x in range(nx):
            factor[x] = b + b * factor[x]
        for k in range(wave.shape[0]):
            rows.advance(wave[k, r, : 2 * nx], own[k, place], factor, normal, keep, a, c, other, nx)
    transform_columns(plans.columns_backward, wave, plans)
    return misfit


@compiled
def compare_along(start, slope, bend, frame, invalid, floor, noise, lengths, out, plans, ny, nx, pixels, planes):
    """Do what `line.compare_along` does, with the detector in the model; ``planes`` are ten of samples."""
    normal = np.float32(1.0 / (ny * nx))
    for wave in (start, slope, bend):
        transform_columns(plans.columns_forward, wave, plans)
    q, seen = planes[:5], planes[5:]
    for r in range(ny):
        q[:, r] = 0
        for k in range(start.shape[0]):
            a, b, c = start[k, r, : 2 * nx], slope[k, r, : 2 * nx], bend[k, r, : 2 * nx]
            rows.add_quartic(q[0, r], q[1, r], q[2, r], q[3, r], q[4, r], a, b, c, nx)
    for n in range(5):
        see(seen[n], q[n], pixels, pixels.planes[3])
    for r in range(frame.shape[0]):
        for i in range(lengths.shape[0]):
            first, second = gradients(seen, r, frame[r], invalid, floor, noise, lengths[i], normal, pixels)
            out[i, 0] += first
            out[i, 1] += second


@compiled
def gradients(q, r, counts, invalid, floor, noise, t, normal, pixels):
    """Return the first and second derivative of one row's loss at t, for intensities of coefficients normal * q."""
    first, second, fade = _ZERO, _ZERO, floor * floor
    flat, background, cap = pixels.flat[r], pixels.background[r], pixels.cap[r]
    for c in range(counts.shape[0]):
        gain = normal * flat[c]
        q0, q1, q2, q3, q4 = q[0, r, c], q[1, r, c], q[2, r, c], q[3, r, c], q[4, r, c]
        model = gain * max((((q4 * t + q3) * t + q2) * t + q1) * t + q0, _ZERO) + background[c]
        d1 = gain * (((_FOUR * q4 * t + _THREE * q3) * t + _TWO * q2) * t + q1)
        d2 = gain * ((_TWELVE * q4 * t + _TWO * _THREE * q3) * t + _TWO * q2)
        good = np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        good *= asked(measured, model, cap[c])
        force, curve = derivatives(measured, model, noise, fade)
        first -= good * force * d1
        second += good * (curve * d1 * d1 - force * d2)
    return first, second
