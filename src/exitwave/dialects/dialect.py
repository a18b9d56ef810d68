"""What a dialect is: a format of files, and what Exitwave can do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from exitwave.errors import Finding
from exitwave.scan import Result, Scan

Settings = Mapping[str, str]
"""What the user says beside the file: the overrides of `exitwave.cxi.read.OVERRIDES` and those of the dialect."""


class Strength(IntEnum):
    """How sure it is that a file is of a dialect."""

    FITS = 1
    """It can be read as such, but so may others."""
    MARK = 2
    """It has a mark that no other program leaves."""


@dataclass(frozen=True)
class Evidence:
    """Why a file is taken for one of a dialect."""

    strength: Strength
    """How sure it is."""
    reason: str
    """What was seen in the file, in a few words."""


@dataclass(frozen=True)
class Conventions:
    """How a format means what it holds; one row of the table in docs/conventions.md. A dash where it holds no such."""

    energy: str = "-"
    """Name and unit of the photon energy, or of the wavelength in its place."""
    positions: str = "-"
    """Shape, order of the columns, sign and unit."""
    mask: str = "-"
    """Type and polarity."""
    frames: str = "-"
    """Order of the axes, intensity or amplitude, and where the zero frequency lies."""
    probe: str = "-"
    """Where it lies, order of the axes."""
    object: str = "-"
    """Where it lies, order of the axes."""


@dataclass(frozen=True)
class Written:
    """What came of writing."""

    files: tuple[Path, ...]
    """The files that were written."""
    findings: tuple[Finding, ...] = ()
    """What was lost or changed on the way."""


@dataclass(frozen=True)
class Dialect:
    """A format of files, by the name of the program or the standard that has it.

    What a dialect cannot do is None. A module of another package adds its own through the entry-point group
    ``exitwave.dialects``.
    """

    name: str
    """Name on the command line."""
    title: str
    """Whose files these are, in one line."""
    conventions: Conventions
    """How it means what it holds."""
    detect: Callable[[Path], Evidence | None] | None = None
    """Says whether a file that exists is of this dialect, from its content; never raises for a file that is not."""
    read: Callable[[Path, Settings], Scan | Result] | None = None
    """Reads a file, or several that belong together by the name of one; raises InputError."""
    write: Callable[[Scan | Result, Path, bool], Written] | None = None
    """Writes to a path, which may stand for several files, whole or not at all; the flag says whether existing files
    may be replaced. Raises OutputError, and InputError for what the format cannot hold."""
    check: Callable[[Path], list[Finding]] | None = None
    """Says of any file whether the program could read it (no error among the findings) and what it would get wrong."""
    settings: Settings = field(default_factory=dict)
    """What ``--set`` gives beside the overrides of a CXI file because the format lacks it: key and example."""
    suffix: str = ".cxi"
    """End of the names of its files."""
    order: int = 1000
    """Rank in listings and in detection, the smallest first; dialects of equal rank are ordered by name."""
