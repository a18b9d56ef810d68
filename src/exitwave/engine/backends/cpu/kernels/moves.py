"""The compiled derivatives with respect to positions, by the derivative of the probe in every frame.

The probe of a frame at the position p + d is F^-1 [exp(-2 pi i f (s + d)) F P], with the sub-pixel part s of p and the
frequency f. So its derivative along an axis has the factor -2 pi i f in its spectrum. For arrays, layout and arguments
see `kernels`.
"""

import math

import numpy as np

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import constrains, detect
from exitwave.engine.backends.cpu.kernels.gather import (
    end_frame_probe,
    form_exit_wave,
    shift_columns,
    wave_shape,
    write_ramps,
)
from exitwave.engine.backends.cpu.kernels.noise import POISSON, derivatives
from exitwave.engine.backends.cpu.kernels.waves import transform_columns

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def ramp_derivative(out, ramp, n, distance):
    """Write a ramp times -2 pi i f distance: its derivative by the move, times the distance in pixels."""
    for k in range(n):
        frequency = k if 2 * k < n else k - n
        factor = np.float32(-2 * math.pi * frequency * distance / n)
        out[2 * k], out[2 * k + 1] = -factor * ramp[2 * k + 1], factor * ramp[2 * k]


@compiled
def add_moved_probe(out, spectrum, opr_spectra, opr_weights, distances, row_ramp, column_ramp, ramp_derivatives, plans,
                    ny, nx):  # fmt: skip
    """Add the change of a frame's probe by a move to a spectrum that is multiplied by the ramps.

    ``spectrum``, ``opr_spectra`` and ``opr_weights`` are those of the probe, as in `gather.shift_columns`.
    ``distances`` is the move along rows and columns in pixels; ``ramp_derivatives`` is scratch for two ramps.
    """
    ramp_derivative(ramp_derivatives[0], row_ramp, ny, distances[0])
    ramp_derivative(ramp_derivatives[1], column_ramp, nx, distances[1])
    for k in range(out.shape[0]):
        for r in range(ny):
            row, z = out[k, r], spectrum[k, r]
            add_moved_row(row, z, _ONE, r, row_ramp, column_ramp, ramp_derivatives, plans.stride)
            if k == 0:
                for m in range(opr_spectra.shape[0]):
                    z, weight = opr_spectra[m, r], opr_weights[m]
                    add_moved_row(row, z, weight, r, row_ramp, column_ramp, ramp_derivatives, plans.stride)


@compiled
def add_moved_row(out, z, weight, r, row_ramp, column_ramp, ramp_derivatives, n):
    """Add the change of one row of a spectrum, times a weight."""
    along_rows, along_columns = ramp_derivatives[0], ramp_derivatives[1]
    rows.add_ramped(out, column_ramp, z, weight * along_rows[2 * r], weight * along_rows[2 * r + 1], n)
    rows.add_ramped(out, along_columns, z, weight * row_ramp[2 * r], weight * row_ramp[2 * r + 1], n)


@compiled
def multiply_ramps(out, spectrum, row_ramp, column_ramp, ny, n):
    """Begin a Fourier shift: multiply the spectrum of every mode by the ramps."""
    for k in range(out.shape[0]):
        for r in range(ny):
            rows.multiply_ramps(out[k, r], column_ramp, spectrum[k, r], row_ramp[2 * r], row_ramp[2 * r + 1], n)


@compiled
def position_derivatives(frames, indices, counts, invalid, floor, parameters, plans, obj, spectrum, noise, out,
                         detector, waves, ramps, planes):  # fmt: skip
    """Write the derivatives of every frame, at its index in ``out``; see `Backend.position_derivatives`.

    ``waves`` is scratch for three exit waves and a probe, ``ramps`` for the two ramps of the shift and for two more,
    and ``planes``, shape (10, ny, nx) of samples, for intensities.
    """
    frame_probe, (row_ramp, column_ramp, ramp_derivatives) = waves[3], ramps
    ny, nx = wave_shape(counts, detector)
    opr_spectra = parameters.opr_spectra
    distances = np.zeros(2, np.float32)
    for i, j in enumerate(frames):
        top, left, opr_weights = parameters.corners[j, 0], parameters.corners[j, 1], parameters.opr_weights[j]
        for n in range(3):
            write_ramps(row_ramp, column_ramp, parameters, j, ny, nx)
            if n == 0:
                shift_columns(frame_probe, spectrum, opr_spectra, opr_weights, row_ramp, column_ramp, plans, ny)
            else:
                frame_probe[:] = 0
                distances[:] = 0
                distances[n - 1] = 1
                add_moved_probe(
                    frame_probe, spectrum, opr_spectra, opr_weights, distances, row_ramp, column_ramp,
                    ramp_derivatives, plans, ny, nx,
                )  # fmt: skip
                transform_columns(plans.columns_backward, frame_probe, plans)
            end_frame_probe(frame_probe, parameters, j, column_ramp, plans, ny, nx)
            wave = waves[n]
            form_exit_wave(wave, frame_probe, False, obj, top, left, plans, ny, nx)
            transform_columns(plans.columns_forward, wave, plans)
        normal = np.float32(1.0 / (ny * nx))
        derivatives_of_frame(
            out[indices[i]], waves, counts[j], invalid, floor, noise, normal, detector, planes, ny, nx
        )  # fmt: skip


@compiled
def derivatives_of_frame(out, waves, frame, invalid, floor, noise, normal, detector, planes, ny, nx):
    """Write the derivatives of one frame, from its three waves at the detector."""
    q, detected = planes[:5], planes[5:]
    start, of_y, of_x = waves[0], waves[1], waves[2]
    for r in range(ny):
        q[:, r] = 0
        squares = detected[0, r]
        squares[:] = 0
        # with C = X, the coefficient of t^2 is |Y|^2 + 2 Re conj(A) X; |Y|^2 is subtracted
        for k in range(start.shape[0]):
            a, y, x = start[k, r, : 2 * nx], of_y[k, r, : 2 * nx], of_x[k, r, : 2 * nx]
            rows.add_quartic(q[0, r], q[1, r], q[2, r], q[3, r], q[4, r], a, y, x, nx)
            rows.add_power(squares, y, nx)
        for c in range(nx):
            q[2, r, c] -= squares[c]
    if detector is not None:
        for n in range(3):
            detect(detected[n], q[n], detector, detector.planes[3])
    intensities = detected if detector is not None else q
    out[:] = 0
    for r in range(frame.shape[0]):
        add_derivatives_of_row(out, intensities, r, frame[r], invalid, floor, noise, normal, detector)


@compiled
def add_derivatives_of_row(out, q, r, counts, invalid, floor, noise, normal, detector):
    """Add the terms of one row of pixels, from the intensity and its changes by both moves, times 1 / normal."""
    fade, y, x, yy, xx, yx = floor * floor, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    offset = _ONE if noise == POISSON else fade
    for c in range(counts.shape[0]):
        gain, background, good = normal, _ZERO, np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        if detector is not None:
            gain, background = normal * detector.flat[r, c], detector.background[r, c]
        model = gain * max(q[0, r, c], _ZERO) + background
        if detector is not None:
            good *= constrains(measured, model, detector.cap[r, c])
        force, _ = derivatives(measured, model, noise, fade)
        a, b, weight = gain * q[1, r, c], gain * q[2, r, c], good / (model + offset)
        y += _HALF * good * force * a
        x += _HALF * good * force * b
        yy += weight * a * a
        xx += weight * b * b
        yx += weight * a * b
    out[0] += y
    out[1] += x
    out[2] += yy / 4
    out[3] += xx / 4
    out[4] += yx / 4
