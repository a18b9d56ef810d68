"""Check whether a program can read a CXI file and what it reads wrongly: the tests that all profiles share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi import schema
from exitwave.cxi.energy import ELECTRONVOLTS, JOULES
from exitwave.cxi.frames import unreadable
from exitwave.cxi.hdf import reading, resolve, text, whole
from exitwave.dialects.tools.array_checks import describe
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.units import ELEMENTARY_CHARGE, factor

NOT_EQUAL = 1e-3
"""Relative difference from which two numbers differ."""


@dataclass(frozen=True)
class Profile:
    """An open file that is checked for a program, and the findings."""

    file: h5py.File
    name: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, where: str, found: object, expected: str) -> None:
        """Add a finding; the remedy for an error is always conversion."""
        remedy = f"Convert it: exitwave convert FILE OUT --to {self.name}" if code[0] == "E" else ""
        self.findings.append(finding(code, where, found, expected, remedy))

    def first(self, *paths: str) -> h5py.Dataset | None:
        """Return the first dataset among several paths, or None; a broken link counts as missing."""
        for path in paths:
            try:
                found = resolve(self.file, path)
            except InputError:
                continue
            if isinstance(found, h5py.Dataset) and found.shape is not None:
                return found
        return None

    def require(self, what: str, *paths: str) -> h5py.Dataset | None:
        """Return the first dataset among several paths; add E121 if there is none, because the program requires it."""
        found = self.first(*paths)
        if found is None:
            self.add("E121", paths[0], "nothing", what)
        return found

    def number(self, path: str) -> float | None:
        """Return the number at a path, or None."""
        found = self.first(path)
        if found is None or found.size != 1 or found.dtype.kind not in "iuf":
            return None
        return float(np.ravel(whole(found))[0])

    def require_metres(self, *paths: str) -> None:
        """Require a length in metres; the program does not read its unit."""
        dataset = self.require("a length in metres", *paths)
        if dataset is not None:
            self.check_metres(dataset)

    def check_metres(self, dataset: h5py.Dataset) -> None:
        """Add E122 for a unit other than metres, because the program does not read the unit."""
        unit = text(dataset.attrs.get("units")).strip()
        try:
            wrong = bool(unit) and factor(unit, "length") != 1
        except InputError:
            wrong = True
        if wrong:
            self.add("E122", dataset.name, f"@units = {unit}", "metres: the program does not read the unit")

    def require_joules(self, *paths: str) -> None:
        """Require an energy in joules; add E122 if it is in eV or keV, because the program does not read the unit."""
        dataset = self.require("the photon energy in joules", *paths)
        value = None if dataset is None else self.number(dataset.name)
        if dataset is None or value is None or 0 < value < JOULES:
            return
        unit = text(dataset.attrs.get("units")).strip() or ("eV" if value >= ELECTRONVOLTS else "keV")
        try:
            joules = f"{value * factor(unit, 'energy') * ELEMENTARY_CHARGE:.4g} J"
        except InputError:
            joules = "joules"
        self.add("E122", dataset.name, f"{value:g} {unit}, which the program reads as joules", joules)

    def require_frames(self, *paths: str) -> int:
        """Require a readable stack of frames; return their number, or 0."""
        dataset = self.require("frames of shape (npos, ny, nx)", *paths)
        if dataset is None:
            return 0
        problem = unreadable(dataset)
        if dataset.ndim != 3 or dataset.dtype.kind not in "iuf":
            self.add("E121", dataset.name, describe(dataset), "real, shape (npos, ny, nx)")
        elif problem:
            self.add("E121", dataset.name, problem[0], "frames that can be read")
        return len(dataset) if dataset.ndim else 0

    def require_positions(self, shape: tuple[str | int, ...], counts: Sequence[int], *paths: str) -> None:
        """Require positions in metres; their number (the axis of it in ``shape``) must be one of ``counts``."""
        words = f"shape ({', '.join(map(str, shape))}), in metres"
        dataset = self.require(f"positions of {words}", *paths)
        if dataset is None:
            return
        rows = isinstance(shape[0], int)
        if dataset.ndim != 2 or dataset.shape[0 if rows else 1] not in counts:
            self.add("E121", dataset.name, f"shape {dataset.shape}", words)
        self.check_metres(dataset)

    def note_ignored(self, what: str, *paths: str) -> None:
        """Add W252 if there is a dataset that the program ignores."""
        found = self.first(*paths)
        if found is not None:
            self.add("W252", found.name, what, "nothing: the program does not read it")

    def note_ignored_extras(self) -> None:
        """Add W252 for entries that only Exitwave has: frames that are left out, masks of single frames."""
        self.note_ignored("frames that are left out", schema.path("left_out"))
        self.note_ignored("masks of single frames", schema.path("frame_mask"))


def check_with(name: str, inspect: Callable[[Profile], None]) -> Callable[[Path], list[Finding]]:
    """Return a function ``check`` with the findings of ``inspect``, errors first.

    Raises
    ------
    InputError
        If the file cannot be opened, or is damaged.
    """

    def check(file: Path) -> list[Finding]:
        with reading(file) as opened:
            profile = Profile(opened, name)
            inspect(profile)
            return sorted(dict.fromkeys(profile.findings), key=lambda each: "EWI".index(each.code[0]))

    return check
