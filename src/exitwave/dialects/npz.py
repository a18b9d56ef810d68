"""``npz``: everything as arrays with plain names in a NumPy archive, for ``numpy.load``."""

from pathlib import Path
from typing import Any

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.found import Found, build
from exitwave.dialects.kept import Kept, keep, lost
from exitwave.dialects.put import NPZ, File, put
from exitwave.dialects.store import entries, is_zip, opened
from exitwave.errors import InputError
from exitwave.scan import Result, Scan, scan_in

MARKS = ("frames", "positions", "energy", "distance", "pixel_size")
"""Names that are always there."""


def detect(file: Path) -> Evidence | None:
    """Take an archive with all names that are always there."""
    there = entries(file, MARKS) if is_zip(file) else set()
    return Evidence(Strength.MARK, ", ".join(MARKS)) if len(there) == len(MARKS) else None


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write an archive, not compressed; what has no array of its own is in ``notes``, as JSON."""
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
    put([File(path, values | keep(data, "npz"), {"frames": scan.patterns})], scan, overwrite)
    return Written((path,), lost(data, "NumPy"))


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read an archive with the names that `write` gives; mask, dark, probe, object and its x and y may be missing."""
    if not is_zip(file):
        raise InputError("This is not a NumPy archive", where=file, remedy="Give a file that numpy.savez has written")
    with opened(file) as store:
        store.own = ""
        image, mask, size = store.array("object"), store.array("mask"), store.array("pixel_size")
        positions = next(
            (each for name in ("used_positions", "positions") if (each := store.array(name)) is not None), 0
        )
        found = Found(
            store.frames("frames"),
            np.asarray(positions),
            "positions",
            energy=store.number("energy"),
            distance=store.number("distance"),
            bad=None if mask is None else mask != 0,
            bad_at="mask",
            probe=store.array("probe"),
            object=image,
        )
        if size is not None and size.size == 2 and size.dtype.kind in "iuf":
            found.pixel_size = float(size.ravel()[0]), float(size.ravel()[1])
        return build(found, Kept(store), settings)


DIALECT = Dialect(
    name="npz",
    title="Named arrays in a NumPy archive, for people with scripts (docs/dialects.md)",
    conventions=Conventions(
        energy="energy, eV",
        positions="positions (N, 3), x y z of the probe, +, m",
        mask="mask uint8, 1 bad",
        frames="frames (N, y, x), intensity, centred",
        probe="probe (mode, y, x)",
        object="object (slice, y, x), row 0 at the smallest y; x, y",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=NPZ,
)
