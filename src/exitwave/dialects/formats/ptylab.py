"""``ptylab``: PtyLab's flat HDF5 file, with probe and object of a result as PtyLab saves them.

Positions are written relative to the middle of the object: its pixel N//2 is PtyLab's position 0.
"""

from pathlib import Path
from typing import Any

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_checks import without_single_slice
from exitwave.dialects.tools.array_file import ArrayFile, Hdf5Arrays, existing_entries, open_arrays
from exitwave.dialects.tools.assemble import energy_of_wavelength
from exitwave.dialects.tools.contents import Contents, build, two_columns
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses, probe_of, unmet_requirements
from exitwave.dialects.tools.product import object_of
from exitwave.dialects.tools.write_files import OutputFile, with_prefix, write_files
from exitwave.errors import Finding, InputError
from exitwave.frames import Frames, View, ViewedFrames
from exitwave.scan import Result, Scan, scan_in
from exitwave.units import H_C

COLUMNS, ROWS, TRANSPOSED = 1, 2, 4
"""Bits of ``orientation``: flip along columns, flip along rows, transposition. The transposition is applied first."""


def detect(file: Path) -> Evidence | None:
    """Accept a file with a ptychogram and an encoder."""
    has = existing_entries(file, ("ptychogram", "encoder"))
    return Evidence(Strength.MARK, "ptychogram and encoder") if {"ptychogram", "encoder"} <= has else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read the patterns with their positions, and probe and object if the file has them."""
    with open_arrays(file) as array_file:
        extra, frames = ExtraEntries(array_file), _oriented(array_file, array_file.frames("ptychogram"))
        found = _contents(array_file, extra, frames)
        image = array_file.array("object")
        if image is not None and image.ndim >= 2 and extra.notes.get("result", True):
            slices = image.reshape(-1, *image.shape[-2:]) if image.ndim < 4 else image[(0,) * (image.ndim - 3)]
            found.object = without_single_slice(slices)
            errors = array_file.array("error")
            found.errors = None if errors is None or errors.dtype.kind != "f" else errors.ravel()
        return build(found, extra, settings)


def _contents(array_file: ArrayFile, extra: ExtraEntries, frames: Frames) -> Contents:
    """Return the contents of a file without its object."""
    columns = array_file.array("encoder_corrected")
    name = "encoder" if columns is None else "encoder_corrected"
    columns = array_file.array("encoder") if columns is None else columns
    if columns is not None and columns.ndim == 2 and columns.shape[0] < columns.shape[1] == len(frames):
        columns = columns.T
    origin = np.array(extra.numbers("origin", 2) or (0.0, 0.0))
    pixel, probe = array_file.number("dxd"), array_file.array("probe")
    return Contents(
        frames,
        two_columns(array_file, name, columns)[:, ::-1] + origin,
        name,
        energy=energy_of_wavelength(array_file.number("wavelength")),
        distance=array_file.number("zo"),
        pixel_size=None if pixel is None or extra.numbers("pixel_size", 2) else (pixel, pixel),
        probe=None if probe is None else _modes(probe),
        centre=(float(origin[0]), float(origin[1])),
        program="PtyLab",
    )


def _modes(probe: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the probe modes, shape (modes, ny, nx), of a probe (wavelengths, 1, modes, slices, ny, nx)."""
    return probe[0, 0, :, 0] if probe.ndim == 6 and probe.size else probe


def _oriented(array_file: ArrayFile, frames: Frames) -> Frames:
    """Return the frames in the orientation that PtyLab gives them after loading."""
    code = array_file.number("orientation")
    if not code:
        return frames
    if code not in range(8):
        remedy = "Write a number from 0 to 7, or remove the entry"
        raise InputError("Unknown orientation", where=array_file.where("orientation"), found=code, remedy=remedy)
    bits = int(code)
    return ViewedFrames(frames, View(bool(bits & TRANSPOSED), bool(bits & ROWS), bool(bits & COLUMNS)))


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write the patterns with their positions, and probe and object of a result."""
    scan = scan_in(data)
    image, x, y = object_of(data)
    origin = float(x[x.size // 2]), float(y[y.size // 2])
    probe = probe_of(data)
    values: dict[str, Any] = {
        "encoder": data.positions[:, 1::-1] - np.array(origin[::-1]),
        "wavelength": H_C / scan.energy,
        "dxd": scan.detector.pixel_size[1],
        "zo": scan.detector.distance,
    }
    if probe is not None:
        values["probe"] = probe[None, None, :, None]
    if isinstance(data, Result):
        values |= {"object": image.reshape(1, 1, 1, -1, *image.shape[-2:]), "error": data.errors}
        values["encoder_corrected"] = values["encoder"]
        values["encoder"] = scan.positions[:, 1::-1] - np.array(origin[::-1])
    extra = extra_entries(data, "ptylab", ("probe", "errors"), origin=origin)
    write_files(
        [OutputFile(target, values | with_prefix(Hdf5Arrays.prefix, extra), {"ptychogram": scan.patterns})],
        scan,
        overwrite,
    )
    mask_remedy = "PtyLab has no mask; interpolate these pixels before"
    return Written((target,), (*losses(data, "PtyLab", mask_remedy), *_unmet(scan)))


def _unmet(scan: Scan) -> list[Finding]:
    """Return the requirements of PtyLab that the scan does not meet (W253)."""
    (ny, nx), (py, px) = scan.patterns.shape[1:], scan.detector.pixel_size
    frames, pixels = f"frames of {ny} x {nx} pixels", f"detector pixels of {py:g} m x {px:g} m"
    return unmet_requirements(
        (ny != nx, frames, "square frames", "Crop the frames with exitwave prepare"),
        (abs(py / px - 1) > 1e-6, pixels, "square pixels", "PtyLab reads only the width (dxd)"),
    )


DIALECT = Dialect(
    name="ptylab",
    order=180,
    title="PtyLab's flat HDF5 file",
    conventions=Conventions(
        energy="wavelength, m",
        positions="encoder (N, 2), y x of the probe relative to the middle of the object, +, m",
        mask="-",
        frames="ptychogram (N, y, x), intensity, centred; flipped and transposed by orientation",
        probe="probe (wavelength, 1, mode, slice, y, x)",
        object="object (wavelength, mode, 1, slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=".hdf5",
)
