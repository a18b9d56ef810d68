"""``velociprobe``: the Velociprobe of the Advanced Photon Source: an Eiger master file and a text file of positions.

The eight columns of the text file are samz, samx, samy (laser), zpx, zpy, y and x (encoders), and the trigger number.
Lengths are in nm.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_file import existing_entries
from exitwave.dialects.tools.beamline_scan import check_width, scan_of_table
from exitwave.dialects.tools.eiger_master import is_master, master_detector, master_energy, master_frames
from exitwave.dialects.tools.hdf5_values import array_at, reading
from exitwave.dialects.tools.position_settings import SURPLUS
from exitwave.dialects.tools.text_table import Table, table_for
from exitwave.errors import InputError
from exitwave.scan import Scan

NM = 1e-9
"""Unit of the columns."""
X, TRIGGER, COLUMNS = 1, 7, 8
"""Columns of x and of the trigger number, and the number of columns."""
VERTICAL = {"encoder": (5, -1.0), "laser": (2, 1.0)}
"""Columns of the two sensors that measure y, and their signs."""
CHI = "/entry/sample/goniometer/chi"
"""Rotation of the sample about the vertical axis in degrees; x is multiplied by its cosine."""


def detect(file: Path) -> Evidence | None:
    """Accept the master file of an Eiger detector with an angle chi."""
    fits = existing_entries(file, (CHI[1:],)) and is_master(file)
    return Evidence(Strength.FITS, "an Eiger master file with the angle chi of a goniometer") if fits else None


def read(file: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(file) as opened:
        linked = master_frames(opened)
        energy, detector = master_energy(opened, settings), master_detector(opened, settings, linked.frames)
        stored = array_at(opened, CHI)
    table = table_for(settings, file)
    chi = 0.0 if stored is None else float(stored.ravel()[0].real)
    positions = _trigger_positions(table, settings) * [np.cos(np.radians(chi)), 1]
    return scan_of_table(linked.frames, table, positions, energy, detector, file, settings, linked.findings)


def _trigger_positions(table: Table, settings: Settings) -> NDArray[np.float64]:
    """Return the position (x, y) of each trigger: the mean of its first and its last row.

    Positions have shape (triggers, 2) and are relative to their mean, in metres. They are NaN for a lost trigger.
    """
    choice = settings.get("vertical", "encoder")
    if choice not in VERTICAL:
        raise InputError("Unknown sensor for y", found=repr(choice), remedy=f"Use one of {', '.join(VERTICAL)}")
    check_width(table, COLUMNS, "a Velociprobe scan")
    column, sign = VERTICAL[choice]
    rows = table.values[:, [X, column]] * [NM, sign * NM]
    triggers = table.values[:, TRIGGER]
    if not np.isfinite(triggers).all() or (np.diff(triggers) < 0).any():
        raise InputError("The trigger numbers decrease", where=table.file, remedy="Expected rows in the order of time")
    first = np.flatnonzero(np.diff(triggers, prepend=triggers[0] - 1))
    last = np.append(first[1:], len(triggers)) - 1
    means = (rows[first] + rows[last]) / 2
    numbers = (triggers[first] - triggers[0]).astype(np.int64)
    if numbers[-1] >= 2 * len(numbers):
        raise InputError(
            "Most triggers are missing",
            where=table.file,
            found=f"{len(numbers)} of {numbers[-1] + 1} triggers",
            remedy="Check that the text file belongs to these frames",
        )
    positions = np.full((numbers[-1] + 1, 2), np.nan)
    positions[numbers] = means - means.mean(axis=0)
    return positions


DIALECT = Dialect(
    name="velociprobe",
    order=100,
    title="Velociprobe, APS: Eiger master file, and stage positions in a text file of eight columns",
    conventions=Conventions(
        energy="detectorSpecific/photon_energy, eV",
        positions="text file, several rows for each trigger: columns 1 (x, times cos chi), 5 (y, -) or 2 (y, +), nm",
        mask="detectorSpecific/pixel_mask, NeXus bits; also pixels with the count 2^bits - 1",
        frames="(N, y, x) in linked files, intensity, zero frequency at beam_center_x, beam_center_y",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.csv", "vertical": "encoder or laser"} | SURPLUS,
    suffix=".h5",
)
