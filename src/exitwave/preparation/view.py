"""A scan whose frames are seen through a view: detector, masks and probe follow, the positions stay as they are."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.frames import View, ViewedFrames
from exitwave.optics import fraunhofer, inverse_fraunhofer, phase_ramp
from exitwave.scan import Detector, Scan, Truth

GAP = np.uint32(1)
"""NeXus bit of `Detector.pixel_mask`: there is no pixel."""


def apply_view(scan: Scan, view: View) -> Scan:
    """Return a scan whose frames are turned, cut and binned; nothing is read.

    Everything that has the shape of a frame follows, and so do pixel size, corner and saturation; the object pixel
    wavelength * distance / (n * detector pixel) follows from these. A bin is bad where one of its pixels is. A probe is
    turned and cut as the frames are, in reciprocal space, so that it explains the new frames as it did the old. A turn
    is of the detector alone: the positions keep their axes.

    Parameters
    ----------
    scan : Scan
        The scan.
    view : View
        How its frames are to be seen; on top of a view that it has.

    Returns
    -------
    Scan

    Raises
    ------
    InputError
        If fewer than 2 x 2 pixels are left.
    """
    frames = ViewedFrames(scan.patterns, view, scan.detector.saturation)
    shape = (scan.patterns.shape[1], scan.patterns.shape[2])
    fits = scan.probe is not None and scan.probe.shape[-2:] == shape
    return replace(
        scan,
        patterns=frames,
        detector=_detector(scan.detector, view, shape),
        probe=_beam(scan.probe, view, near=scan.near is not None) if fits else scan.probe,
        truth=scan.truth and _truth(scan.truth, view, shape, near=scan.near is not None),
    )


def _detector(detector: Detector, view: View, shape: tuple[int, int]) -> Detector:
    py, px = detector.pixel_size[::-1] if view.transpose else detector.pixel_size
    reasons, saturation = detector.pixel_mask, detector.saturation
    dark, flat = detector.dark, detector.flat
    return replace(
        detector,
        pixel_size=(view.bin * py, view.bin * px),
        mask=np.bitwise_or.reduce(view.parts((detector.mask != 0).astype(np.uint8), 1)),
        corner_position=_corner(detector, view, shape),
        saturation=None if saturation is None else saturation * view.bin**2,
        pixel_mask=None if reasons is None else np.bitwise_or.reduce(view.parts(reasons, GAP)),
        dark=None if dark is None else np.sum(view.parts(dark, 0), axis=0, dtype=np.float32),
        flat=None if flat is None else np.mean(view.parts(flat, 1), axis=0, dtype=np.float32),
    )


def _corner(detector: Detector, view: View, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the outer corner (x, y, z) of the first pixel: where the beam hits the frame moves with the pixels."""
    if detector.corner_position is None:
        return None
    x, y, z = detector.corner_position
    (top, _), (left, _) = view.window(shape)
    extent = [n * p for n, p in zip(shape, detector.pixel_size, strict=True)]
    place, size = [float(y), float(x)], list(detector.pixel_size)
    if view.transpose:
        extent, place, size = extent[::-1], place[::-1], size[::-1]
    place = [
        n - at if flip else at for n, at, flip in zip(extent, place, (view.flip_rows, view.flip_columns), strict=True)
    ]
    return np.array([place[1] - left * size[1], place[0] - top * size[0], float(z)])


def _truth(truth: Truth, view: View, shape: tuple[int, int], *, near: bool) -> Truth:
    """Return the truth as the frames are seen: its probe, what varies of it, and its object with their pixels."""
    model = dict(truth.model)
    if "variations" in model:
        model["variations"] = _beam(model["variations"], view, near=near)
    if "background" in model:
        model["background"] = np.sum(view.parts(model["background"], 0), axis=0)
    if "tilts" in model:
        tilts = model["tilts"][:, ::-1] if view.transpose else model["tilts"]
        model["tilts"] = tilts * np.where((view.flip_rows, view.flip_columns), -1, 1) / view.bin
    probe = _beam(truth.probe, view, near=near) if truth.probe.shape[-2:] == shape else truth.probe
    (top, bottom), (left, right) = view.window(shape)
    kept = [(bottom - top, shape[0]), (right - left, shape[1])]
    if near:
        kept = [(1, view.bin)] * 2
    if view.transpose and kept[0] != kept[1]:
        return replace(truth, probe=probe, model=model)
    obj, y = _coarser(truth.object, truth.y, -2, *kept[0])
    obj, x = _coarser(obj, truth.x, -1, *kept[1])
    return replace(truth, object=obj.astype(np.complex64, copy=False), x=x, y=y, probe=probe, model=model)


def _coarser(
    obj: NDArray[Any], places: NDArray[np.float64], axis: int, kept: int, of: int
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return an object without the frequencies that pixels larger by of/kept cannot hold, and where these lie.

    It goes on as it ends, up to a length that both pixels divide, for the sake of its Fourier transform.
    """
    common = math.gcd(kept, of)
    kept, of = kept // common, of // common
    if kept >= of:
        return obj, places
    n = obj.shape[axis]
    more = -n % of + 2 * of * math.ceil(16 / of)  # room behind the end, where it returns to the beginning
    padding = [(0, 0)] * obj.ndim
    padding[axis] = (0, more)
    spectrum = np.fft.fftshift(np.fft.fft(np.pad(obj.astype(np.complex128), padding, mode="edge"), axis=axis), axis)
    length = spectrum.shape[axis] // of * kept
    before, first = spectrum.shape[axis] // 2, length // 2
    window = np.take(spectrum, np.arange(before - first, before - first + length), axis)
    coarse = np.fft.ifft(np.fft.ifftshift(window, axis), axis=axis) * kept / of
    step = (places[1] - places[0]) * of / kept
    number = min(length, int((places[-1] - places[0]) / step) + 1)
    return np.take(coarse, np.arange(number), axis), places[0] + step * np.arange(number)


def _beam(probe: Any, view: View, *, near: bool) -> NDArray[np.complex64]:
    """Return modes, shape (modes, ny, nx), that make the frames as they are seen.

    The far field of an exit wave is cut in reciprocal space; bins see a field that is so many times smaller, between
    the first and the last of their pixels. An image in the near field is cut in real space; bins see coarser pixels.
    """
    rows, columns = view.window(probe.shape[-2:])
    ny, nx = view.shape(probe.shape[-2:])
    whole = replace(view, rows=rows, columns=columns, bin=1)
    if near:
        seen = whole.cut(probe.astype(np.complex128), 0)
        return inverse_fraunhofer(_middle(fraunhofer(seen), (ny, nx))).astype(np.complex64)
    field = inverse_fraunhofer(whole.cut(fraunhofer(probe.astype(np.complex128)), 0))
    large = np.array(field.shape[-2:])
    between = np.array([ny // 2, nx // 2]) * view.bin + (view.bin - 1) / 2 - large // 2
    return np.asarray(
        _middle(field * phase_ramp((large[0], large[1]), -2 * np.pi * between / large), (ny, nx)), np.complex64
    )


def _middle(wave: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return the middle of waves; index n//2 stays the centre."""
    rows, columns = (slice(m // 2 - n // 2, m // 2 - n // 2 + n) for m, n in zip(wave.shape[-2:], shape, strict=True))
    return wave[..., rows, columns]
