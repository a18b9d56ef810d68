"""Checkpoint files: an interrupted run of one or several processes, from which it is resumed.

A file is an uncompressed NPZ archive: ``about.json`` has the facts and the descriptions, every other member is one
array, named by its digest. Arrays that are equal in several processes are stored once. Reading checks the CRC of every
member, and runs no code of the file.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.recipe import Recipe
from exitwave.engine.snapshot import Packer, Unpacker
from exitwave.errors import DAMAGE, InputError
from exitwave.frames import View
from exitwave.outputs import atomic
from exitwave.preparation import apply_view
from exitwave.reconstruction.geometry import with_geometry
from exitwave.reconstruction.snapshot import Snapshot
from exitwave.scan import Decision, Scan

FORMAT = 1
"""Version of the layout of the file."""
ABOUT = "about"
"""Name of the member with the facts and the descriptions."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file."""

    facts: dict[str, Any]
    """What identifies the run, and how it was started, ready for JSON."""
    scan: Snapshot
    """What was chosen for the scan: starting probe, findings and decisions; see `chosen_for`."""
    processes: tuple[Snapshot, ...]
    """The snapshot of every process."""


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint file; an existing one is replaced when the new one is complete.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    members: dict[str, NDArray[Any]] = {}
    parts = [(each.description, _add(members, each.arrays)) for each in (checkpoint.scan, *checkpoint.processes)]
    about = json.dumps({"format": FORMAT, "facts": checkpoint.facts, "parts": parts})
    members[ABOUT] = np.frombuffer(about.encode(), np.uint8)
    size = sum(array.nbytes for array in members.values())
    with atomic(path, overwrite=True, size=size) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **members)


def _add(members: dict[str, NDArray[Any]], arrays: Iterable[NDArray[Any]]) -> list[str]:
    """Add arrays to the members of a file, and return their names."""
    names = []
    for array in arrays:
        whole = np.ascontiguousarray(array).reshape(array.shape)
        digest = hashlib.sha256(f"{whole.dtype.str}{whole.shape}".encode())
        digest.update(whole.tobytes())
        names.append(digest.hexdigest())
        members[names[-1]] = whole
    return names


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file.

    Raises
    ------
    InputError
        If it is damaged, or of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file[ABOUT].tobytes())
            if about["format"] != FORMAT:
                remedy = "Use the version of Exitwave that wrote it, or start again without --resume"
                raise InputError(
                    "The checkpoint has another format", where=path, found=str(about["format"]), remedy=remedy
                )
            parts = [Snapshot(description, [file[name] for name in names]) for description, names in about["parts"]]
            return Checkpoint(about["facts"], parts[0], tuple(parts[1:]))
    except (*DAMAGE, zipfile.BadZipFile, EOFError, RecursionError) as error:
        remedy = "Start again without --resume"
        raise InputError("The checkpoint is damaged", where=path, found=str(error)[:200], remedy=remedy) from error


def chosen_for(scan: Scan, choices: tuple[Decision, ...]) -> Snapshot:
    """Return what was chosen for a scan, so that `with_choices` can repeat it."""
    packer = Packer()
    content = {"probe": scan.probe, "findings": scan.findings, "choices": choices}
    return Snapshot(json.dumps(packer.pack(content)), packer.arrays)


def with_choices(scan: Scan, recipe: Recipe, chosen: Snapshot, *, prepare: bool) -> tuple[Scan, tuple[Decision, ...]]:
    """Return a scan as it was reconstructed, and the choices.

    Parameters
    ----------
    scan : Scan
        The scan as it is in its file.
    recipe : Recipe
        The recipe of the run.
    chosen : Snapshot
        What `chosen_for` has returned.
    prepare : bool
        Whether the scan was prepared.
    """
    from exitwave.reconstruction.auto import prepared

    content = Unpacker(chosen.arrays).unpack(json.loads(chosen.description))
    choices: tuple[Decision, ...] = content["choices"]
    if prepare:
        scan = prepared(with_geometry(scan, recipe))
    for choice in choices:
        if choice.heading == "orientation" and "view" in choice.settings:
            scan = apply_view(scan, View(**choice.settings["view"]))
    return replace(scan, probe=content["probe"], findings=content["findings"]), choices
