"""The error metric, and its independent recomputation from a result."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.analysis.detector_model import detector_model, insensitive, relative_flat_field
from exitwave.analysis.registration import fourier_shift
from exitwave.engine.model.detector import DetectorModel, DetectorSettings, ideal
from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, angular_spectrum_kernel, exit_wave, phase_ramp
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Result


def error_metric(patterns: NDArray[Any], model: NDArray[Any], mask: NDArray[Any]) -> float:
    """Return E = sum M (sqrt(I) - sqrt(I_model))^2 / sum M I.

    Parameters
    ----------
    patterns : ndarray of shape (..., ny, nx)
        Measured counts I. Counts that are negative or not finite are excluded from both sums.
    model : ndarray of shape (..., ny, nx)
        Modelled counts I_model, zero or positive.
    mask : ndarray of shape (ny, nx)
        0 for good and 1 for bad pixels; M is its complement.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the good pixels have no counts.
    """
    difference, counts = _sums(patterns, model, mask)
    return _quotient(difference, counts)


def recompute(result: Result, frames: Iterable[int] | None = None) -> float:
    """Recompute the error metric from a result, with plain NumPy in float64.

    I_model(q) = sum_m |FFT[P_m(r - s) O(r + c)]|^2, where c is the corner of the object window, n//2 pixels before the
    pixel nearest to the position, and s is the remaining fraction of a pixel. The pointing of a frame is a phase ramp
    on its exit wave. Slices follow one after the other; see `exitwave.optics.multislice`. In the near field the wave is
    shifted back by s and propagated by the angular spectrum method instead of the FFT. In a fly scan the intensity is
    the mean over the exposures. The detector model is that of the result's recipe.

    Parameters
    ----------
    result : Result
        Object, probe, positions and the scan with its frames and detector (mask, saturation, dark frame).
    frames : iterable of int, optional
        Indices of the frames; by default all that are neither left out nor held out.

    Returns
    -------
    float
        The error metric, to compare with the last value of ``result.errors``.

    Raises
    ------
    InputError
        If a position lies outside the object, or if the frames have no counts.
    """
    reconstructed = np.setdiff1d(result.scan.used_frames, result.held_out)
    chosen = reconstructed if frames is None else np.asarray(list(frames), dtype=np.int64)
    sums = np.zeros(2)
    for frame in modelled_frames(result, chosen):
        sums += _sums(frame.counts, frame.model, ~frame.good)
    return _quotient(*sums)


class ModelledFrame(NamedTuple):
    """A frame and its model, with the zero frequency of the far field at n//2."""

    frame: int
    """Index of the frame."""
    counts: NDArray[Any]
    """Counts that the model describes, shape (ny, nx)."""
    model: NDArray[np.float64]
    """Expected counts, shape (ny, nx)."""
    good: NDArray[np.bool_]
    """Pixels with valid counts, shape (ny, nx)."""
    exceeded: NDArray[np.bool_]
    """Saturated pixels whose model is above the counts, so that they agree, shape (ny, nx). There the model is set to
    the counts."""


def modelled_frames(result: Result, frames: Iterable[int]) -> Iterator[ModelledFrame]:
    """Yield some frames of a result with their models, one at a time; see `recompute`.

    If a saturated pixel is a lower bound and the model exceeds it, the model is replaced by the count.
    """
    scan, settings = result.scan, DetectorSettings(**(result.recipe.get("detector") or {}))
    capped, flat = settings.saturated == "cap", relative_flat_field(result.scan, settings)
    detector = detector_model(scan, settings, saturated=True) or ideal(scan.patterns.shape[1:])
    chosen = [int(frame) for frame in frames]
    offsets = result.model.get("exposures", np.zeros((len(scan.patterns), 1, 2)))
    exposures = np.repeat(result.positions[:, None], offsets.shape[1], axis=1)
    exposures[..., :2] += offsets
    corners, rest = split(to_pixels(exposures.reshape(-1, 3), result.y, result.x), result.probe.shape[-2:])
    count = offsets.shape[1]
    for index, frame in zip(chosen, scan.patterns.pick(chosen), strict=True):
        own = slice(index * count, (index + 1) * count)
        windows = zip(corners[own], rest[own], strict=True)
        intensity = np.mean([_intensity(result, corner, shift, index) for corner, shift in windows], axis=0)
        model = _detected(result, detector, intensity)
        counts = frame.astype(np.float32)
        usable = scan.detector.usable(frame, index, saturated=capped)
        usable &= True if flat is None else ~insensitive(flat)
        if capped and scan.detector.saturation is not None:
            counts = np.minimum(counts, np.float32(scan.detector.saturation))
        counts = counts if settings.background == "dark" else scan.detector.without_dark(counts)
        exceeded = (counts >= np.fft.fftshift(detector.cap)) & (model > counts)
        yield ModelledFrame(index, counts, np.where(exceeded, counts, model), usable, exceeded)


def _intensity(result: Result, corner: NDArray[np.int64], rest: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return the modelled intensity of one exposure, shape (ny, nx), zero frequency of the far field at [0, 0]."""
    ny, nx = result.probe.shape[-2:]
    if np.any(corner < 0) or np.any(corner + np.array([ny, nx]) > result.object.shape[-2:]):
        raise InputError(
            f"The probe at position {index} lies outside the object",
            where="image_1",
            found=f"a window from row {corner[0]}, column {corner[1]} in an object of shape {result.object.shape}",
            remedy="The coordinates x and y of the object do not fit these positions; reconstruct again",
        )
    window = result.object[..., corner[0] : corner[0] + ny, corner[1] : corner[1] + nx].astype(np.complex128)
    wave = _exit_waves(result, fourier_shift(_probe(result, index), rest), window)
    if "pointing" in result.model:
        wave = wave * phase_ramp((ny, nx), 2 * np.pi * result.model["pointing"][index] / np.array([ny, nx]))
    scan = result.scan
    if scan.near:
        centred = fourier_shift(wave, -rest)
        image = angular_spectrum(centred, scan.propagation_distance, scan.wavelength, result.object_pixel)
        return np.asarray(np.sum(np.abs(image) ** 2, axis=0))
    return np.asarray(np.sum(np.abs(fft.fft2(wave, norm="ortho")) ** 2, axis=0))


def _detected(result: Result, detector: DetectorModel, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the modelled counts of one frame, shape (ny, nx), zero frequency of the far field at n//2."""
    if result.scan.near:
        return intensity
    background = result.model.get("background")
    background = None if background is None else fft.ifftshift(background)
    return np.asarray(fft.fftshift(detector.counts(intensity, background)))


def _exit_waves(result: Result, probe: NDArray[Any], window: NDArray[Any]) -> NDArray[Any]:
    """Return the exit waves of the probe modes in a window of the object, shape (modes, ny, nx)."""
    if result.z is None:
        return probe * window
    spacing = float(result.z[1] - result.z[0])
    transfer = angular_spectrum_kernel(window.shape, spacing, result.scan.wavelength, result.object_pixel)
    return exit_wave(probe, window, transfer)


def _probe(result: Result, index: int) -> NDArray[np.complex128]:
    """Return the probe modes of one frame, shape (modes, ny, nx): a_j (P_k + [k = 0] sum_m v_jm U_m)."""
    probe, model = result.probe.astype(np.complex128), result.model
    if "opr_modes" in model:
        probe[0] += np.tensordot(model["opr_weights"][index], model["opr_modes"], 1)
    return probe * model["probe_factors"][index] if "probe_factors" in model else probe


def _sums(patterns: NDArray[Any], model: NDArray[Any], mask: NDArray[Any]) -> tuple[float, float]:
    """Return the numerator and the denominator of the error metric."""
    counts = np.asarray(patterns, dtype=np.float64)
    good = (mask == 0) & np.isfinite(counts) & (counts >= 0)
    counts = np.where(good, counts, 0.0)
    difference = np.where(good, (np.sqrt(counts) - np.sqrt(model)) ** 2, 0.0)
    return float(difference.sum()), float(counts.sum())


def _quotient(difference: float, counts: float) -> float:
    if counts <= 0:
        raise InputError(
            "The frames have no counts",
            where="the frames",
            found="a sum of 0 over the good pixels",
            remedy="Check the detector mask: 0 is good and 1 is bad",
        )
    return difference / counts
