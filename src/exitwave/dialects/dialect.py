"""A dialect: a file format, and how Exitwave detects, reads, writes and checks it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from exitwave.errors import Finding
from exitwave.scan import Result, Scan

Settings = Mapping[str, str]
"""Values from the user: overrides as in `exitwave.cxi.read.OVERRIDES`, and settings of the dialect."""


class Strength(IntEnum):
    """How certain it is that a file has a file format."""

    FITS = 1
    """The file can be read in this format; others may fit as well."""
    MARK = 2
    """The file has a mark that only this format has."""


@dataclass(frozen=True)
class Evidence:
    """The reason why a file is taken to have a file format."""

    strength: Strength
    """How certain it is."""
    reason: str
    """What was found in the file, in a few words."""


@dataclass(frozen=True)
class Conventions:
    """Meaning of the entries of a format: one row of the table in docs/conventions.md. A dash: no such entry."""

    energy: str = "-"
    """Name and unit of the photon energy or of the wavelength."""
    positions: str = "-"
    """Shape, order of the columns, sign and unit."""
    mask: str = "-"
    """Type, and which value marks a bad pixel."""
    frames: str = "-"
    """Order of the axes, intensity or amplitude, and location of the zero frequency."""
    probe: str = "-"
    """Location and order of the axes."""
    object: str = "-"
    """Location and order of the axes."""


@dataclass(frozen=True)
class Written:
    """Result of writing."""

    files: tuple[Path, ...]
    """The files that were written."""
    findings: tuple[Finding, ...] = ()
    """What the format cannot hold, or what was changed."""


@dataclass(frozen=True)
class Dialect:
    """A file format, named after its program or standard.

    A function that the dialect does not support is None. A module in `exitwave.dialects.formats` registers its dialect
    by the name DIALECT, another package by the entry-point group ``exitwave.dialects``.
    """

    name: str
    """Name on the command line."""
    title: str
    """The program or standard of these files, in one line."""
    conventions: Conventions
    """Meaning of the entries."""
    detect: Callable[[Path], Evidence | None] | None = None
    """Return the evidence that an existing file has this format, from its content, or None; never raise."""
    read: Callable[[Path, Settings], Scan | Result] | None = None
    """Read a file, or several files that belong together by the name of one; raise InputError."""
    write: Callable[[Scan | Result, Path, bool], Written] | None = None
    """Write to a path, which may stand for several files, all or none; the flag allows existing files to be replaced.
    Raise OutputError, and InputError for data that the format cannot hold."""
    check: Callable[[Path], list[Finding]] | None = None
    """Return findings on any file: an error if the program cannot read it, a warning for what it reads wrongly."""
    settings: Settings = field(default_factory=dict)
    """Settings for ``--set`` that the format needs in addition to the overrides of a CXI file: key and example."""
    suffix: str = ".cxi"
    """Suffix of the file names."""
    order: int = 1000
    """Rank in listings and in detection, the smallest first; dialects of equal rank are ordered by name."""
