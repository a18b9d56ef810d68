"""Tables of positions in text files: columns separated by comma, semicolon, tab or space, with or without a header."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exitwave.dialects.dialect import Settings
from exitwave.errors import InputError, did_you_mean

LARGEST = 2**27
"""Largest size in bytes of a text file that is read."""
HEADER = 100
"""Largest number of lines before the first row of numbers."""
SUFFIXES = (".csv", ".txt", ".dat")
"""Suffixes of the names of such files."""


@dataclass(frozen=True)
class Table:
    """The numbers of a text file."""

    file: Path
    """The text file."""
    values: NDArray[np.float64]
    """Shape (rows, columns)."""
    names: tuple[str, ...]
    """Names of the columns; empty if the file has none."""

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column by its number, counted from 0, or by its name.

        Raises
        ------
        InputError
            If there is no such column.
        """
        number = int(name) if name.isdecimal() else self.names.index(name) if name in self.names else -1
        if 0 <= number < self.values.shape[1]:
            return np.asarray(self.values[:, number])
        numbers = (str(each) for each in range(self.values.shape[1]))
        remedy = did_you_mean(name, [*self.names, *numbers])
        raise InputError("There is no such column", where=self.file, found=name, remedy=remedy)


def read_table(file: Path) -> Table:
    """Read the numbers of a text file.

    Lines before the first row of numbers are a header; ``#`` begins a comment.

    Raises
    ------
    InputError
        If there is no such file, or it is not a table of numbers.
    """
    if not file.is_file():
        raise InputError("There is no such file with positions", found=file, remedy="Check the path")
    size = file.stat().st_size
    if size > LARGEST:
        raise InputError(
            "The file with positions is too large",
            where=file,
            found=f"{size} bytes",
            remedy="Give a text file with one row for each frame",
        )
    with file.open(encoding="utf-8", errors="replace") as lines:
        header, rows = _rows(file, [line for line in lines if line.strip()])
    if not rows or len({len(row) for row in rows}) != 1:
        widths = sorted({len(row) for row in rows})
        found = f"rows of {widths[0]} and of {widths[-1]} numbers" if rows else "no row of numbers"
        raise InputError(
            "This is not a table of numbers", where=file, found=found, remedy="Write one row for each frame"
        )
    values = np.array(rows)
    named = [cells for cells in header if len(cells) == values.shape[1]]
    return Table(file, values, tuple(named[-1]) if named else ())


def _rows(file: Path, lines: list[str]) -> tuple[list[list[str]], list[list[float]]]:
    """Return the cells of the header lines, and the numbers of the other lines."""
    start = next((n for n, line in enumerate(islice(lines, HEADER)) if _numbers(line) is not None), len(lines))
    rows = []
    for line in lines[start:]:
        numbers = None if line.lstrip().startswith("#") else _numbers(line)
        if numbers is not None:
            rows.append(numbers)
        elif not line.lstrip().startswith("#"):
            raise InputError(
                "A row has values that are not numbers",
                where=file,
                found=repr(line.strip()[:80]),
                remedy="Write only numbers after the header; # begins a comment",
            )
    return [_cells(line.lstrip("#% ")) for line in lines[:start]], rows


def _cells(line: str) -> list[str]:
    mark = next((each for each in (",", ";", "\t") if each in line), None)
    return [cell.strip() for cell in line.strip().split(mark)]


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(cell) for cell in _cells(line.partition("#")[0].rstrip().rstrip(",;"))] or None
    except ValueError:
        return None


def table_for(settings: Settings, frames: Path) -> Table:
    """Return the table of positions for a file of frames: the user's ``positions_file``, else the file with its name.

    For scan_master.h5 this is scan.csv, scan_positions.csv, or the same with .txt or .dat.

    Raises
    ------
    InputError
        If there is no such file, or more than one, or it cannot be read.
    """
    given = settings.get("positions_file")
    if given:
        in_folder = frames.parent / given
        return read_table(in_folder if in_folder.is_file() and not Path(given).is_file() else Path(given))
    stem = frames.stem.removesuffix("_master")
    likely = [frames.with_name(f"{stem}{end}{suffix}") for end in ("", "_positions") for suffix in SUFFIXES]
    there = [each for each in likely if each.is_file()]
    if len(there) != 1:
        what = "Several files with positions were found" if there else "No file with positions was found"
        found = ", ".join(each.name for each in there)
        remedy = "Give the file with --set positions_file=scan.csv"
        raise InputError(what, where=frames, found=found, remedy=remedy)
    return read_table(there[0])
