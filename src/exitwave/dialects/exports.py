"""Arrays of a scan or a result in memory, as tike and pty-chi take them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.tools.extra_entries import probe_of
from exitwave.dialects.tools.product import object_of, origin_of, unnormalised_scale
from exitwave.errors import InputError
from exitwave.memory import require_memory
from exitwave.positions.grid import to_pixels
from exitwave.scan import Result, Scan, scan_in, with_unreadable_frames


def to_tike(data: Scan | Result) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``tike.ptycho``, tike 0.26.

    Parameters
    ----------
    data : Scan or Result
        Of a result, its object, probe and positions are taken; of a scan, an object of ones, its starting probe and
        its positions.

    Returns
    -------
    dict of str to ndarray
        NumPy arrays in memory, which ``torch.from_dlpack`` and ``cupy.from_dlpack`` accept. Frames that are left out
        are not included; the dark frame is subtracted; pixels without a measurement are 0.

        ``data`` (n, ny, nx) float32, counts with zero frequency at [0, 0]; ``scan`` (n, 2) float32, row and column of
        the probe's first pixel in ``psi``; ``probe`` (1, 1, modes, ny, nx) complex64, in square roots of counts under
        a unitary FFT, as in tike; ``psi`` (slices, rows, columns) complex64, row 0 at the smallest y;
        ``measured_pixels`` (ny, nx) bool, True where a pixel is good, zero frequency at [0, 0].

    Raises
    ------
    InputError
        If the frames are not square, which tike requires, or there is no probe.

    Examples
    --------
    >>> arrays = exitwave.to_tike(scan)  # doctest: +SKIP
    >>> data, good = arrays.pop("data"), arrays.pop("measured_pixels")  # doctest: +SKIP
    >>> parameters = tike.ptycho.PtychoParameters(
    ...     **arrays, exitwave_options=tike.ptycho.ExitWaveOptions(measured_pixels=good)
    ... )  # doctest: +SKIP
    >>> result = tike.ptycho.reconstruct(data, parameters)  # doctest: +SKIP
    """
    scan, counts = _with_counts(_square(data))
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    corners = to_pixels(data.positions[scan.used_frames], y, x) - np.array([shape[0] // 2, shape[1] // 2])
    return {
        "data": np.fft.ifftshift(counts, axes=(-2, -1)),
        "scan": corners.astype(np.float32),
        "probe": _probe(data)[None, None],
        "psi": image.reshape(-1, *image.shape[-2:]).copy(),
        "measured_pixels": np.fft.ifftshift(scan.detector.always_good),
    }


def to_ptychi(data: Scan | Result) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``ptychi.api.task.PtychographyTask``, pty-chi 2.2.

    Parameters
    ----------
    data : Scan or Result
        As in `to_tike`.

    Returns
    -------
    dict of str to ndarray
        NumPy arrays of the frames that are not left out, as in `to_tike`.

        ``diffraction_data`` (n, ny, nx) float32, counts with zero frequency at n - n//2, which pty-chi's fftshift
        moves to 0; ``object_data`` (slices, rows, columns) complex64, row 0 at the smallest y; ``probe_data``
        (1, modes, ny, nx) complex64, for pty-chi's FFT, which is not normalised; ``probe_position_x_px`` and
        ``probe_position_y_px`` (n,) float32, object pixels from the centre of the object, which pty-chi determines by
        default (``SUPPORT``); ``valid_pixel_mask`` (ny, nx) bool, True where a pixel is good, shifted as the frames.

    Raises
    ------
    InputError
        If there is no probe.

    Examples
    --------
    >>> options = ptychi.api.RPIEOptions()  # doctest: +SKIP
    >>> options.object_options.pixel_size_m = scan.object_pixel[0]  # doctest: +SKIP
    >>> options.data_options.wavelength_m = scan.wavelength  # doctest: +SKIP
    >>> task = ptychi.api.task.PtychographyTask(options, **exitwave.to_ptychi(scan))  # doctest: +SKIP
    """
    scan, counts = _with_counts(scan_in(data))
    shape = scan.patterns.shape[1:]
    image, x, y = object_of(data)
    step = np.array([x[1] - x[0], y[1] - y[0]])
    pixels = (data.positions[scan.used_frames, :2] - np.array(origin_of(x, y, shape))) / step
    return {
        "diffraction_data": _for_fftshift(counts),
        "object_data": image.reshape(-1, *image.shape[-2:]).copy(),
        "probe_data": (_probe(data) / np.float32(unnormalised_scale(shape)))[None],
        "probe_position_x_px": pixels[:, 0].astype(np.float32),
        "probe_position_y_px": pixels[:, 1].astype(np.float32),
        "valid_pixel_mask": _for_fftshift(scan.detector.always_good),
    }


def _for_fftshift(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames (..., ny, nx) shifted so that pty-chi's fftshift moves index n//2 to 0, also for odd n."""
    return np.fft.ifftshift(np.fft.ifftshift(frames, axes=(-2, -1)), axes=(-2, -1))


def _with_counts(scan: Scan) -> tuple[Scan, NDArray[np.float32]]:
    """Return a scan without the frames that cannot be read, and its used frames less the dark frame.

    The frames have shape (n, ny, nx), and 0 in pixels without a measurement.
    """
    used = scan.used_frames
    size, details = 4 * used.size * math.prod(scan.patterns.shape[1:]), f"{used.size} frames of float32"
    require_memory(size, "The arrays", details=details, remedy="Crop or bin the frames: exitwave prepare --crop N")
    stack = np.empty((used.size, *scan.patterns.shape[1:]), np.float32)
    for row, (index, frame) in enumerate(zip(used, scan.patterns.pick(used), strict=True)):
        counts = frame.astype(np.float64)
        stack[row] = np.where(scan.detector.usable(counts, int(index)), scan.detector.without_dark(counts), 0)
    scan = with_unreadable_frames(scan)
    return scan, stack[np.isin(used, scan.used_frames)]


def _probe(data: Scan | Result) -> NDArray[np.complex64]:
    probe = probe_of(data)
    if probe is None:
        raise InputError(
            "There is no starting probe",
            where=scan_in(data).path or "",
            remedy="exitwave.prepare(scan, optics=...) computes one from the optics; a result has a probe",
        )
    return probe.copy()


def _square(data: Scan | Result) -> Scan:
    scan = scan_in(data)
    ny, nx = scan.patterns.shape[1:]
    if ny != nx:
        remedy = "Crop the frames: exitwave prepare IN OUT"
        raise InputError(
            "tike requires square frames", where=scan.path or "", found=f"{ny} x {nx} pixels", remedy=remedy
        )
    return scan
