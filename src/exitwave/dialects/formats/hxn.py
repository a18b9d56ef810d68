"""``hxn``: files of the Hard X-ray Nanoprobe of NSLS-II, as its own program writes them and as its MATLAB files are.

The program counts (x, y): the first axis of a frame is x. It keeps amplitudes, with zero frequency at [0, 0]. Its
points are those of the stage, so it negates both and narrows x by the turn of the sample before it uses them; so does
this module.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
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
    """Take a file that has all entries of one of the two kinds."""
    marks = [names for names in (PROGRAM, MATLAB) if len(existing_entries(file, names)) == len(names)]
    return Evidence(Strength.MARK, f"{marks[0][0]}, {marks[0][1]} and {marks[0][2]}") if marks else None


def read(place: Path, settings: Settings) -> Scan | Result:
    """Read a scan or a result; see `exitwave.dialects.dialect.Dialect`."""
    with reading(place) as file:
        return _of_matlab(file, settings, place) if MATLAB[0] in file else _of_program(file, settings, place)


def _of_program(file: h5py.File, settings: Settings, place: Path) -> Scan:
    stack = frames_at(file, "/diffamp")
    shape = (stack.shape[2], stack.shape[1])
    frames = ChangedFrames(stack, _intensity, shape, np.dtype(np.float32))
    energy = energy_of_wavelength(quantity_at(file, "/lambda_nm", "length", "nm"))
    points = _rows(file, "/points", 2)
    points[:, 0] *= _narrowing(settings, number_at(file, "/angle") or 0.0)
    detector = Detector(
        distance=length_of(settings, "distance", quantity_at(file, "/z_m", "length", "m"), f"{place}:/z_m"),
        pixel_size=_pixel(settings, file, "/ccd_pixel_um"),
        mask=mask_of(settings, None, shape, str(place)),
    )
    positions = columns_of(settings, points * 1e-6 * axis_signs(settings, "xy"), len(frames), f"{place}:/points")
    energy = energy_of(settings, energy, f"{place}:/lambda_nm")
    return scan_of(frames, positions, energy, detector, file=place, where="/points")


def _intensity(amplitude: NDArray[Any]) -> NDArray[np.float32]:
    """Return intensities (..., y, x), zero frequency at n//2, of amplitudes (..., x, y), zero frequency at [0, 0]."""
    centred = np.fft.fftshift(amplitude.astype(np.float64), axes=(-2, -1))
    return np.square(centred).swapaxes(-2, -1).astype(np.float32)


def _narrowing(settings: Settings, angle: float) -> float:
    """Return the factor of x for a sample turned by an angle in degrees; beyond 45 another stage scans x."""
    given = settings.get("angle")
    try:
        angle = angle if given is None else float(given)
    except ValueError:
        raise InputError("Not an angle", found=repr(given), remedy="Write it in degrees: angle=15") from None
    if abs(angle) <= 45:
        return float(np.cos(np.radians(angle)))
    return float(np.sin(np.radians(angle)))


def _pixel(settings: Settings, file: h5py.File, path: str) -> tuple[float, float]:
    pixel = length_of(settings, "pixel_size", quantity_at(file, path, "length", "um"), f"{file.filename}:{path}")
    return pixel, pixel


def _rows(file: h5py.File, path: str, least: int) -> NDArray[np.float64]:
    """Return the last two rows of an array, as columns x and y."""
    stored, where = array_at(file, path), f"{file.filename}:{path}"
    if stored is None or stored.ndim != 2 or not least <= len(stored) <= 8 or stored.dtype.kind not in "iuf":
        found = "nothing" if stored is None else f"{stored.dtype} of shape {stored.shape}"
        raise InputError("These are not positions", where=where, found=found, remedy="Expected two rows, x and y")
    first = 0 if len(stored) == 2 else 1
    return np.asarray(stored[first : first + 2].T, dtype=np.float64)


def _of_matlab(file: h5py.File, settings: Settings, place: Path) -> Scan | Result:
    frames = frames_at(file, "/det_data")
    bad = pixels_always_at(frames, bad_pixel_value(frames.dtype))
    distance = length_of(settings, "distance", quantity_at(file, "/det_dist", "length", "um"), f"{place}:/det_dist")
    detector = Detector(
        distance=distance,
        pixel_size=_pixel(settings, file, "/det_pixel_size"),
        mask=mask_of(settings, bad, frames.shape[1:], f"{place}:/det_data"),
    )
    stored = _rows(file, "/pos_xy", 2) * 1e-6 * axis_signs(settings)
    positions = columns_of(settings, stored, len(frames), f"{place}:/pos_xy")
    energy = energy_of(settings, quantity_at(file, "/energy", "energy", "keV"), f"{place}:/energy")
    probe, image = (array_at(file, path) for path in ("/prb", "/obj"))
    modes = None if probe is None or probe.ndim < 2 else probe.reshape(-1, *probe.shape[-2:])
    fits = modes is not None and modes.dtype.kind == "c" and modes.shape[1:] == frames.shape[1:]
    beam = modes.astype(np.complex64) if fits and modes is not None else None
    scan = scan_of(frames, positions, energy, detector, file=place, where="/pos_xy", probe=beam)
    if image is None:
        return scan
    none = np.zeros((0, *frames.shape[1:]), np.complex64)
    return result_of(scan, image, none if modes is None else modes, program="HXN")


DIALECT = Dialect(
    name="hxn",
    order=120,
    title="Hard X-ray Nanoprobe, NSLS-II: files of its program, and MATLAB files (7.3)",
    conventions=Conventions(
        energy="lambda_nm; MATLAB: energy, keV",
        positions="points (2, N), x y of the stage, -, x times cos angle, um; MATLAB: pos_xy (3, N), rows 1 2, +, um",
        mask="none",
        frames="diffamp (N, x, y), amplitude, zero frequency at [0, 0]; MATLAB: det_data (N, y, x), intensity, centred",
        probe="MATLAB: prb (y, x)",
        object="MATLAB: obj (y, x), centred on the positions",
    ),
    detect=detect,
    read=read,
    settings={"angle": "15"} | NEGATE,
    suffix=".h5",
)
