"""The frames that the master file of an Eiger detector links to, file after file."""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py

from exitwave.cxi.hdf import members
from exitwave.dialects.tools.hdf5_values import dataset_at, frames_at, reading
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frames.linked import LinkedFrames

NAME = re.compile(r"data_?(\d+)")
"""Names of the links: data_000001, data_000002, and so on."""


@dataclass(frozen=True)
class LinkedFiles:
    """What a master links to."""

    frames: LinkedFrames
    """The frames of all files that are there."""
    findings: tuple[Finding, ...]
    """Says which are not."""


def linked_frames(group: h5py.Group) -> LinkedFiles:
    """Return the frames that the members data_000001, data_000002, ... of a group hold or link to.

    A master may link to more files than were written: those that lack at the end are remarked (W212).

    Raises
    ------
    InputError
        If there are none, one in the middle lacks (the frames behind it would shift against the positions), they
        differ in shape, or a link leads out of the folder.
    """
    where = f"{group.file.filename}:{group.name}"
    names = sorted(filter(NAME.fullmatch, members(group)), key=_number_of)
    if not names:
        raise InputError("The file lacks its frames", where=where, remedy="Expected data_000001, data_000002, ...")
    there = {name: piece for name in names if (piece := _piece(group, name)) is not None}
    lacking, numbers = [name for name in names if name not in there], [_number_of(name) for name in there]
    if numbers != list(range(_number_of(names[0]), _number_of(names[0]) + len(numbers))) or not numbers:
        what = "A file of frames is missing, and those behind it would shift" if numbers else "All frames are missing"
        found = lacking[0] if lacking else f"only {', '.join(names)[:80]}"
        raise InputError(what, where=where, found=found, remedy="Put them where the master expects them, in its folder")
    if len({piece.shape[1:] for piece in there.values()}) > 1:
        found = ", ".join(sorted({str(piece.shape[1:]) for piece in there.values()}))
        raise InputError(
            "The files hold frames of different shapes",
            where=where,
            found=found,
            remedy="Give the files of one scan only",
        )
    frames = LinkedFrames(list(there.values()))
    notes: tuple[Finding, ...] = ()
    if lacking:
        found = f"{len(lacking)} links at the end, from {lacking[0]} on, lead nowhere"
        expected = f"{len(names)} files of frames"
        notes = (finding("W212", group.name, found, expected, f"The first {len(frames)} frames were taken"),)
    return LinkedFiles(frames, notes)


def _number_of(name: str) -> int:
    return int(name.removeprefix("data").removeprefix("_"))


def _piece(group: h5py.Group, name: str) -> Frames | None:
    """Return the stack behind a member of a group, or None where its file or the stack in it is missing."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return frames_at(group.file, f"{group.name.rstrip('/')}/{name}")
    where, target = f"{group.file.filename}:{group.name.rstrip('/')}/{name}", Path(link.filename)
    remedy = "Put the files beside the master, and let its links name them without a folder above"
    if target.is_absolute() or ".." in target.parts:
        raise InputError("A link leads out of the folder of the file", where=where, found=target, remedy=remedy)
    target = Path(group.file.filename).parent / target
    if not target.is_file():
        return None
    with reading(target) as file:
        stored = dataset_at(file, link.path)
        if stored is not None and stored.file.filename != file.filename:
            found = stored.file.filename
            raise InputError("A link leads through a file to another", where=where, found=found, remedy=remedy)
        return frames_at(file, link.path)
