"""``npz``: named arrays in a NumPy archive, for ``numpy.load``."""

from pathlib import Path
from typing import Any

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_file import existing_entries, is_zip, open_arrays
from exitwave.dialects.tools.contents import Contents, build
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses
from exitwave.dialects.tools.write_files import NPZ, OutputFile, write_files
from exitwave.errors import InputError
from exitwave.scan import Result, Scan, scan_in

REQUIRED = ("frames", "positions", "energy", "distance", "pixel_size")
"""Names of the arrays that every archive has."""


def detect(file: Path) -> Evidence | None:
    """Accept an archive with all required arrays."""
    existing = existing_entries(file, REQUIRED) if is_zip(file) else set()
    return Evidence(Strength.MARK, ", ".join(REQUIRED)) if len(existing) == len(REQUIRED) else None


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write an archive without compression; values that are not arrays are in ``notes``, as JSON."""
    scan = scan_in(data)
    path = target if target.suffix == NPZ else target.with_name(f"{target.name}{NPZ}")
    values: dict[str, Any] = {
        "energy": scan.energy,
        "wavelength": scan.wavelength,
        "distance": scan.detector.distance,
        "pixel_size": np.array(scan.detector.pixel_size),
        "object_pixel": np.array(data.object_pixel),
    }
    if isinstance(data, Result):
        values["object"] = data.object
    write_files([OutputFile(path, values | extra_entries(data, "npz"), {"frames": scan.patterns})], scan, overwrite)
    return Written((path,), losses(data, "NumPy"))


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read an archive with the names of `write`; mask, dark, probe, and object with its x and y may be missing."""
    if not is_zip(file):
        raise InputError("The file is not a NumPy archive", where=file, remedy="Give a file written by numpy.savez")
    with open_arrays(file) as array_file:
        array_file.prefix = ""
        image, mask, size = array_file.array("object"), array_file.array("mask"), array_file.array("pixel_size")
        positions = next(
            (each for name in ("used_positions", "positions") if (each := array_file.array(name)) is not None), 0
        )
        found = Contents(
            array_file.frames("frames"),
            np.asarray(positions),
            "positions",
            energy=array_file.number("energy"),
            distance=array_file.number("distance"),
            bad=None if mask is None else mask != 0,
            bad_at="mask",
            probe=array_file.array("probe"),
            object=image,
        )
        if size is not None and size.size == 2 and size.dtype.kind in "iuf":
            found.pixel_size = float(size.ravel()[0]), float(size.ravel()[1])
        return build(found, ExtraEntries(array_file), settings)


DIALECT = Dialect(
    name="npz",
    order=140,
    title="Named arrays in a NumPy archive, for the user's own scripts (docs/dialects.md)",
    conventions=Conventions(
        energy="energy, eV",
        positions="positions (N, 3), x y z of the probe, +, m",
        mask="mask uint8, 1 = bad",
        frames="frames (N, y, x), intensity, centred",
        probe="probe (mode, y, x)",
        object="object (slice, y, x), row 0 at the smallest y; coordinates x, y",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=NPZ,
)
