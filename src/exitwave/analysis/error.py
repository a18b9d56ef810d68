"""The error metric, and its independent recomputation from a result alone."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.analysis.registration import fourier_shift
from exitwave.engine.model.detector import DetectorModel, DetectorSettings, blind, detector_model, efficiency, ideal
from exitwave.errors import InputError
from exitwave.optics import angular_spectrum, angular_spectrum_kernel, exit_wave, phase_ramp
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Result


def error_metric(patterns: NDArray[Any], model: NDArray[Any], mask: NDArray[Any]) -> float:
    """Return E = sum M (sqrt(I) - sqrt(I_model))^2 / sum M I.

    Parameters
    ----------
    patterns : ndarray of shape (..., ny, nx)
        Measured counts I. Counts that are not finite or negative are left out of both sums.
    model : ndarray of shape (..., ny, nx)
        Modelled counts I_model, not negative.
    mask : ndarray of shape (ny, nx)
        Bad pixels, 0 good and 1 bad; M is its complement.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the good pixels hold no counts.
    """
    difference, counts = _sums(patterns, model, mask)
    return _quotient(difference, counts)


def recompute(result: Result, frames: Iterable[int] | None = None) -> float:
    """Recompute the error metric from the numbers in a result, with plain NumPy in float64.

    I_model(q) = sum_m |FFT[P_m(r - s) O(r + c)]|^2, where c is the corner of the object window that begins n//2 pixels
    before the position's nearest pixel, and s the rest of the position; a frame with a tilt has it on its exit wave.
    Slices are passed one after the other; see `exitwave.optics.multislice`. In the near field the wave is shifted back
    by s and propagated by its plane waves in the place of the FFT. In a fly scan it is the mean over the exposures. The
    detector is that of the result's recipe.

    Parameters
    ----------
    result : Result
        Object, probe, positions and the scan with its frames and detector (mask, saturation, dark frame).
    frames : iterable of int, optional
        Which frames; by default all that were reconstructed: neither left out nor held out.

    Returns
    -------
    float
        The error metric, to be compared with the last of ``result.errors``.

    Raises
    ------
    InputError
        If a position lies outside the object, or the frames hold no counts.
    """
    reconstructed = np.setdiff1d(result.scan.wanted, result.held_out)
    chosen = reconstructed if frames is None else np.asarray(list(frames), dtype=np.int64)
    sums = np.zeros(2)
    for each in modelled(result, chosen):
        sums += _sums(each.counts, each.model, ~each.good)
    return _quotient(*sums)


class Modelled(NamedTuple):
    """A frame and what the result makes of it, zero frequency of the far field at n//2."""

    frame: int
    """Its index."""
    counts: NDArray[Any]
    """Counts as the model knows them, shape (ny, nx)."""
    model: NDArray[np.float64]
    """Expected counts, shape (ny, nx)."""
    good: NDArray[np.bool_]
    """Which pixels are measurements, shape (ny, nx)."""


def modelled(result: Result, frames: Iterable[int]) -> Iterator[Modelled]:
    """Yield what a result makes of some frames, one at a time; see `recompute`.

    Where a saturated pixel is a lower bound that the model respects, the model is the count.
    """
    scan, settings = result.scan, DetectorSettings(**result.recipe.get("detector", {}))
    capped, flat = settings.saturated == "cap", efficiency(result.scan, settings)
    detector = detector_model(scan, settings, saturated=True) or ideal(scan.patterns.shape[1:])
    chosen = [int(frame) for frame in frames]
    offsets = result.model.get("exposures", np.zeros((len(scan.patterns), 1, 2)))
    exposures = np.repeat(result.positions[:, None], offsets.shape[1], axis=1)
    exposures[..., :2] += offsets
    corners, rest = split(to_pixels(exposures.reshape(-1, 3), result.y, result.x), result.probe.shape[-2:])
    count = offsets.shape[1]
    for index, frame in zip(chosen, scan.patterns.pick(chosen), strict=True):
        own = slice(index * count, (index + 1) * count)
        views = zip(corners[own], rest[own], strict=True)
        intensity = np.mean([_intensity(result, corner, shift, index) for corner, shift in views], axis=0)
        model = _counted(result, detector, intensity)
        counts = frame.astype(np.float32)
        usable = scan.detector.usable(frame, index, saturated=capped)
        usable &= True if flat is None else ~blind(flat)
        if capped and scan.detector.saturation is not None:
            counts = np.minimum(counts, np.float32(scan.detector.saturation))
        counts = counts if settings.background == "dark" else scan.detector.without_dark(counts)
        excused = (counts >= np.fft.fftshift(detector.cap)) & (model > counts)
        yield Modelled(index, counts, np.where(excused, counts, model), usable)


def _intensity(result: Result, corner: NDArray[np.int64], rest: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Modelled intensity of one exposure, shape of the probe; zero frequency of the far field at [0, 0]."""
    ny, nx = result.probe.shape[-2:]
    if np.any(corner < 0) or np.any(corner + np.array([ny, nx]) > result.object.shape[-2:]):
        raise InputError(
            f"The probe at position {index} lies outside the object",
            where="image_1",
            found=f"a window from row {corner[0]}, column {corner[1]} in an object of shape {result.object.shape}",
            remedy="The object's x and y do not belong to these positions; reconstruct again",
        )
    window = result.object[..., corner[0] : corner[0] + ny, corner[1] : corner[1] + nx].astype(np.complex128)
    wave = _through(result, fourier_shift(_probe(result, index), rest), window)
    if "tilts" in result.model:
        wave = wave * phase_ramp((ny, nx), 2 * np.pi * result.model["tilts"][index] / np.array([ny, nx]))
    scan = result.scan
    if scan.near:
        still = fourier_shift(wave, -rest)
        image = angular_spectrum(still, scan.propagation_distance, scan.wavelength, result.object_pixel)
        return np.asarray(np.sum(np.abs(image) ** 2, axis=0))
    return np.asarray(np.sum(np.abs(fft.fft2(wave, norm="ortho")) ** 2, axis=0))


def _counted(result: Result, detector: DetectorModel, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modelled counts of one frame, shape (ny, nx), as in the file: zero frequency of the far field at n//2."""
    if result.scan.near:
        return intensity
    learnt = result.model.get("background")
    return np.asarray(fft.fftshift(detector.counts(intensity, None if learnt is None else fft.ifftshift(learnt))))


def _through(result: Result, beam: NDArray[Any], window: NDArray[Any]) -> NDArray[Any]:
    """Return the exit waves behind a window of the sample, shape (modes, ny, nx)."""
    if result.z is None:
        return beam * window
    spacing = float(result.z[1] - result.z[0])
    transfer = angular_spectrum_kernel(window.shape, spacing, result.scan.wavelength, result.object_pixel)
    return exit_wave(beam, window, transfer)


def _probe(result: Result, index: int) -> NDArray[np.complex128]:
    """Return the modes of one frame, shape (modes, ny, nx): a_j (P_k + [k = 0] sum_m v_jm U_m)."""
    probe, model = result.probe.astype(np.complex128), result.model
    if "variations" in model:
        probe[0] += np.tensordot(model["weights"][index], model["variations"], 1)
    return probe * model["scales"][index] if "scales" in model else probe


def _sums(patterns: NDArray[Any], model: NDArray[Any], mask: NDArray[Any]) -> tuple[float, float]:
    counts = np.asarray(patterns, dtype=np.float64)
    good = (mask == 0) & np.isfinite(counts) & (counts >= 0)
    counts = np.where(good, counts, 0.0)
    difference = np.where(good, (np.sqrt(counts) - np.sqrt(model)) ** 2, 0.0)
    return float(difference.sum()), float(counts.sum())


def _quotient(difference: float, counts: float) -> float:
    if counts <= 0:
        raise InputError(
            "The frames hold no counts",
            where="the frames",
            found="a sum of 0 over the good pixels",
            remedy="Check the detector mask: 0 is good and 1 is bad",
        )
    return difference / counts
