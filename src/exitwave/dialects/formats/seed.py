"""``seed``: CXI files that follow the schema of Exitwave, and other CXI files that fit it."""

from pathlib import Path

from exitwave.cxi.hdf import open_file, resolve, text
from exitwave.cxi.read import read
from exitwave.cxi.schema import PROCESS, path
from exitwave.cxi.validate import validate
from exitwave.cxi.write import write_result, write_scan
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.cxi_family import in_joules, written_for
from exitwave.frames import MissingFrames
from exitwave.scan import Result, Scan


def detect(file: Path) -> Evidence | None:
    """Accept a file with a CXI entry; an energy in eV marks a file that follows the schema of Exitwave.

    Files whose energy is in joules are left to the other CXI formats.
    """
    try:
        with open_file(file) as opened:
            if path("entry") not in opened or written_for(opened):
                return None
            energy = resolve(opened, path("energy"))
            units = text(getattr(energy, "attrs", {}).get("units"))
            by_exitwave = f"{PROCESS}/program" in opened or "/truth" in opened
            joules = in_joules(opened)
    except Exception:  # HDF5 raises many types for a damaged file; reading it reports the damage
        return None
    if by_exitwave or (units == "eV" and not joules):
        return Evidence(Strength.MARK, "source_1/energy in eV")
    return None if joules else Evidence(Strength.FITS, "a CXI entry")


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write a scan, or a result with a copy of its patterns if they are available, with `exitwave.cxi.write`."""
    if isinstance(data, Result):
        embed = not isinstance(data.scan.patterns, MissingFrames)
        return Written((target,), write_result(data, target, overwrite=overwrite, embed=embed))
    return Written((target,), write_scan(data, target, overwrite=overwrite))


def _read(file: Path, settings: Settings) -> Scan | Result:
    return read(file, settings)


DIALECT = Dialect(
    name="seed",
    order=10,
    title="CXI with the schema of Exitwave (docs/schema.md), and other CXI files that fit it",
    conventions=Conventions(
        energy="source_1/energy, eV",
        positions="(N, 3), x y z of the probe, +, m",
        mask="uint8, 1 = bad",
        frames="(N, y, x), intensity, centred",
        probe="source_1/illumination (mode, y, x)",
        object="image_1/data (slice, y, x), row 0 at the smallest y",
    ),
    detect=detect,
    read=_read,
    write=write,
    check=validate,
)
