"""Verify files by their digests: what is intact, changed, damaged or unverifiable, dataset by dataset."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.digests import (
    VERSION,
    attributes_digest,
    bytes_digest,
    chunk_places,
    describe_link,
    layout_digest,
    of_dataset,
    unsealed,
    walk,
)
from exitwave.cxi.frames import name_frames, readable_frames
from exitwave.cxi.hdf import open_file, whole
from exitwave.cxi.schema import path
from exitwave.errors import DAMAGE, InputError
from exitwave.frames.file_state import DIGEST_BYTES
from exitwave.frames.input_record import values_digest

Status = Literal["intact", "changed", "damaged", "unverifiable"]
WORST: tuple[Status, ...] = ("damaged", "changed", "unverifiable", "intact")
"""All statuses, the worst first."""


PARTS = ("datasets", "attributes", "links")
"""Parts of the digests."""


@dataclass(frozen=True)
class Item:
    """A dataset, a link, or the attributes of a group or dataset, and whether it is as it was written."""

    path: str
    """Path in the file; the attributes of an object have the path of the object and ``@``."""
    status: Status
    """intact, changed, damaged (cannot be read) or unverifiable."""
    detail: str = ""
    """What differs, in one line."""
    changed: tuple[int, ...] = ()
    """Indices of the frames that have changed, where the dataset holds patterns."""
    damaged: tuple[int, ...] = ()
    """Indices of the frames that cannot be read."""


@dataclass(frozen=True)
class Verification:
    """What was found in one file."""

    file: Path
    items: tuple[Item, ...]
    detail: str = ""
    """Why the file as a whole cannot be verified, or an empty string."""

    @property
    def status(self) -> Status:
        """The worst status of the items that are verifiable; unverifiable if none is."""
        found = {item.status for item in self.items} - {"unverifiable"}
        return next((status for status in WORST if status in found), "unverifiable")

    def with_status(self, status: Status) -> tuple[Item, ...]:
        """Return the items that have a status."""
        return tuple(item for item in self.items if item.status == status)

    @property
    def intact(self) -> bool:
        """Whether nothing has changed and nothing is damaged; true for a file that cannot be verified."""
        return self.status in ("intact", "unverifiable")


@dataclass(frozen=True, eq=False)
class Table:
    """The digests that a file has of itself."""

    datasets: dict[str, dict[str, str]]
    attributes: dict[str, str]
    links: dict[str, str]


def verify_file(file: Path) -> Verification:
    """Compare a file with the digests in it.

    Raises
    ------
    InputError
        If the file cannot be opened at all.
    """
    with open_file(file) as opened:
        try:
            table = read_table(opened)
        except (InputError, AttributeError, *DAMAGE) as error:
            item = Item(path("digests"), "damaged", f"the digests cannot be read: {error}")
            return Verification(file, (item,))
        if table is None:
            return Verification(file, (), "a file without digests")
        return Verification(file, tuple(_compare(opened, table)))


def read_table(file: h5py.File) -> Table | None:
    """Return the digests in a file, or None if it has none.

    Raises
    ------
    InputError
        If they do not have the digest that is stored beside them, or were written by a later version.
    """
    dataset = file.get(path("digests"))
    if not isinstance(dataset, h5py.Dataset):
        return None
    table = unsealed(bytes(whole(dataset)))
    if not isinstance(table, dict) or not all(isinstance(table.get(key), dict) for key in PARTS):
        raise InputError("The digests have changed", remedy="Copy the file again from the original")
    if table.get("version") != VERSION:
        found = f"version {table.get('version')}"
        raise InputError("The digests are of a later version of Exitwave", found=found, remedy="Update Exitwave")
    return Table(*(table[key] for key in PARTS))


def _compare(file: h5py.File, table: Table) -> list[Item]:
    """Return one item for each link, dataset and set of attributes in the table, and for what is not in the table."""
    checks: tuple[tuple[dict[str, Any], Callable[[h5py.File, str, Any], Item]], ...]
    checks = ((table.links, _link), (table.datasets, _dataset), (table.attributes, _attributes))
    items = [_guarded(check, file, name, known) for rows, check in checks for name, known in rows.items()]
    return [*items, *_additions(file, table)]


def _guarded(check: Callable[[h5py.File, str, Any], Item], file: h5py.File, name: str, known: Any) -> Item:
    """Return what a check returns, or an item that is damaged where it raises what h5py raises for damaged files."""
    try:
        return check(file, name, known)
    except (InputError, *DAMAGE) as error:
        return Item(name, "damaged", f"cannot be read: {' '.join(str(error).split())[:200]}")


def _additions(file: h5py.File, table: Table) -> list[Item]:
    """Return what is in the file but was not when it was written: it is not known, and no error."""
    known = table.datasets.keys() | table.links.keys() | table.attributes.keys()
    try:
        added = [name for name, _ in walk(file) if name not in known]
    except DAMAGE:
        return []  # the checks of the table have reported it
    return [Item(name, "unverifiable", "added after the file was written") for name in added]


def _link(file: h5py.File, name: str, known: str) -> Item:
    link = file.get(name, getlink=True)
    if link is None:
        return Item(name, "changed", "missing")
    found = "no link" if isinstance(link, h5py.HardLink) else describe_link(link)
    return Item(name, "intact") if found == known else Item(name, "changed", f"{found}, written as {known}")


def _attributes(file: h5py.File, name: str, digest: str) -> Item:
    owner = file.get(name)
    if owner is None:
        return Item(f"{name}@", "changed", "missing")
    same = attributes_digest(owner) == digest
    return Item(f"{name}@", "intact") if same else Item(f"{name}@", "changed", "other attributes")


def _dataset(file: h5py.File, name: str, known: dict[str, str]) -> Item:
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        return Item(name, "changed", "missing")
    if "frames" in known:
        return _frames(dataset, name, known)
    found = of_dataset(dataset)
    if found["values"] != known["values"]:
        return Item(name, "changed", "other values")
    if found == known:
        return Item(name, "intact")
    if dataset.is_virtual:
        return Item(name, "changed", "other sources of the virtual dataset")
    if "stored" in found and found.get("layout") == known.get("layout"):
        return Item(name, "changed", "other stored bytes, which give the same values")
    return Item(name, "intact", "repacked: other storage, the same values")


def _frames(dataset: h5py.Dataset, name: str, known: dict[str, str]) -> Item:
    """Return whether the patterns of a file are as written, frame by frame."""
    values, stored = (_decoded(known[key]) for key in ("values", "stored"))
    item = frames_item(dataset, name, values)
    if dataset.shape is None or len(dataset) != len(values) or layout_digest(dataset) != known["layout"]:
        repacked = "repacked: other storage, the same values"
        return Item(name, "intact", repacked) if item.status == "intact" else item
    same_values = sorted(set(range(len(values))) - set(item.changed) - set(item.damaged))
    places = {chunk[0]: chunk for chunk, _ in chunk_places(dataset)}
    altered = [
        number
        for number in same_values
        if bytes_digest(dataset.id.read_direct_chunk(places[number])[1]) != stored[number].tobytes()
    ]
    if not altered:
        return item
    return _frame_status(name, tuple(sorted((*item.changed, *altered))), item.damaged)


def _decoded(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, DIGEST_BYTES)


def frames_item(dataset: h5py.Dataset, name: str, values: NDArray[np.uint8]) -> Item:
    """Compare each frame of a stack with its digest.

    Parameters
    ----------
    dataset : h5py.Dataset
        The stack, shape (npos, ny, nx).
    name : str
        Its name in the item.
    values : ndarray of shape (npos, 16)
        Digests of the frames; 0 where the digest is not known.
    """
    if dataset.ndim != 3 or len(dataset) != len(values):
        return Item(name, "changed", f"shape {dataset.shape}, written with {len(values)} frames")
    changed, damaged = [], []
    for number, frame in readable_frames(dataset, range(len(dataset))):
        if frame is None:
            damaged.append(number)
        elif values[number].any() and values_digest(frame) != values[number].tobytes():
            changed.append(number)
    if not values.any():
        return Item(name, "damaged" if damaged else "unverifiable", "no digest is known", (), tuple(damaged))
    return _frame_status(name, tuple(changed), tuple(damaged))


def _frame_status(name: str, changed: tuple[int, ...], damaged: tuple[int, ...]) -> Item:
    parts = [
        f"{name_frames(frames)} {what}"
        for what, frames in (("cannot be read", damaged), ("changed", changed))
        if frames
    ]
    status: Status = "damaged" if damaged else "changed" if changed else "intact"
    return Item(name, status, ", ".join(parts), changed, damaged)
