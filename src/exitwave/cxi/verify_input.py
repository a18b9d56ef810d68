"""Verify files together: the input of a result by the digests that the result has of its frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.changed import read_record
from exitwave.cxi.frames import unreadable
from exitwave.cxi.hdf import Source, open_file
from exitwave.cxi.schema import path
from exitwave.cxi.verify import Item, Verification, frames_item, verify_file
from exitwave.errors import DAMAGE, InputError


@dataclass(frozen=True, eq=False)
class KnownInput:
    """The frames to which a result links, and their digests."""

    result: Path
    file: Path
    """The linked file; the result itself if its frames are a virtual dataset."""
    dataset: str
    frames: NDArray[np.uint8]
    """Digests of the frames, shape (npos, 16)."""


def verify_files(files: Sequence[Path]) -> list[Verification]:
    """Verify files by their digests, and the inputs of results by those of the results.

    A file without digests is verified by the results among the files that link to it, or whose input is missing.

    Parameters
    ----------
    files : sequence of Path
        Scans, results and their inputs.

    Returns
    -------
    list of Verification
        One for each file.

    Raises
    ------
    InputError
        If a file cannot be opened at all.
    """
    known = {file: _known_input(file) for file in files}
    items: dict[tuple[Path, Path], Item] = {}
    return [_verify(file, known, items) for file in files]


def _verify(file: Path, known: dict[Path, KnownInput | None], items: dict[tuple[Path, Path], Item]) -> Verification:
    found, own = verify_file(file), known[file]
    if own is not None:
        item = _once(items, own, own.file)
        return replace(found, items=(*found.items, replace(item, path=f"{own.file}:{own.dataset}")))
    if found.items:
        return found
    for each in known.values():
        if each is not None and (_same(each.file, file) or not each.file.is_file()):
            item = _once(items, each, file)
            return Verification(file, (item,), f"only the patterns, by the digests in {each.result}")
    return found


def _once(items: dict[tuple[Path, Path], Item], known: KnownInput, file: Path) -> Item:
    """Return the item of the patterns in a file, which are read only once."""
    key = known.result, file.resolve()
    if key not in items:
        items[key] = _input_item(known, file)
    return items[key]


def _input_item(known: KnownInput, file: Path) -> Item:
    if not file.is_file():
        return Item(known.dataset, "unverifiable", "the input of the result is missing")
    try:
        with open_file(file) as opened:
            dataset = opened.get(known.dataset)
            if not isinstance(dataset, h5py.Dataset):
                return Item(known.dataset, "changed", "the patterns are missing")
            if problem := unreadable(dataset):
                return Item(known.dataset, "damaged", problem[0])
            return frames_item(dataset, known.dataset, known.frames)
    except (InputError, *DAMAGE) as error:
        return Item(known.dataset, "damaged", f"cannot be read: {error}")


def _known_input(file: Path) -> KnownInput | None:
    """Return the frames to which a result links; None for any other file, or if their digests are not known."""
    try:
        with open_file(file) as opened:
            record = read_record(Source(opened))
            link = opened.get(path("frames"), getlink=True)
            if record.frames is None or link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                return KnownInput(file, (file.resolve().parent / link.filename).resolve(), link.path, record.frames)
            return KnownInput(file, file.resolve(), path("frames"), record.frames)
    except (InputError, *DAMAGE):
        return None


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
