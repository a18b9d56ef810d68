"""Apply a view (transposition, flips, crop, bins) to a scan: patterns, detector and probe change, positions do not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.frames import View, ViewedFrames
from exitwave.optics import fraunhofer, inverse_fraunhofer, phase_ramp
from exitwave.scan import Detector, Scan, Truth

GAP = np.uint32(1)
"""NeXus bit of `Detector.pixel_mask`: no pixel."""


def apply_view(scan: Scan, view: View) -> Scan:
    """Return a scan whose patterns are transposed, flipped, cropped and binned; no frame is read.

    All arrays with the shape of a frame change with it, and so do pixel size, corner and saturation; the object pixel
    wavelength * distance / (n * detector pixel) follows from these. A bin is bad where one of its pixels is bad. The
    probe is transformed like the frames, in reciprocal space, so that it fits the new frames as it fitted the old ones.
    Transposition and flips are those of the detector alone: the positions keep their axes.

    Parameters
    ----------
    scan : Scan
        The scan.
    view : View
        The view; it is applied after a view that the scan already has.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If fewer than 2 x 2 pixels are left.
    """
    shape = (scan.patterns.shape[1], scan.patterns.shape[2])
    fits = scan.probe is not None and scan.probe.shape[-2:] == shape
    return replace(
        scan,
        patterns=ViewedFrames(scan.patterns, view, scan.detector.saturation),
        detector=_viewed_detector(scan.detector, view, shape),
        probe=_viewed_probe(scan.probe, view, near=scan.near is not None) if fits else scan.probe,
        truth=scan.truth and _viewed_truth(scan.truth, view, shape, near=scan.near is not None),
    )


def _viewed_detector(detector: Detector, view: View, shape: tuple[int, int]) -> Detector:
    """Return the detector of the viewed frames; ``shape`` is that of the frames before."""
    py, px = detector.pixel_size[::-1] if view.transpose else detector.pixel_size
    reasons, saturation = detector.pixel_mask, detector.saturation
    dark, flat = detector.dark, detector.flat
    return replace(
        detector,
        pixel_size=(view.bin * py, view.bin * px),
        mask=np.bitwise_or.reduce(view.parts((detector.mask != 0).astype(np.uint8), 1)),
        corner_position=_viewed_corner(detector, view, shape),
        saturation=None if saturation is None else saturation * view.bin**2,
        pixel_mask=None if reasons is None else np.bitwise_or.reduce(view.parts(reasons, GAP)),
        dark=None if dark is None else np.sum(view.parts(dark, 0), axis=0, dtype=np.float32),
        flat=None if flat is None else np.mean(view.parts(flat, 1), axis=0, dtype=np.float32),
    )


def _viewed_corner(detector: Detector, view: View, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the outer corner (x, y, z) of the first pixel, in metres: the beam hits the same pixel as before."""
    if detector.corner_position is None:
        return None
    x, y, z = detector.corner_position
    (top, _), (left, _) = view.window(shape)
    extent = [n * p for n, p in zip(shape, detector.pixel_size, strict=True)]
    corner, size = [float(y), float(x)], list(detector.pixel_size)
    if view.transpose:
        extent, corner, size = extent[::-1], corner[::-1], size[::-1]
    flips = (view.flip_rows, view.flip_columns)
    corner = [n - at if flip else at for n, at, flip in zip(extent, corner, flips, strict=True)]
    return np.array([corner[1] - left * size[1], corner[0] - top * size[0], float(z)])


def _viewed_truth(truth: Truth, view: View, shape: tuple[int, int], *, near: bool) -> Truth:
    """Return the truth of the viewed frames: probe, OPR modes, background, pointing, and object on its new grid."""
    model = dict(truth.model)
    if "opr_modes" in model:
        model["opr_modes"] = _viewed_probe(model["opr_modes"], view, near=near)
    if "background" in model:
        model["background"] = np.sum(view.parts(model["background"], 0), axis=0)
    if "pointing" in model:
        shifts = model["pointing"][:, ::-1] if view.transpose else model["pointing"]
        model["pointing"] = shifts * np.where((view.flip_rows, view.flip_columns), -1, 1) / view.bin
    probe = _viewed_probe(truth.probe, view, near=near) if truth.probe.shape[-2:] == shape else truth.probe
    (top, bottom), (left, right) = view.window(shape)
    kept = [(bottom - top, shape[0]), (right - left, shape[1])]
    if near:
        kept = [(1, view.bin)] * 2
    if view.transpose and kept[0] != kept[1]:
        return replace(truth, probe=probe, model=model)
    obj, y = _coarsened(truth.object, truth.y, -2, *kept[0])
    obj, x = _coarsened(obj, truth.x, -1, *kept[1])
    return replace(truth, object=obj.astype(np.complex64, copy=False), x=x, y=y, probe=probe, model=model)


def _coarsened(
    obj: NDArray[Any], coordinates: NDArray[np.float64], axis: int, kept: int, of: int
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return an object on pixels larger by of/kept along an axis, and the coordinates of these pixels.

    The frequencies beyond those of the larger pixels are removed. For the Fourier transform the object is padded with
    its edge values to a length that both pixels divide.
    """
    common = math.gcd(kept, of)
    kept, of = kept // common, of // common
    if kept >= of:
        return obj, coordinates
    n = obj.shape[axis]
    more = -n % of + 2 * of * math.ceil(16 / of)  # padding: the transform is periodic
    padding = [(0, 0)] * obj.ndim
    padding[axis] = (0, more)
    spectrum = np.fft.fftshift(np.fft.fft(np.pad(obj.astype(np.complex128), padding, mode="edge"), axis=axis), axis)
    length = spectrum.shape[axis] // of * kept
    before, first = spectrum.shape[axis] // 2, length // 2
    window = np.take(spectrum, np.arange(before - first, before - first + length), axis)
    coarse = np.fft.ifft(np.fft.ifftshift(window, axis), axis=axis) * kept / of
    step = (coordinates[1] - coordinates[0]) * of / kept
    number = min(length, int((coordinates[-1] - coordinates[0]) / step) + 1)
    return np.take(coarse, np.arange(number), axis), coordinates[0] + step * np.arange(number)


def _viewed_probe(probe: Any, view: View, *, near: bool) -> NDArray[np.complex64]:
    """Return the probe modes of the viewed frames, shape (modes, ny, nx).

    In the far field they are cropped in reciprocal space. Bins of b pixels make the field of view b times smaller; the
    frequency of a bin is that of its centre. In the near field they are cropped in real space, and bins make the pixels
    coarser.
    """
    rows, columns = view.window(probe.shape[-2:])
    ny, nx = view.shape(probe.shape[-2:])
    whole = replace(view, rows=rows, columns=columns, bin=1)
    if near:
        cropped = whole.cut(probe.astype(np.complex128), 0)
        return inverse_fraunhofer(_centre_of(fraunhofer(cropped), (ny, nx))).astype(np.complex64)
    field = inverse_fraunhofer(whole.cut(fraunhofer(probe.astype(np.complex128)), 0))
    large = np.array(field.shape[-2:])
    shift = np.array([ny // 2, nx // 2]) * view.bin + (view.bin - 1) / 2 - large // 2
    return np.asarray(
        _centre_of(field * phase_ramp((large[0], large[1]), -2 * np.pi * shift / large), (ny, nx)), np.complex64
    )


def _centre_of(wave: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return the central part of waves, shape (..., ny, nx); index n//2 stays the centre."""
    rows, columns = (slice(m // 2 - n // 2, m // 2 - n // 2 + n) for m, n in zip(wave.shape[-2:], shape, strict=True))
    return wave[..., rows, columns]
