"""A beam that is not the same in every frame: its drift, intensity and pointing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.optics import starting_modes
from exitwave.simulation.detector import stream

FAINTEST = 0.05
"""Least intensity of a frame, relative to the mean."""


def make_modes(probe: NDArray[Any], modes: int, powers: Sequence[float] | None) -> NDArray[np.complex64]:
    """Return incoherent modes with the total power of the probe, shape (modes, ny, nx).

    ``powers`` are their relative powers; None gives those of `starting_modes`.
    """
    made = starting_modes(probe, modes)
    if powers is not None:
        total, own = np.sum(np.abs(probe) ** 2), np.sum(np.abs(made) ** 2, axis=(1, 2))
        shares = total * np.asarray(powers, float) / np.sum(powers)
        made = made * np.sqrt(shares / own)[:, None, None]
    return made.astype(np.complex64)


def make_beam(
    mode: NDArray[np.complexfloating[Any]],
    frames: int,
    *,
    drift: float,
    fluctuation: float,
    pointing: float,
    centre: Sequence[float],
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Return what every frame has of its own, by the names of `exitwave.scan.Result.model`.

    Parameters
    ----------
    mode : ndarray of shape (ny, nx)
        The first mode of the probe, P.
    frames : int
        Number of frames.
    drift : float
        Root mean square of ||P_j - P|| / ||P|| over the frames, where P_j = P + v_j U: v_j grows steadily from the
        first frame to the last, and is 0 in the middle. U is how P changes when the beam moves across the lens.
    fluctuation : float
        Root mean square of the intensity of a frame, relative to the mean.
    pointing : float
        Root mean square of the shift of the diffraction pattern along rows, and along columns, in detector pixels.
    centre : sequence of float
        Shift of the diffraction pattern (row, column) in all frames, in detector pixels.
    seed : int
        Seed of the fluctuation and of the pointing.
    """
    model: dict[str, NDArray[Any]] = {}
    if drift > 0:
        model["variations"] = moving(mode)[None].astype(np.complex64)
        steady = np.linspace(-1, 1, frames)[:, None]
        model["weights"] = drift * steady / np.sqrt(np.mean(steady**2))
    if fluctuation > 0:
        intensities = 1 + fluctuation * stream(seed, 3).standard_normal(frames)
        model["scales"] = np.sqrt(np.maximum(intensities, FAINTEST))
    if pointing > 0 or any(centre):
        model["tilts"] = np.array(centre) + pointing * stream(seed, 4).standard_normal((frames, 2))
    return model


def moving(mode: NDArray[np.complexfloating[Any]]) -> NDArray[np.complex128]:
    """Return how a mode changes when the beam moves across the lens, with its norm, orthogonal to it, shape (ny, nx).

    The lens becomes brighter at one side, in proportion to the distance q from its middle: F^-1 [(q_y + q_x) F P].
    """
    rows, columns = (fft.fftfreq(n) for n in mode.shape)
    change = fft.ifft2((rows[:, None] + columns) * fft.fft2(mode.astype(np.complex128)))
    power = np.vdot(mode, mode).real
    change -= mode * (np.vdot(mode, change) / power)
    return np.asarray(change * np.sqrt(power) / np.linalg.norm(change))
