"""The arrays that reconstruction packages take, of a scan or a result, in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.tools.extra_entries import probe_of
from exitwave.dialects.tools.product import object_of, origin_of, unnormalised_scale
from exitwave.errors import InputError
from exitwave.positions.grid import to_pixels
from exitwave.scan import Result, Scan, scan_in


def tike_arrays(data: Scan | Result) -> dict[str, NDArray[Any]]:
    """Return what ``tike.ptycho.reconstruct`` and ``tike.ptycho.PtychoParameters`` take; see `Scan.to_tike`."""
    scan = _square(data)
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    corners = to_pixels(data.positions[scan.wanted], y, x) - np.array([shape[0] // 2, shape[1] // 2])
    return {
        "data": np.fft.ifftshift(_counts(scan), axes=(-2, -1)),
        "scan": corners.astype(np.float32),
        "probe": _probe(data)[None, None],
        "psi": image.reshape(-1, *image.shape[-2:]).copy(),
        "measured_pixels": np.fft.ifftshift(scan.detector.always_good),
    }


def ptychi_arrays(data: Scan | Result) -> dict[str, NDArray[Any]]:
    """Return what ``ptychi.api.task.PtychographyTask`` takes; see `Scan.to_ptychi`."""
    scan = scan_in(data)
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    step = np.array([x[1] - x[0], y[1] - y[0]])
    pixels = (data.positions[scan.wanted, :2] - np.array(origin_of(x, y, shape))) / step
    return {
        "diffraction_data": _for_fftshift(_counts(scan)),
        "object_data": image.reshape(-1, *image.shape[-2:]).copy(),
        "probe_data": (_probe(data) / np.float32(unnormalised_scale(shape)))[None],
        "probe_position_x_px": pixels[:, 0].astype(np.float32),
        "probe_position_y_px": pixels[:, 1].astype(np.float32),
        "valid_pixel_mask": _for_fftshift(scan.detector.always_good),
    }


def _for_fftshift(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames, shape (..., ny, nx), such that fftshift, which pty-chi uses, brings n//2 to 0 for odd n too."""
    return np.fft.ifftshift(np.fft.ifftshift(frames, axes=(-2, -1)), axes=(-2, -1))


def _counts(scan: Scan) -> NDArray[np.float32]:
    """Return the counts of the frames in use less the dark frame, shape (n, ny, nx), 0 where nothing was measured."""
    wanted = scan.wanted
    stack = np.empty((wanted.size, *scan.patterns.shape[1:]), np.float32)
    for place, (index, frame) in enumerate(zip(wanted, scan.patterns.pick(wanted), strict=True)):
        counts = frame.astype(np.float64)
        stack[place] = np.where(scan.detector.usable(counts, int(index)), scan.detector.without_dark(counts), 0)
    return stack


def _probe(data: Scan | Result) -> NDArray[np.complex64]:
    probe = probe_of(data)
    if probe is None:
        raise InputError(
            "There is no probe to start with",
            where=scan_in(data).path or "",
            remedy="exitwave.prepare(scan, optics=...) computes one from the lens; a result has one",
        )
    return probe.copy()


def _square(data: Scan | Result) -> Scan:
    scan = scan_in(data)
    ny, nx = scan.patterns.shape[1:]
    if ny != nx:
        remedy = "Crop the frames: exitwave prepare IN OUT"
        raise InputError("tike takes square frames", where=scan.path or "", found=f"{ny} x {nx} pixels", remedy=remedy)
    return scan
