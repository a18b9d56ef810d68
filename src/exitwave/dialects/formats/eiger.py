"""``eiger``: the master file of an Eiger detector, with the positions in a text file."""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.beamline_scan import scan_of_table
from exitwave.dialects.tools.eiger_master import is_master, master_detector, master_energy, master_frames
from exitwave.dialects.tools.hdf5_values import reading
from exitwave.dialects.tools.position_settings import NEGATE, SURPLUS, axis_signs
from exitwave.dialects.tools.text_table import Table, table_for
from exitwave.errors import InputError
from exitwave.scan import Scan


def detect(file: Path) -> Evidence | None:
    """Accept a file with links to frames data_000001, ... and with the group of a detector."""
    return Evidence(Strength.FITS, "frames data_000001, ... and a detector") if is_master(file) else None


def read(file: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(file) as opened:
        linked = master_frames(opened)
        energy, detector = master_energy(opened, settings), master_detector(opened, settings, linked.frames)
    table = table_for(settings, file)
    x, y = (table.column(name) for name in _columns(settings, table))
    stored = np.column_stack([x, y]) * axis_signs(settings)
    return scan_of_table(linked.frames, table, stored, energy, detector, file, settings, linked.findings)


def _columns(settings: Settings, table: Table) -> list[str]:
    """Return the names or numbers of the columns x and y."""
    chosen = [name.strip() for name in settings.get("columns", "0,1").split(",")]
    if len(chosen) != 2 or ("columns" not in settings and table.values.shape[1] > 3):
        found = ", ".join(table.names) or f"{table.values.shape[1]} columns"
        remedy = "Set them by name or by number, counted from 0: --set columns=1,2"
        raise InputError("The columns of x and y are not known", where=table.file, found=found, remedy=remedy)
    return chosen


DIALECT = Dialect(
    name="eiger",
    order=90,
    title="Eiger (Dectris) master file with linked frames, and positions in a text file",
    conventions=Conventions(
        energy="detectorSpecific/photon_energy, eV, or beam/incident_wavelength",
        positions="text file with one row for each frame; columns, sign and unit (default m) set by the user",
        mask="detectorSpecific/pixel_mask, NeXus bits; also pixels with the count 2^bits - 1",
        frames="(N, y, x) in linked files, intensity, zero frequency at beam_center_x, beam_center_y",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.csv", "columns": "1,2"} | NEGATE | SURPLUS,
    suffix=".h5",
)
