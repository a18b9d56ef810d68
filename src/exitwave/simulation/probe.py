"""The simulated probe: its modes, and its changes from frame to frame (drift, intensity and pointing)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.optics import starting_modes
from exitwave.simulation.detector import random_stream
from exitwave.simulation.settings import ProbeSettings

LEAST_INTENSITY = 0.05
"""Least intensity of a frame, relative to the mean."""


def make_modes(probe: NDArray[Any], modes: int, powers: Sequence[float] | None) -> NDArray[np.complex64]:
    """Return incoherent modes with the total power of the probe, shape (modes, ny, nx).

    ``powers`` are their relative powers; without them the powers are those of `starting_modes`.
    """
    made = starting_modes(probe, modes)
    if powers is not None:
        total, own = np.sum(np.abs(probe) ** 2), np.sum(np.abs(made) ** 2, axis=(1, 2))
        shares = total * np.asarray(powers, float) / np.sum(powers)
        made = made * np.sqrt(shares / own)[:, None, None]
    return made.astype(np.complex64)


def make_probe_changes(
    mode: NDArray[np.complexfloating[Any]], frames: int, settings: ProbeSettings, seed: int
) -> dict[str, NDArray[Any]]:
    """Return the changes of the probe from frame to frame, by the names of `exitwave.scan.Result.model`.

    Parameters
    ----------
    mode : ndarray of shape (ny, nx)
        The first mode of the probe, P.
    frames : int
        Number of frames.
    settings : ProbeSettings
        ``probe_drift``: root mean square of ||P_j - P|| / ||P|| over the frames, where P_j = P + v_j U. v_j grows
        steadily from the first frame to the last, and is 0 in the middle. U is the change of P when the beam moves
        across the lens, see `drift_direction`.
        ``beam_fluctuation``: root mean square of the intensity of a frame, relative to the mean.
        ``pointing``: root mean square of the shift of the diffraction pattern along rows, and along columns, in
        detector pixels. ``centre``: its mean (row, column).
    seed : int
        Seed of the fluctuation and of the pointing.

    Returns
    -------
    dict of str to ndarray
        ``opr_modes``, shape (1, ny, nx), and ``opr_weights``, shape (frames, 1); ``probe_factors``, shape (frames,);
        ``pointing``, shape (frames, 2). Each is present only where its settings are not 0.
    """
    model: dict[str, NDArray[Any]] = {}
    if settings.probe_drift > 0:
        model["opr_modes"] = drift_direction(mode)[None].astype(np.complex64)
        steady = np.linspace(-1, 1, frames)[:, None]
        model["opr_weights"] = settings.probe_drift * steady / np.sqrt(np.mean(steady**2))
    if settings.beam_fluctuation > 0:
        intensities = 1 + settings.beam_fluctuation * random_stream(seed, 3).standard_normal(frames)
        model["probe_factors"] = np.sqrt(np.maximum(intensities, LEAST_INTENSITY))
    if settings.pointing > 0 or any(settings.centre):
        shifts = settings.pointing * random_stream(seed, 4).standard_normal((frames, 2))
        model["pointing"] = np.array(settings.centre) + shifts
    return model


def drift_direction(mode: NDArray[np.complexfloating[Any]]) -> NDArray[np.complex128]:
    """Return the change of a mode when the beam moves across the lens, shape (ny, nx).

    One side of the lens becomes brighter, in proportion to the distance q from its middle: F^-1 [(q_y + q_x) F P]. The
    change is orthogonal to the mode and has its norm.
    """
    rows, columns = (fft.fftfreq(n) for n in mode.shape)
    change = fft.ifft2((rows[:, None] + columns) * fft.fft2(mode.astype(np.complex128)))
    power = np.vdot(mode, mode).real
    change -= mode * (np.vdot(mode, change) / power)
    return np.asarray(change * np.sqrt(power) / np.linalg.norm(change))
