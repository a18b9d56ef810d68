"""The forward model: frames of a known object and probe, computed when they are read."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.frames import Frames
from exitwave.optics import exit_wave, phase_ramp
from exitwave.positions import split, to_pixels
from exitwave.scan import Detector, Truth
from exitwave.simulation.detector import random_stream, read_out

CACHED_BYTES = 256 * 2**20
"""Largest stack, in bytes, that stays in memory once it is computed."""


def intensity(
    obj: NDArray[np.complexfloating[Any, Any]],
    probe: NDArray[np.complexfloating[Any, Any]],
    corner: NDArray[np.int64],
    rest: NDArray[np.float64],
    pointing: NDArray[np.float64] | None = None,
    transfer: NDArray[np.complexfloating[Any, Any]] | None = None,
    slice_transfer: NDArray[np.complexfloating[Any, Any]] | None = None,
) -> NDArray[np.float64]:
    """Return the expected counts of one frame: I(q) = sum over modes m of abs(F[P_m(r - rest) O(r)])^2.

    In the near field the exit wave is shifted back by the rest, and propagated instead of transformed.

    Parameters
    ----------
    obj : ndarray of shape (rows, columns) or (slices, rows, columns)
        Complex transmission of the sample; of a thick sample, of each slice.
    probe : ndarray of shape (modes, ny, nx)
        Fourier transform of the probe modes (`scipy.fft.fft2`), so that a shift costs one transform only.
    corner : ndarray of shape (2,)
        First row and column of the frame's window of the object.
    rest : ndarray of shape (2,)
        Remaining shift of the probe in pixels (row, column), applied as a linear phase to its Fourier transform.
    pointing : ndarray of shape (2,), optional
        Shift of the pattern in detector pixels (row, column), applied as a linear phase to the exit wave.
    transfer : ndarray of shape (ny, nx), optional
        Transfer function from the sample to the detector in the near field, zero frequency at [0, 0].
    slice_transfer : ndarray of shape (ny, nx), optional
        Transfer function from one slice to the next, zero frequency at [0, 0].

    Returns
    -------
    ndarray of shape (ny, nx)
        Counts, zero frequency of the far field at n//2. F is unitary: their sum is the power of the exit waves.

    References
    ----------
    Rodenburg and Faulkner, Appl. Phys. Lett. 85, 4795 (2004); modes: Thibault and Menzel, Nature 494, 68 (2013).
    """
    ny, nx = probe.shape[-2:]
    ramps = [np.exp(-2j * np.pi * np.fft.fftfreq(n) * shift) for n, shift in zip((ny, nx), rest, strict=True)]
    shifted = fft.ifft2(probe * (ramps[0][:, None] * ramps[1]))
    window = obj[..., corner[0] : corner[0] + ny, corner[1] : corner[1] + nx]
    exit_waves = shifted * window if slice_transfer is None else exit_wave(shifted, window, slice_transfer)
    if pointing is not None:
        exit_waves = exit_waves * phase_ramp((ny, nx), 2 * np.pi * pointing / np.array([ny, nx]))
    if transfer is not None:
        image = fft.ifft2(fft.fft2(exit_waves) * (transfer * (ramps[0][:, None] * ramps[1]).conj()))
        return np.asarray(np.sum(image.real**2 + image.imag**2, axis=0))
    far_field = fft.fft2(exit_waves, norm="ortho", overwrite_x=True)
    return fft.fftshift(np.sum(far_field.real**2 + far_field.imag**2, axis=0))


def _exposures(truth: Truth) -> NDArray[np.float64]:
    """Return the probe positions (m) during each frame, half an object pixel apart, shape (npos, exposures, 3)."""
    motion = truth.model.get("motion", np.zeros(2))
    pixel = np.array([truth.x[1] - truth.x[0], truth.y[1] - truth.y[0]])
    count = max(1, math.ceil(2 * float(np.abs(motion / pixel).max())))
    exposures = np.repeat(truth.positions[:, None], count, axis=1)
    exposures[..., :2] += ((np.arange(count) + 0.5) / count - 0.5)[:, None] * motion
    return exposures


class SimulatedFrames(Frames):
    """Frames of a known object, computed when they are sliced, shape (npos, ny, nx), float32.

    Frame j depends on the seed and on j alone, not on the order of access. So a scan larger than memory can be written
    frame by frame. Stacks of up to `CACHED_BYTES` bytes keep the computed frames.

    Parameters
    ----------
    truth : Truth
        Object, probe modes, true positions, and the changes from frame to frame.
    detector : Detector
        The detector with its faults, from `make_detector`.
    seed : int
        Seed of the counting noise.
    blur : float
        Standard deviation of the detector's point spread in pixels.
    transfer : ndarray of shape (ny, nx), optional
        Transfer function from the sample to the detector in the near field, zero frequency at [0, 0]; None: far field.
    slice_transfer : ndarray of shape (ny, nx), optional
        Transfer function from one slice of a thick sample to the next, zero frequency at [0, 0].
    """

    def __init__(
        self,
        truth: Truth,
        detector: Detector,
        seed: int,
        *,
        transfer: NDArray[np.complex128] | None = None,
        slice_transfer: NDArray[np.complex128] | None = None,
        blur: float = 0.0,
    ) -> None:
        self.path, self.dataset = None, ""
        self.shape = (len(truth.positions), *truth.probe.shape[-2:])
        self.dtype = np.dtype(np.float32)
        self.truth, self.detector, self.seed = truth, detector, seed
        self._blur, self._transfer, self._slice_transfer = blur, transfer, slice_transfer
        self._spectrum = fft.fft2(truth.probe.astype(np.complex128))
        opr_modes = truth.model.get("opr_modes", np.zeros((0, *self.shape[1:])))
        self._opr_spectra = fft.fft2(opr_modes.astype(np.complex128))
        exposures = _exposures(truth)
        corners, rest = split(to_pixels(exposures.reshape(-1, 3), truth.y, truth.x), self.shape[1:])
        self._corners, self._rest = (shifts.reshape(len(self), -1, 2) for shifts in (corners, rest))
        small = 4 * np.prod(self.shape, dtype=np.int64) <= CACHED_BYTES
        self._cache: NDArray[np.float32] | None = np.zeros(self.shape, np.float32) if small else None
        self._computed = np.zeros(len(self), bool)

    def expected(self, frame: int) -> NDArray[np.float64]:
        """Return the expected intensity of a frame at the detector, without noise, in counts, shape (ny, nx)."""
        shifts = self.truth.model.get("pointing")
        pointing = None if shifts is None else shifts[frame]
        probe, obj = self._probe_spectrum(frame), self.truth.object
        exposures = [
            intensity(obj, probe, corner, rest, pointing, self._transfer, self._slice_transfer)
            for corner, rest in zip(self._corners[frame], self._rest[frame], strict=True)
        ]
        return np.mean(exposures, axis=0)

    def _probe_spectrum(self, frame: int) -> NDArray[np.complex128]:
        """Return the Fourier transform of the probe modes of a frame."""
        model, spectrum = self.truth.model, self._spectrum
        if len(self._opr_spectra):
            spectrum = spectrum.copy()
            spectrum[0] += np.tensordot(model["opr_weights"][frame], self._opr_spectra, 1)
        return spectrum * model["probe_factors"][frame] if "probe_factors" in model else spectrum

    def _counts(self, frame: int) -> NDArray[np.float32]:
        rng, background = random_stream(self.seed, 0, frame), self.truth.model.get("background")
        return read_out(self.expected(frame), self.detector, rng, background=background, blur=self._blur)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
            at = parts.index(Ellipsis)
            parts = (*parts[:at], *[slice(None)] * (4 - len(parts)), *parts[at + 1 :])
        numbers = np.arange(len(self))[parts[0] if parts else slice(None)]
        if self._cache is None:
            stack = np.array([self._counts(int(frame)) for frame in numbers.ravel()], np.float32)
            stack = stack.reshape(*numbers.shape, *self.shape[1:])
            return stack[(*[slice(None)] * numbers.ndim, *parts[1:])]
        for frame in np.unique(numbers[~self._computed[numbers]]):
            self._cache[frame] = self._counts(int(frame))
            self._computed[frame] = True
        return self._cache[index].copy()
