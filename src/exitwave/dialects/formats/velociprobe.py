"""``velociprobe``: the Velociprobe of the Advanced Photon Source; an Eiger master, and a text of eight columns.

The columns are samz, samx, samy (laser), zpx, zpy, y and x (encoders), and the number of the trigger, lengths in nm.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength
from exitwave.dialects.tools.array_file import existing_entries
from exitwave.dialects.tools.assemble import columns_of, scan_of
from exitwave.dialects.tools.eiger_master import is_master, master_detector, master_energy, master_frames
from exitwave.dialects.tools.hdf5_values import array_at, reading
from exitwave.dialects.tools.position_settings import SURPLUS, match_numbers
from exitwave.dialects.tools.text_table import Table, table_for
from exitwave.errors import InputError
from exitwave.scan import Scan

NM = 1e-9
"""Unit of the columns."""
X, TRIGGER, COLUMNS = 1, 7, 8
"""Columns of x and of the trigger, and how many there are."""
VERTICAL = {"encoder": (5, -1.0), "laser": (2, 1.0)}
"""Columns that tell y, and their signs."""
CHI = "/entry/sample/goniometer/chi"
"""Turn of the sample about the vertical in degrees, which makes its scan look narrower."""


def detect(file: Path) -> Evidence | None:
    """Take a master of an Eiger detector with an angle chi."""
    turned = existing_entries(file, (CHI[1:],)) and is_master(file)
    return Evidence(Strength.FITS, "an Eiger master with a goniometer's chi") if turned else None


def read(place: Path, settings: Settings) -> Scan:
    """Read a scan; see `exitwave.dialects.dialect.Dialect`."""
    with reading(place) as file:
        linked = master_frames(file)
        energy, detector = master_energy(file, settings), master_detector(file, settings, linked.frames)
        chi = array_at(file, CHI)
    table = table_for(settings, place)
    places = _places(table, settings) * [np.cos(np.radians(0.0 if chi is None else float(chi.ravel()[0].real))), 1]
    frames, places, notes = match_numbers(settings, linked.frames, places, table.file.name)
    positions = columns_of(settings, places, len(frames), str(table.file))
    remarks = [*linked.findings, *notes]
    return scan_of(frames, positions, energy, detector, file=place, where=table.file.name, remarks=remarks)


def _places(table: Table, settings: Settings) -> NDArray[np.float64]:
    """Return x and y of every trigger, shape (triggers, 2), about their middle, in metres; NaN where one was lost."""
    choice = settings.get("vertical", "encoder")
    if choice not in VERTICAL:
        raise InputError("Unknown sensor of y", found=repr(choice), remedy=f"Use one of {', '.join(VERTICAL)}")
    if table.values.shape[1] < COLUMNS:
        found = f"{table.values.shape[1]} columns"
        raise InputError(
            "This is not a Velociprobe's text of positions",
            where=table.file,
            found=found,
            remedy="Name the right one with --set positions_file=FILE",
        )
    column, sign = VERTICAL[choice]
    places = table.values[:, [X, column]] * [NM, sign * NM]
    triggers = table.values[:, TRIGGER]
    if not np.isfinite(triggers).all() or (np.diff(triggers) < 0).any():
        raise InputError("The triggers do not increase", where=table.file, remedy="One row after the other, in time")
    first = np.flatnonzero(np.diff(triggers, prepend=triggers[0] - 1))
    last = np.append(first[1:], len(triggers)) - 1
    means = (places[first] + places[last]) / 2
    numbers = (triggers[first] - triggers[0]).astype(np.int64)
    if numbers[-1] >= 2 * len(numbers):
        found = f"{len(numbers)} of {numbers[-1] + 1}"
        raise InputError(
            "Most triggers are missing",
            where=table.file,
            found=found,
            remedy="Check that the text belongs to these frames",
        )
    whole = np.full((numbers[-1] + 1, 2), np.nan)
    whole[numbers] = means - means.mean(axis=0)
    return whole


DIALECT = Dialect(
    name="velociprobe",
    order=100,
    title="Velociprobe, APS: Eiger master file, and the positions of its stages in a text of eight columns",
    conventions=Conventions(
        energy="detectorSpecific/photon_energy, eV",
        positions="text, several rows for a trigger: column 1 (x, times cos chi), 5 (y, -) or 2 (y, +), nm",
        mask="detectorSpecific/pixel_mask, NeXus bits, and pixels of 2^bits - 1",
        frames="(N, y, x) in linked files, intensity, anywhere: beam_center_x, beam_center_y",
    ),
    detect=detect,
    read=read,
    settings={"positions_file": "scan.csv", "vertical": "encoder or laser"} | SURPLUS,
    suffix=".h5",
)
