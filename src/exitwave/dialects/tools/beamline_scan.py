"""Steps that the readers of beamline files share: detector geometry, saturation, and positions from a text file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.dialects.tools.assemble import columns_of, scan_of
from exitwave.dialects.tools.position_settings import match_numbers
from exitwave.dialects.tools.text_table import Table
from exitwave.errors import Finding, InputError
from exitwave.frames import Frames
from exitwave.scan import Detector, Scan


def corner_of(
    x: float | None, y: float | None, pixel_size: tuple[float, float], distance: float
) -> NDArray[np.float64] | None:
    """Return the corner position of a detector in metres, shape (3,), or None if the beam centre is unknown.

    Parameters
    ----------
    x, y : float, optional
        Beam centre in pixels, from the first pixel.
    pixel_size : tuple of float
        Detector pixel (y, x) in metres.
    distance : float
        Detector distance in metres.
    """
    if x is None or y is None:
        return None
    return np.array([x * pixel_size[1], y * pixel_size[0], distance])


def saturation_of(*limits: float | None) -> float | None:
    """Return the smallest positive limit of the counts, or None if there is none."""
    return min((float(limit) for limit in limits if limit is not None and limit > 0), default=None)


def check_width(table: Table, least: int, what: str) -> None:
    """Refuse a table with too few columns.

    Raises
    ------
    InputError
        If the table has fewer than ``least`` columns.
    """
    if table.values.shape[1] < least:
        raise InputError(
            f"The text file has too few columns for {what}",
            where=table.file,
            found=f"{table.values.shape[1]} columns",
            remedy=f"Expected at least {least}. Give the right file with --set positions_file=FILE",
        )


def scan_of_table(
    frames: Frames,
    table: Table,
    stored: NDArray[np.float64],
    energy: float,
    detector: Detector,
    file: Path,
    settings: Settings,
    remarks: Iterable[Finding] = (),
) -> Scan:
    """Return a scan whose positions are columns of a text file.

    Parameters
    ----------
    frames, energy, detector
        Patterns, photon energy in eV and detector of the scan.
    table : Table
        The text file, for messages.
    stored : ndarray of shape (N, 2)
        x and y, in metres or in the unit that the user sets.
    file : Path
        The file of the patterns.
    settings : mapping of str to str
        The user's settings; ``surplus`` and ``positions`` are used.
    remarks : iterable of Finding
        Findings on the patterns.

    Raises
    ------
    InputError
        If frames and positions differ in number, or a position is impossible.
    """
    frames, stored, notes = match_numbers(settings, frames, stored, table.file.name)
    positions = columns_of(settings, stored, len(frames), str(table.file))
    return scan_of(frames, positions, energy, detector, file=file, where=table.file.name, remarks=[*remarks, *notes])
