"""``ptylab``: PtyLab's flat HDF5 file, with probe and object of a result as PtyLab saves them.

The positions are written from the middle of the object, whose pixel N//2 is PtyLab's position 0.
"""

from pathlib import Path
from typing import Any

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
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

NEEDED = ("ptychogram", "encoder", "wavelength", "dxd", "zo")
COLUMNS, ROWS, TRANSPOSED = 1, 2, 4
"""Bits of ``orientation``: what is done to the frames, the last first."""


def detect(file: Path) -> Evidence | None:
    """Take a file with a ptychogram and its encoder."""
    has = existing_entries(file, NEEDED)
    return Evidence(Strength.MARK, "ptychogram and encoder") if {"ptychogram", "encoder"} <= has else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read the frames with their positions, and probe and object where the file has them too."""
    with open_arrays(file) as array_file:
        extra, frames = ExtraEntries(array_file), _turned(array_file, array_file.frames("ptychogram"))
        found = _found(array_file, extra, frames)
        image = array_file.array("object")
        if image is not None and image.ndim >= 2 and extra.notes.get("result", True):
            found.object = image.reshape(-1, *image.shape[-2:]) if image.ndim < 4 else image[(0,) * (image.ndim - 3)]
            found.object = found.object[0] if len(found.object) == 1 else found.object
            errors = array_file.array("error")
            found.errors = None if errors is None or errors.dtype.kind != "f" else errors.ravel()
        return build(found, extra, settings)


def _found(array_file: ArrayFile, extra: ExtraEntries, frames: Frames) -> Contents:
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
    """Return the modes (modes, ny, nx) of a probe (wavelengths, 1, modes, slices, ny, nx)."""
    return probe[0, 0, :, 0] if probe.ndim == 6 and probe.size else probe


def _turned(array_file: ArrayFile, frames: Frames) -> Frames:
    """Return the frames as PtyLab turns them after loading."""
    code = array_file.number("orientation")
    if not code:
        return frames
    if code not in range(8):
        remedy = "Write a number from 0 to 7, or leave it out"
        raise InputError(
            "There is no such orientation", where=array_file.where("orientation"), found=code, remedy=remedy
        )
    bits = int(code)
    return ViewedFrames(frames, View(bool(bits & TRANSPOSED), bool(bits & ROWS), bool(bits & COLUMNS)))


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write the frames with their positions, and probe and object of a result."""
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
    return Written((target,), (*losses(data, "PtyLab", "PtyLab has no mask: fill them in before"), *_square(scan)))


def _square(scan: Scan) -> list[Finding]:
    (ny, nx), (py, px) = scan.patterns.shape[1:], scan.detector.pixel_size
    return unmet_requirements(
        (ny != nx, f"frames of {ny} x {nx} pixels", "square ones", "Crop the frames: exitwave prepare"),
        (abs(py / px - 1) > 1e-6, f"detector pixels of {py:g} m x {px:g} m", "square ones", "dxd is their width"),
    )


DIALECT = Dialect(
    name="ptylab",
    order=180,
    title="PtyLab's flat HDF5 file",
    conventions=Conventions(
        energy="wavelength, m",
        positions="encoder (N, 2), y x of the probe, +, m, from the object's middle",
        mask="-",
        frames="ptychogram (N, y, x), intensity, centred; turned by orientation",
        probe="probe (wavelength, 1, mode, slice, y, x)",
        object="object (wavelength, mode, 1, slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=".hdf5",
)
