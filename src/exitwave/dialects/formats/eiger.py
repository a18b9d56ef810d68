"""``eiger``: the master file of an Eiger detector, with the positions in a text file of any columns."""

from pathlib import Path

import numpy as np

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.assemble import columns_of, scan_of
from exitwave.dialects.tools.eiger_master import is_master, master_detector, master_energy, master_frames
from exitwave.dialects.tools.hdf5_values import reading
from exitwave.dialects.tools.position_settings import NEGATE, SURPLUS, axis_signs, match_numbers
from exitwave.dialects.tools.text_table import Table, table_for
from exitwave.errors import InputError
from exitwave.scan import Scan


def detect(file: Path) -> Evidence | None:
    """Take a file with links to frames data_000001, ... and a detector."""
    return Evidence(Strength.FITS, "frames data_000001, ... and a detector") if is_master(file) else None


def read(place: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(place) as file:
        linked = master_frames(file)
        energy, detector = master_energy(file, settings), master_detector(file, settings, linked.frames)
    table = table_for(settings, place)
    x, y = (table.column(name) for name in _columns(settings, table))
    stored = np.column_stack([x, y]) * axis_signs(settings)
    frames, stored, notes = match_numbers(settings, linked.frames, stored, table.file.name)
    positions = columns_of(settings, stored, len(frames), str(table.file))
    remarks = [*linked.findings, *notes]
    return scan_of(frames, positions, energy, detector, file=place, where=table.file.name, remarks=remarks)


def _columns(settings: Settings, table: Table) -> list[str]:
    chosen = [name.strip() for name in settings.get("columns", "0,1").split(",")]
    if len(chosen) != 2 or ("columns" not in settings and table.values.shape[1] > 3):
        found = ", ".join(table.names) or f"{table.values.shape[1]} columns"
        remedy = "Name those of x and y, or count them from 0: --set columns=1,2"
        raise InputError("Which columns are x and y is not known", where=table.file, found=found, remedy=remedy)
    return chosen


DIALECT = Dialect(
    name="eiger",
    order=90,
    title="Eiger (Dectris) master file with linked frames, and positions in a text file",
    conventions=Conventions(
        energy="detectorSpecific/photon_energy, eV, or beam/incident_wavelength",
        positions="text, one row for each frame; columns x y, sign and unit as you say, m",
        mask="detectorSpecific/pixel_mask, NeXus bits, and pixels of 2^bits - 1",
        frames="(N, y, x) in linked files, intensity, anywhere: beam_center_x, beam_center_y",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.csv", "columns": "1,2"} | NEGATE | SURPLUS,
    suffix=".h5",
)
