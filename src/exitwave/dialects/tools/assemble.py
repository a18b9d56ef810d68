"""Make a Scan or a Result from the values of a file, with the same checks for every file format."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.energy import HIGHEST, LOWEST
from exitwave.cxi.frames import MOST_PIXELS
from exitwave.cxi.mask import CHOICES, check_share
from exitwave.cxi.scale import check_scale, replace_missing_positions
from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.errors import Finding, InputError
from exitwave.frames import Frames
from exitwave.scan import Detector, Result, Scan
from exitwave.units import H_C, factor, parse

EXAMPLES = {"energy": "8.8keV", "distance": "2m", "pixel_size": "75um"}


def energy_of(settings: Settings, found: float | None, where: str) -> float:
    """Return the photon energy in eV: that of the user, else the value of the file, which is in eV.

    Raises
    ------
    InputError
        If there is no energy, or it is not between 50 eV and 200 keV.
    """
    given = settings.get("energy")
    energy = parse(given, "energy") if given else found
    remedy = f"Give it with --set energy={EXAMPLES['energy']}"
    if energy is None:
        raise InputError("The file lacks the photon energy", where=where, remedy=remedy)
    if not LOWEST <= energy <= HIGHEST:
        value = f"{energy:g} eV"
        raise InputError("The photon energy is impossible", where=where, found=value, remedy=remedy)
    return float(energy)


def energy_of_wavelength(wavelength: float | None) -> float | None:
    """Return the photon energy in eV of a wavelength in metres, or None without one."""
    return H_C / wavelength if wavelength and np.isfinite(wavelength) and wavelength > 0 else None


def length_of(settings: Settings, key: str, found: float | None, where: str) -> float:
    """Return a length in metres: that of the user in ``key`` (distance or pixel_size), else the value of the file.

    Raises
    ------
    InputError
        If there is no length, or it is not positive and finite.
    """
    given = settings.get(key)
    length = parse(given, "length") if given else found
    remedy = f"Give it with --set {key}={EXAMPLES.get(key, '1m')}"
    if length is None:
        raise InputError(f"The file lacks the {key.replace('_', ' ')}", where=where, remedy=remedy)
    if not (np.isfinite(length) and length > 0):
        raise InputError("A length must be positive", where=where, found=length, remedy=remedy)
    return float(length)


def mask_of(settings: Settings, bad: NDArray[np.bool_] | None, shape: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Return the mask, 0 good and 1 bad, for frames of ``shape``, from a file's bad pixels and the user's ``mask``.

    Raises
    ------
    InputError
        If the shape differs, or more than half of the pixels are bad and the user has not set ``mask``.
    """
    choice = settings.get("mask")
    if choice is not None and choice not in CHOICES:
        raise InputError("Unknown kind of mask", found=repr(choice), remedy=f"Use one of {', '.join(CHOICES)}")
    if bad is None or choice == "none":
        return np.zeros(shape, np.uint8)
    if bad.ndim not in (2, 3) or bad.shape[-2:] != shape:
        remedy = "Write a mask of the frames' shape, or ignore it with --set mask=none"
        found = f"shape {bad.shape}, frames {shape}"
        raise InputError("The mask does not fit the frames", where=where, found=found, remedy=remedy)
    bad = ~bad if choice == "inverted" else bad
    check_share(bad, where, kept=choice is not None)
    return bad.astype(np.uint8)


def columns_of(settings: Settings, stored: Any, frames: int, where: str) -> NDArray[np.float64]:
    """Return positions in metres, shape (frames, 3), from the stored columns x, y (and z), shape (frames, 2 or 3).

    The user's ``positions`` is the unit of the stored values in place of metres.

    Raises
    ------
    InputError
        If they are not numbers, have another shape, or differ in number from the frames.
    """
    values = np.asarray(stored)
    if values.dtype.kind not in "iuf" or values.ndim != 2 or values.shape[1] not in (2, 3):
        found = describe(values)
        raise InputError(NO_POSITIONS, where=where, found=found, remedy=f"Expected shape ({frames}, 2)")
    if len(values) != frames:
        raise InputError(
            "Frames and positions differ in number",
            where=where,
            found=f"{frames} frames and {len(values)} positions",
            remedy="Remove the frames without a position, or the positions without a frame",
        )
    positions = np.zeros((frames, 3))
    positions[:, : values.shape[1]] = values
    unit = settings.get("positions")
    return positions * factor(unit, "length") if unit else positions


def check_frames(frames: Frames, where: str) -> Frames:
    """Return a stack of frames after a check of its type and shape.

    Raises
    ------
    InputError
        If it is not three-dimensional or not of real numbers, or has fewer than two frames, rows or columns, or frames
        larger than those of any detector.
    """
    if frames.dtype.kind not in "iuf" or len(frames.shape) != 3 or min(frames.shape) < 2:
        found = describe(frames)
        remedy = "Expected intensities of shape (npos, ny, nx)"
        raise InputError("These are not diffraction patterns", where=where, found=found, remedy=remedy)
    ny, nx = frames.shape[1:]
    if ny * nx > MOST_PIXELS:
        remedy = "Crop or bin the frames"
        raise InputError("The frames are too large", where=where, found=f"{ny} x {nx} pixels", remedy=remedy)
    return frames


def scan_of(
    patterns: Frames,
    positions: NDArray[np.float64],
    energy: float,
    detector: Detector,
    *,
    file: Path,
    where: str = "",
    remarks: list[Finding] | None = None,
    **others: Any,
) -> Scan:
    """Return a scan after a check of its positions.

    Parameters
    ----------
    patterns, positions, energy, detector, others
        Fields of `exitwave.scan.Scan`; positions of shape (npos, 3), in metres, may lack values (NaN).
    file : Path
        The file that was read.
    where : str
        Name of the entry with the positions, for messages.
    remarks : list of Finding, optional
        Findings of the reader so far.

    Raises
    ------
    InputError
        If more than a fifth of the positions is missing, the object pixel is impossible, or the scan is far too large.
    """
    notes = list(remarks or ())
    positions, broken = replace_missing_positions(positions, notes, f"{file}:{where}")
    left_out = dict(others.pop("left_out", {}))
    if broken.any():
        left_out |= {"position not finite": tuple(np.flatnonzero(broken).tolist())}
    scan = Scan(patterns, positions, energy, detector, left_out=left_out, path=file.resolve(), **others)
    scan = check_scale(scan, notes, str(file), where)
    return replace(scan, findings=tuple(notes))


def result_of(
    scan: Scan,
    transmission: NDArray[Any],
    probe: NDArray[Any],
    *,
    x: NDArray[np.float64] | None = None,
    y: NDArray[np.float64] | None = None,
    positions: NDArray[np.float64] | None = None,
    errors: NDArray[Any] | None = None,
    algorithm: str = "",
    program: str = "",
    z: NDArray[np.float64] | None = None,
) -> Result:
    """Return the result of another program, after a check of object and probe.

    Parameters
    ----------
    scan : Scan
        The scan that was reconstructed.
    transmission : ndarray
        Complex object, shape (ny, nx) or (slices, ny, nx), row 0 at the smallest y.
    probe : ndarray
        Complex probe, shape (modes, ny_det, nx_det), in square roots of counts under a unitary FFT.
    x, y : ndarray, optional
        Sample coordinates of the object's columns and rows in metres; None: the object is centred on the positions.
    positions : ndarray of shape (npos, 3), optional
        Positions that were used; None: those of the scan.
    errors : ndarray, optional
        Error of each iteration.
    algorithm, program : str
        Algorithm and program that made the result.
    z : ndarray of shape (slices,), optional
        Coordinates of the slices along the beam in metres.

    Raises
    ------
    InputError
        If object or probe are not complex images of fitting shapes.
    """
    image, waves = _checked_images(scan, np.asarray(transmission), np.asarray(probe))
    rows, columns = image.shape[-2:]
    middle = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) / 2
    py, px = scan.object_pixel
    return Result(
        scan=scan,
        object=image,
        probe=waves,
        x=middle[0] + (np.arange(columns) - columns // 2) * px if x is None else x,
        y=middle[1] + (np.arange(rows) - rows // 2) * py if y is None else y,
        positions=scan.positions if positions is None else positions,
        mask=np.ones((rows, columns), np.float32),
        errors=np.zeros(0, np.float32) if errors is None else _history(errors),
        holdout_errors=np.zeros(0, np.float32),
        held_out=np.zeros(0, np.int64),
        algorithm=algorithm,
        recipe={},
        provenance={"program": program} if program else {},
        z=z,
    )


def _checked_images(
    scan: Scan, image: NDArray[Any], waves: NDArray[Any]
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Return object and probe modes as complex64 after a check of their type and shape."""
    if image.dtype.kind != "c" or image.ndim not in (2, 3) or min(image.shape[-2:]) < 2:
        found = describe(image)
        raise InputError(
            "The reconstruction is not a complex image",
            where=scan.path or "",
            found=found,
            remedy="Write complex numbers of shape (ny, nx) or (slices, ny, nx)",
        )
    if waves.dtype.kind != "c" or waves.ndim != 3 or waves.shape[1:] != tuple(scan.patterns.shape[1:]):
        found = describe(waves)
        remedy = f"Expected complex numbers of shape (modes, {scan.patterns.shape[1]}, {scan.patterns.shape[2]})"
        raise InputError("The probe does not fit the frames", where=scan.path or "", found=found, remedy=remedy)
    return image.astype(np.complex64, copy=False), waves.astype(np.complex64, copy=False)


def _history(errors: NDArray[Any]) -> NDArray[np.float32]:
    """Return errors as a list of 32-bit floats; values beyond their range become infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(errors, np.float32).ravel()
