"""The frames in the data files to which the master file of an Eiger detector links, in the order of the files."""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py

from exitwave.cxi.hdf import members
from exitwave.dialects.tools.array_checks import check_one_shape
from exitwave.dialects.tools.hdf5_values import dataset_at, frames_at, reading
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frames.linked import LinkedFrames

NAME = re.compile(r"data_?(\d+)")
"""Names of the links: data_000001, data_000002, and so on."""


@dataclass(frozen=True)
class LinkedFiles:
    """The frames of the data files."""

    frames: LinkedFrames
    """The frames of all data files that exist."""
    findings: tuple[Finding, ...]
    """A finding on the data files that are missing (W212), if there are any."""


def linked_frames(group: h5py.Group) -> LinkedFiles:
    """Return the frames that the members data_000001, data_000002, ... of a group hold or link to.

    A master file may link to more data files than were written. Missing data files at the end give a finding (W212).

    Raises
    ------
    InputError
        If there are no frames, if a data file before the last is missing (later frames would get wrong positions), if
        frames differ in shape, or if a link leads out of the folder.
    """
    where = f"{group.file.filename}:{group.name}"
    names = sorted(filter(NAME.fullmatch, members(group)), key=_number_of)
    if not names:
        raise InputError("The file lacks the frames", where=where, remedy="Expected data_000001, data_000002, ...")
    stacks = {name: stack for name in names if (stack := _linked_stack(group, name)) is not None}
    missing, numbers = [name for name in names if name not in stacks], [_number_of(name) for name in stacks]
    if numbers != list(range(_number_of(names[0]), _number_of(names[0]) + len(numbers))) or not numbers:
        what = "A data file in the middle of the scan is missing" if numbers else "All data files are missing"
        found = f"no {missing[0]}" if missing else f"only {', '.join(names)[:80]}"
        remedy = "Put the data files into the folder of the master file; without it later frames get wrong positions"
        raise InputError(what, where=where, found=found, remedy=remedy)
    check_one_shape(list(stacks.values()), where)
    frames = LinkedFrames(list(stacks.values()))
    notes: tuple[Finding, ...] = ()
    if missing:
        found = f"the last {len(missing)} data files, from {missing[0]} on, are missing"
        expected = f"{len(names)} data files"
        notes = (finding("W212", group.name, found, expected, f"Only the first {len(frames)} frames were read"),)
    return LinkedFiles(frames, notes)


def _number_of(name: str) -> int:
    return int(name.removeprefix("data").removeprefix("_"))


def _linked_stack(group: h5py.Group, name: str) -> Frames | None:
    """Return the stack that a member of a group holds or links to, or None if its file is missing."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return frames_at(group.file, f"{group.name.rstrip('/')}/{name}")
    where, target = f"{group.file.filename}:{group.name.rstrip('/')}/{name}", Path(link.filename)
    remedy = "Put the data files into the folder of the master file, and link to them by relative paths"
    if target.is_absolute() or ".." in target.parts:
        raise InputError("A link leads out of the folder of the file", where=where, found=target, remedy=remedy)
    target = Path(group.file.filename).parent / target
    if not target.is_file():
        return None
    with reading(target) as file:
        stored = dataset_at(file, link.path)
        if stored is not None and stored.file.filename != file.filename:
            found = stored.file.filename
            raise InputError("A link leads through one file to another", where=where, found=found, remedy=remedy)
        return frames_at(file, link.path)
