"""Single flipped bits in the storage of the datasets of a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

Extent = tuple[str, int, int]
"""Path of a dataset, and offset and length in bytes of a part of its storage."""


def extents(file: Path) -> list[Extent]:
    """Return where a file stores each dataset: the place of each chunk, or of all of its values."""
    found: list[Extent] = []

    def visit(name: str, thing: object) -> None:
        if not isinstance(thing, h5py.Dataset) or thing.is_virtual:
            return
        if thing.chunks:
            chunks = [thing.id.get_chunk_info(index) for index in range(thing.id.get_num_chunks())]
            found.extend((f"/{name}", chunk.byte_offset, chunk.size) for chunk in chunks)
        elif thing.id.get_offset() is not None:
            found.append((f"/{name}", thing.id.get_offset(), thing.id.get_storage_size()))

    with h5py.File(file) as opened:
        opened.visititems(visit)
    return found


def random_bits(file: Path, count: int, seed: int) -> list[tuple[str, int, int]]:
    """Return random bits as (dataset, offset of the byte, number of the bit); every dataset is equally likely."""
    rng = np.random.default_rng(seed)
    by_dataset: dict[str, list[Extent]] = {}
    for extent in extents(file):
        by_dataset.setdefault(extent[0], []).append(extent)
    names = sorted(by_dataset)
    chosen = []
    for number in range(count):
        parts = by_dataset[names[number % len(names)]]
        name, offset, length = parts[rng.integers(len(parts))]
        chosen.append((name, offset + int(rng.integers(length)), int(rng.integers(8))))
    return chosen


@contextmanager
def flipped(file: Path, offset: int, bit: int) -> Iterator[None]:
    """Flip a bit of a file in the block, and flip it back at its end."""
    with open(file, "r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ 1 << bit]))
    try:
        yield
    finally:
        with open(file, "r+b") as opened:
            opened.seek(offset)
            opened.write(bytes([byte]))
