"""The compiled loops about moves of the positions: of the probe in every frame, by its own derivative.

A frame's probe at the position p + d is F^-1 [exp(-2 pi i f (s + d)) F P], with s the sub-pixel rest of p and f the
frequency; so its derivative along an axis has the factor -2 pi i f in its spectrum. For arrays see `kernels`.
"""

import math

import numpy as np

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.detector import asked, see
from exitwave.engine.backends.cpu.kernels.gather import end_shift, enter, field, ramps, shift_columns
from exitwave.engine.backends.cpu.kernels.noise import POISSON, derivatives
from exitwave.engine.backends.cpu.kernels.waves import transform_columns

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def slanted(out, ramp, n, distance):
    """Write a ramp times -2 pi i f distance: how it changes when the probe moves so far, in pixels."""
    for k in range(n):
        frequency = k if 2 * k < n else k - n
        factor = np.float32(-2 * math.pi * frequency * distance / n)
        out[2 * k], out[2 * k + 1] = -factor * ramp[2 * k + 1], factor * ramp[2 * k]


@compiled
def move_columns(beam, spectrum, spectra, weights, distances, row_ramp, column_ramp, slants, plans, ny, nx):
    """Add to a spectrum, whose shift has begun but for its columns, how a probe changes when it moves.

    ``spectrum`` and ``spectra`` with their ``weights`` are the probe's, as in `chain.shift_columns`; ``slants`` are
    scratch for both ramps, ``distances`` the move along rows and columns in pixels.
    """
    slanted(slants[0], row_ramp, ny, distances[0])
    slanted(slants[1], column_ramp, nx, distances[1])
    for k in range(beam.shape[0]):
        for r in range(ny):
            out, z = beam[k, r], spectrum[k, r]
            add_moved(out, z, _ONE, r, row_ramp, column_ramp, slants, plans.stride)
            if k == 0:
                for m in range(spectra.shape[0]):
                    add_moved(out, spectra[m, r], weights[m], r, row_ramp, column_ramp, slants, plans.stride)


@compiled
def add_moved(out, z, weight, r, row_ramp, column_ramp, slants, n):
    """Add the change of one row of a spectrum, times a weight."""
    rows.add_turned(out, column_ramp, z, weight * slants[0, 2 * r], weight * slants[0, 2 * r + 1], n)
    rows.add_turned(out, slants[1], z, weight * row_ramp[2 * r], weight * row_ramp[2 * r + 1], n)


@compiled
def turn_rows(beam, spectrum, row_ramp, column_ramp, ny, n):
    """Begin a Fourier shift: turn the spectrum of every mode by the ramps."""
    for k in range(beam.shape[0]):
        for r in range(ny):
            rows.turn(beam[k, r], column_ramp, spectrum[k, r], row_ramp[2 * r], row_ramp[2 * r + 1], n)


@compiled
def moves(frames, places, stack, invalid, floor, own, plans, obj, spectrum, noise, out, pixels, waves, ramped,
          planes):  # fmt: skip
    """Write what every frame tells of its position, at its place in ``out``; see `Backend.moves`.

    ``waves`` are three of exit waves and one of a beam, ``ramped`` the ramps of the shift and scratch for two more,
    ``planes`` scratch: ten of samples.
    """
    beam, (row_ramp, column_ramp, slants) = waves[3], ramped
    ny, nx = field(stack, pixels)
    distances = np.zeros(2, np.float32)
    for i, j in enumerate(frames):
        top, left = own.corners[j, 0], own.corners[j, 1]
        for n in range(3):
            ramps(row_ramp, column_ramp, own, j, ny, nx)
            if n == 0:
                shift_columns(beam, spectrum, own.spectra, own.weights[j], row_ramp, column_ramp, plans, ny)
            else:
                beam[:] = 0
                distances[:] = 0
                distances[n - 1] = 1
                move_columns(
                    beam, spectrum, own.spectra, own.weights[j], distances, row_ramp, column_ramp, slants, plans, ny, nx
                )  # fmt: skip
                transform_columns(plans.columns_backward, beam, plans)
            end_shift(beam, own, j, column_ramp, plans, ny, nx)
            wave = waves[n]
            enter(wave, beam, False, obj, top, left, plans, ny, nx)
            transform_columns(plans.columns_forward, wave, plans)
        normal = np.float32(1.0 / (ny * nx))
        weigh_moves(out[places[i]], waves, stack[j], invalid, floor, noise, normal, pixels, planes, ny, nx)


@compiled
def weigh_moves(told, waves, frame, invalid, floor, noise, normal, pixels, planes, ny, nx):
    """Write what one frame tells, from its three waves at the detector."""
    q, seen = planes[:5], planes[5:]
    for r in range(ny):
        q[:, r] = 0
        squares = seen[0, r]
        squares[:] = 0
        for k in range(waves[0].shape[0]):
            a, y, x = waves[0][k, r, : 2 * nx], waves[1][k, r, : 2 * nx], waves[2][k, r, : 2 * nx]
            rows.add_quartic(q[0, r], q[1, r], q[2, r], q[3, r], q[4, r], a, y, x, nx)
            rows.add_power(squares, y, nx)
        for c in range(nx):
            q[2, r, c] -= squares[c]
    if pixels is not None:
        for n in range(3):
            see(seen[n], q[n], pixels, pixels.planes[3])
    intensities = seen if pixels is not None else q
    told[:] = 0
    for r in range(frame.shape[0]):
        weigh_row(told, intensities, r, frame[r], invalid, floor, noise, normal, pixels)


@compiled
def weigh_row(told, q, r, counts, invalid, floor, noise, normal, pixels):
    """Add what one row of pixels tells, from the intensity and its changes by both moves, times 1 / normal."""
    fade, y, x, yy, xx, yx = floor * floor, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    spare = _ONE if noise == POISSON else fade
    for c in range(counts.shape[0]):
        gain, behind, good = normal, _ZERO, np.float32(counts[c] != invalid)
        measured = np.float32(counts[c]) * good
        if pixels is not None:
            gain, behind = normal * pixels.flat[r, c], pixels.background[r, c]
        model = gain * max(q[0, r, c], _ZERO) + behind
        if pixels is not None:
            good *= asked(measured, model, pixels.cap[r, c])
        force, _ = derivatives(measured, model, noise, fade)
        a, b, curve = gain * q[1, r, c], gain * q[2, r, c], good / (model + spare)
        y += _HALF * good * force * a
        x += _HALF * good * force * b
        yy += curve * a * a
        xx += curve * b * b
        yx += curve * a * b
    told[0] += y
    told[1] += x
    told[2] += yy / 4
    told[3] += xx / 4
    told[4] += yx / 4
