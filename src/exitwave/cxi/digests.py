"""Digests of everything in a file: computed when the file is written, and compared by `exitwave verify`.

A dataset has a digest of its values, which another program that copies or repacks the file keeps. A compressed dataset
also has one of its stored bytes, because some bits of compressed data do not change the values. Contiguous datasets
need no second digest: their stored bytes are their values. Patterns have both digests for every frame.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import require_plausible_size
from exitwave.cxi.schema import path
from exitwave.frames.file_state import DIGEST_BYTES
from exitwave.frames.input_record import values_digest

VERSION = 1
"""Version of the table of digests."""
LARGE = 2**25
"""Datasets of more bytes are read in blocks of this size."""


@dataclass(frozen=True, eq=False)
class FrameDigests:
    """The digests of every frame of a stack."""

    values: NDArray[np.uint8]
    """Digests of type, shape and values, shape (npos, 16)."""
    stored: NDArray[np.uint8]
    """Digests of the stored bytes, shape (npos, 16)."""

    @classmethod
    def empty(cls, frames: int) -> "FrameDigests":
        """Return the digests of a number of frames, to be filled in."""
        return cls(np.zeros((frames, DIGEST_BYTES), np.uint8), np.zeros((frames, DIGEST_BYTES), np.uint8))


def bytes_digest(data: bytes | memoryview) -> bytes:
    """Return the digest of some bytes."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def write_digests(file: h5py.File, frames: FrameDigests | None) -> None:
    """Store the digests of everything in a complete file.

    Parameters
    ----------
    file : h5py.File
        The file, open for writing. Nothing may be written to it afterwards.
    frames : FrameDigests or None
        The digests of the patterns, if they are in this file as one chunk for each frame.
    """
    file.flush()
    target = path("digests")
    datasets: dict[str, dict[str, str]] = {}
    attributes, links = {}, {}
    for name, thing in walk(file):
        if isinstance(thing, str):
            links[name] = thing
            continue
        attributes[name] = attributes_digest(thing)
        if isinstance(thing, h5py.Dataset):
            known = frames if name == path("frames") else None
            datasets[name] = _of_frames(thing, known) if known else of_dataset(thing)
    table = {"version": VERSION, "datasets": datasets, "attributes": attributes, "links": links}
    stored = _sealed(json.dumps(table).encode())
    fixed = np.array(stored, h5py.string_dtype("utf-8", len(stored)))
    file.create_dataset(target, data=fixed, track_times=False)


def _sealed(table: bytes) -> bytes:
    """Return the JSON text of a table in a JSON object that also has the digest of the text."""
    return b'{"digest": "%s", "table": %s}' % (bytes_digest(table).hex().encode(), table)


def unsealed(stored: bytes) -> Any:
    """Return the table in a text that `_sealed` has made, or None if a bit of the text has changed."""
    start, end = len(_sealed(b"")) - 1, len(stored) - 1
    table = stored[start:end]
    return json.loads(table) if _sealed(table) == stored else None


def walk(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield the path of each group, dataset and link of a file except the digests; a link is yielded as a text.

    Raises what h5py raises for a damaged group.
    """
    seen: set[Any] = set()
    waiting: list[tuple[str, Any]] = [("/", file["/"])]
    while waiting:
        name, thing = waiting.pop()
        yield name, thing
        if not isinstance(thing, h5py.Group) or (address := h5py.h5o.get_info(thing.id).addr) in seen:
            continue
        seen.add(address)
        for member in thing:
            inside = f"{name.rstrip('/')}/{member}"
            if inside == path("digests"):
                continue
            link = thing.get(member, getlink=True)
            waiting.append((inside, thing[member] if isinstance(link, h5py.HardLink) else describe_link(link)))


def describe_link(link: Any) -> str:
    """Return a soft or external link as a text."""
    return f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else str(link.path)


def attributes_digest(thing: h5py.Group | h5py.Dataset) -> str:
    """Return the digest of all attributes of a group or dataset."""
    digest = hashlib.sha256()
    for key in sorted(thing.attrs):
        digest.update(f"{key}:".encode() + digest_of_any(thing.attrs[key]))
    return digest.digest()[:DIGEST_BYTES].hex()


def digest_of_any(value: Any) -> bytes:
    """Return the digest of numbers or texts, whatever their HDF5 type of text is."""
    array = np.asarray(value)
    if isinstance(value, h5py.Empty):
        return bytes_digest(b"empty")
    if array.dtype.kind not in "OSU":
        return values_digest(array)
    texts = [each if isinstance(each, bytes) else str(each).encode() for each in array.ravel().tolist()]
    return bytes_digest(f"text{array.shape}".encode() + b"\0".join(texts))


def of_dataset(dataset: h5py.Dataset) -> dict[str, str]:
    """Return the digests of a dataset: of its values, and if it is in chunks of their bytes and of their places.

    Raises what h5py raises for a damaged dataset, and InputError for one whose size is not plausible.
    """
    found = {"values": _values(dataset).hex()}
    if dataset.chunks:
        digest = hashlib.sha256()
        for offset, _ in chunk_places(dataset):
            digest.update(dataset.id.read_direct_chunk(offset)[1])
        found |= {"stored": digest.digest()[:DIGEST_BYTES].hex(), "layout": layout_digest(dataset)}
    if dataset.is_virtual:
        found |= {"layout": layout_digest(dataset)}
    return found


def _values(dataset: h5py.Dataset) -> bytes:
    """Return the digest of the values of a dataset, read in blocks; of a virtual one, only that of type and shape."""
    kind, shape = dataset.dtype, dataset.shape
    if shape is None:
        return bytes_digest(b"empty")
    if not dataset.is_virtual:
        require_plausible_size(dataset)
    if dataset.is_virtual:
        return bytes_digest(f"virtual {kind.str}{shape}".encode())
    if kind.kind == "O" or kind.kind == "S" or dataset.nbytes <= LARGE or not shape:
        return digest_of_any(dataset[()])
    digest = hashlib.sha256(f"{kind.newbyteorder('<').str}{shape}".encode())
    step = max(1, LARGE // max(1, dataset.nbytes // shape[0]))
    for start in range(0, shape[0], step):
        block = dataset[start : start + step]
        digest.update(np.ascontiguousarray(block, kind.newbyteorder("<")).reshape(-1).view(np.uint8).data)
    return digest.digest()[:DIGEST_BYTES]


def chunk_places(dataset: h5py.Dataset) -> list[tuple[tuple[int, ...], tuple[int, int, int]]]:
    """Return the index of each chunk, and its offset in the file, size and filter mask, in the order of the indices."""
    found: list[tuple[tuple[int, ...], tuple[int, int, int]]] = []
    dataset.id.chunk_iter(
        lambda chunk: found.append((chunk.chunk_offset, (chunk.byte_offset, chunk.size, chunk.filter_mask)))
    )
    return sorted(found)


def layout_digest(dataset: h5py.Dataset) -> str:
    """Return the digest of where a dataset is stored and by which filters; a program that repacks it changes it."""
    if dataset.is_virtual:
        sources = [(each.file_name, each.dset_name, str(each.src_space.get_select_bounds()),
                    str(each.vspace.get_select_bounds())) for each in dataset.virtual_sources()]  # fmt: skip
        return bytes_digest(repr(sources).encode()).hex()
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(index)[:3] for index in range(plist.get_nfilters())]
    return bytes_digest(repr((dataset.chunks, filters, chunk_places(dataset))).encode()).hex()


def _of_frames(dataset: h5py.Dataset, frames: FrameDigests) -> dict[str, str]:
    """Return the digests of the patterns, one for each frame."""
    return {
        "values": base64.b64encode(frames.values.tobytes()).decode(),
        "stored": base64.b64encode(frames.stored.tobytes()).decode(),
        "layout": layout_digest(dataset),
        "frames": str(len(frames.values)),
    }
