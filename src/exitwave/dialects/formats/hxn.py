"""``hxn``: files of the Hard X-ray Nanoprobe of NSLS-II: those of its own program, and MATLAB files.

In the program's files, the first axis of a frame is x. Frames are amplitudes with the zero frequency at [0, 0]. The
points are positions of the stage: before use, the program negates both axes and multiplies x by the cosine of the
rotation angle of the sample. This module does the same.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_checks import NO_POSITIONS, describe
from exitwave.dialects.tools.array_file import existing_entries
from exitwave.dialects.tools.assemble import (
    columns_of,
    energy_of,
    energy_of_wavelength,
    length_of,
    mask_of,
    result_of,
    scan_of,
)
from exitwave.dialects.tools.bad_pixel_marks import bad_pixel_value, pixels_always_at
from exitwave.dialects.tools.hdf5_values import array_at, frames_at, number_at, quantity_at, reading
from exitwave.dialects.tools.position_settings import NEGATE, axis_signs
from exitwave.errors import InputError
from exitwave.frames import ChangedFrames
from exitwave.scan import Detector, Result, Scan

PROGRAM = ("diffamp", "points", "z_m", "lambda_nm", "ccd_pixel_um")
"""Entries of the program's files."""
MATLAB = ("det_data", "pos_xy", "det_dist", "det_pixel_size", "energy")
"""Entries of the MATLAB files."""


def detect(file: Path) -> Evidence | None:
    """Accept a file that has all entries of one of the two kinds."""
    complete = [names for names in (PROGRAM, MATLAB) if len(existing_entries(file, names)) == len(names)]
    return Evidence(Strength.MARK, f"{complete[0][0]}, {complete[0][1]} and {complete[0][2]}") if complete else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read a scan or a result; see `exitwave.dialects.dialect.Dialect`."""
    with reading(file) as opened:
        return _read_matlab(opened, settings, file) if MATLAB[0] in opened else _read_program(opened, settings, file)


def _read_program(opened: h5py.File, settings: Settings, file: Path) -> Scan:
    stack = frames_at(opened, "/diffamp")
    shape = (stack.shape[2], stack.shape[1])
    frames = ChangedFrames(stack, _intensity, shape, np.dtype(np.float32))
    energy = energy_of_wavelength(quantity_at(opened, "/lambda_nm", "length", "nm"))
    points = _xy_rows(opened, "/points")
    points[:, 0] *= _x_factor(settings, number_at(opened, "/angle") or 0.0)
    detector = Detector(
        distance=length_of(settings, "distance", quantity_at(opened, "/z_m", "length", "m"), f"{file}:/z_m"),
        pixel_size=_pixel_size(settings, opened, "/ccd_pixel_um"),
        mask=mask_of(settings, None, shape, str(file)),
    )
    positions = columns_of(settings, points * 1e-6 * axis_signs(settings, "xy"), len(frames), f"{file}:/points")
    energy = energy_of(settings, energy, f"{file}:/lambda_nm")
    return scan_of(frames, positions, energy, detector, file=file, where="/points")


def _intensity(amplitude: NDArray[Any]) -> NDArray[np.float32]:
    """Return intensities (..., y, x), zero frequency at n//2, of amplitudes (..., x, y), zero frequency at [0, 0]."""
    centred = np.fft.fftshift(amplitude.astype(np.float64), axes=(-2, -1))
    return np.square(centred).swapaxes(-2, -1).astype(np.float32)


def _x_factor(settings: Settings, angle: float) -> float:
    """Return the factor of x for a sample rotated by an angle in degrees.

    It is the cosine of the angle up to 45 degrees. At larger angles another stage scans x, and the factor is the sine.
    """
    given = settings.get("angle")
    try:
        angle = angle if given is None else float(given)
    except ValueError:
        raise InputError("The angle is not a number", found=repr(given), remedy="Give degrees: angle=15") from None
    if abs(angle) <= 45:
        return float(np.cos(np.radians(angle)))
    return float(np.sin(np.radians(angle)))


def _pixel_size(settings: Settings, file: h5py.File, path: str) -> tuple[float, float]:
    pixel = length_of(settings, "pixel_size", quantity_at(file, path, "length", "um"), f"{file.filename}:{path}")
    return pixel, pixel


def _xy_rows(file: h5py.File, path: str) -> NDArray[np.float64]:
    """Return rows 0 and 1 of an array of two rows, or rows 1 and 2 of a larger one, as columns x and y."""
    stored, where = array_at(file, path), f"{file.filename}:{path}"
    if stored is None or stored.ndim != 2 or not 2 <= len(stored) <= 8 or stored.dtype.kind not in "iuf":
        remedy = "Expected two rows of numbers, x and y"
        raise InputError(NO_POSITIONS, where=where, found=describe(stored), remedy=remedy)
    first = 0 if len(stored) == 2 else 1
    return np.asarray(stored[first : first + 2].T, dtype=np.float64)


def _read_matlab(opened: h5py.File, settings: Settings, file: Path) -> Scan | Result:
    frames = frames_at(opened, "/det_data")
    bad = pixels_always_at(frames, bad_pixel_value(frames.dtype))
    distance = length_of(settings, "distance", quantity_at(opened, "/det_dist", "length", "um"), f"{file}:/det_dist")
    detector = Detector(
        distance=distance,
        pixel_size=_pixel_size(settings, opened, "/det_pixel_size"),
        mask=mask_of(settings, bad, frames.shape[1:], f"{file}:/det_data"),
    )
    stored = _xy_rows(opened, "/pos_xy") * 1e-6 * axis_signs(settings)
    positions = columns_of(settings, stored, len(frames), f"{file}:/pos_xy")
    energy = energy_of(settings, quantity_at(opened, "/energy", "energy", "keV"), f"{file}:/energy")
    probe, image = (array_at(opened, path) for path in ("/prb", "/obj"))
    modes = None if probe is None or probe.ndim < 2 else probe.reshape(-1, *probe.shape[-2:])
    fits = modes is not None and modes.dtype.kind == "c" and modes.shape[1:] == frames.shape[1:]
    starting_probe = modes.astype(np.complex64) if fits and modes is not None else None
    scan = scan_of(frames, positions, energy, detector, file=file, where="/pos_xy", probe=starting_probe)
    if image is None:
        return scan
    no_modes = np.zeros((0, *frames.shape[1:]), np.complex64)
    return result_of(scan, image, no_modes if modes is None else modes, program="HXN")


DIALECT = Dialect(
    name="hxn",
    order=120,
    title="Hard X-ray Nanoprobe, NSLS-II: files of its program, and MATLAB files (7.3)",
    conventions=Conventions(
        energy="lambda_nm, nm; MATLAB: energy, keV",
        positions="points (2, N), x y of the stage, -, x times cos angle, um; MATLAB: pos_xy (3, N), rows 1 2, +, um",
        mask="-",
        frames="diffamp (N, x, y), amplitude, zero frequency at [0, 0]; MATLAB: det_data (N, y, x), intensity, centred",
        probe="MATLAB: prb (y, x)",
        object="MATLAB: obj (y, x), centred on the positions",
    ),
    detect=detect,
    read=read,
    settings={"angle": "15"} | NEGATE,
    suffix=".h5",
)
