"""Could a program read a CXI file, and what would it get wrong? The questions that all profiles of CXI ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi.energy import ELECTRONVOLTS, JOULES
from exitwave.cxi.frames import unreadable
from exitwave.cxi.hdf import reading, resolve, text, whole
from exitwave.cxi.schema import path
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.units import ELEMENTARY_CHARGE, factor

NOT_EQUAL = 1e-3
"""Relative difference from which on a number is another one."""


@dataclass(frozen=True)
class Profile:
    """A file that is looked at as a program would, and what was found."""

    file: h5py.File
    name: str
    findings: list[Finding] = field(default_factory=list)

    def say(self, code: str, place: str, found: object, expected: str) -> None:
        """Note a finding; what to do about an error is always the same."""
        remedy = f"exitwave convert FILE OUT --to {self.name} writes a file that it reads" if code[0] == "E" else ""
        self.findings.append(finding(code, place, found, expected, remedy))

    def at(self, *places: str) -> h5py.Dataset | None:
        """Return the first dataset of several places, or None; a link that leads nowhere is nothing."""
        for place in places:
            try:
                found = resolve(self.file, place)
            except InputError:
                continue
            if isinstance(found, h5py.Dataset) and found.shape is not None:
                return found
        return None

    def needs(self, what: str, *places: str) -> h5py.Dataset | None:
        """Return the first dataset of several places; without it the program cannot read the file (E121)."""
        found = self.at(*places)
        if found is None:
            self.say("E121", places[0], "nothing", what)
        return found

    def number(self, place: str) -> float | None:
        """Return the one number at a place, or None."""
        found = self.at(place)
        if found is None or found.size != 1 or found.dtype.kind not in "iuf":
            return None
        return float(np.ravel(whole(found))[0])

    def needs_metres(self, *places: str) -> None:
        """Ask for a length that is in metres, whatever its unit says."""
        dataset = self.needs("a length in metres", *places)
        if dataset is not None:
            self.metres(dataset)

    def metres(self, dataset: h5py.Dataset) -> None:
        """Remark (E122) on a unit other than metres, which the program does not look at."""
        unit = text(dataset.attrs.get("units")).strip()
        try:
            wrong = bool(unit) and factor(unit, "length") != 1
        except InputError:
            wrong = True
        if wrong:
            self.say("E122", dataset.name, f"@units = {unit}", "metres, for it does not look at the unit")

    def needs_joules(self, *places: str) -> None:
        """Ask for an energy in joules, whatever its unit says (E122 where it is in eV or keV)."""
        dataset = self.needs("the photon energy in joules", *places)
        value = None if dataset is None else self.number(dataset.name)
        if dataset is None or value is None or 0 < value < JOULES:
            return
        unit = text(dataset.attrs.get("units")).strip() or ("eV" if value >= ELECTRONVOLTS else "keV")
        try:
            joules = f"{value * factor(unit, 'energy') * ELEMENTARY_CHARGE:.4g} J"
        except InputError:
            joules = "joules"
        self.say("E122", dataset.name, f"{value:g} {unit}, which it takes for joules", joules)

    def needs_frames(self, *places: str) -> int:
        """Ask for a stack of frames that can be read; return their number, or 0."""
        dataset = self.needs("frames of shape (npos, ny, nx)", *places)
        if dataset is None:
            return 0
        problem = unreadable(dataset)
        if dataset.ndim != 3 or dataset.dtype.kind not in "iuf":
            self.say("E121", dataset.name, f"{dataset.dtype} of shape {dataset.shape}", "real, shape (npos, ny, nx)")
        elif problem:
            self.say("E121", dataset.name, problem[0], "frames that can be read")
        return len(dataset) if dataset.ndim else 0

    def needs_positions(self, shape: tuple[str | int, ...], wanted: Sequence[int], *places: str) -> None:
        """Ask for positions in metres whose first or second length is one of ``wanted``; ``shape`` says it in words."""
        words = f"shape ({', '.join(map(str, shape))}), in metres"
        dataset = self.needs(f"positions of {words}", *places)
        if dataset is None:
            return
        rows = isinstance(shape[0], int)
        if dataset.ndim != 2 or dataset.shape[0 if rows else 1] not in wanted:
            self.say("E121", dataset.name, f"shape {dataset.shape}", words)
        self.metres(dataset)

    def ignores(self, what: str, *places: str) -> None:
        """Remark (W252) that the program ignores what is at a place."""
        found = self.at(*places)
        if found is not None:
            self.say("W252", found.name, what, "nothing, for it does not look there")

    def ignores_ours(self) -> None:
        """Remark on what only Exitwave has: frames that are not to be used, masks of single frames."""
        self.ignores("frames that are not to be used", path("left_out"))
        self.ignores("masks of single frames", path("frame_mask"))


def check_with(name: str, ask: Callable[[Profile], None]) -> Callable[[Path], list[Finding]]:
    """Return a ``check`` that asks the questions of a program, the errors first.

    Raises
    ------
    InputError
        If the file cannot be opened at all, or is damaged.
    """

    def check(file: Path) -> list[Finding]:
        with reading(file) as opened:
            profile = Profile(opened, name)
            ask(profile)
            return sorted(dict.fromkeys(profile.findings), key=lambda each: "EWI".index(each.code[0]))

    return check
