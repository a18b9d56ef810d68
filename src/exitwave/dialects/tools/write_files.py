"""Files of other programs, HDF5 or NPZ, written block by block, several of them all or not at all."""

import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.atomic import atomic, create
from exitwave.cxi.write import BLOCK
from exitwave.frames import Frames
from exitwave.outputs import check_output
from exitwave.scan import Scan

NPZ = ".npz"
PACKED = 4096
"""Bytes from which an array of an HDF5 file is compressed."""


@dataclass(frozen=True)
class OutputFile:
    """A file to write."""

    path: Path
    """Where; a name that ends in .npz makes a NumPy archive, any other an HDF5 file."""
    entries: Mapping[str, Any]
    """Arrays, numbers, text and soft links by name; ``group/name@attribute`` names an attribute of an HDF5 file."""
    frames: Mapping[str, Frames] = field(default_factory=dict)
    """Stacks of frames by name, which are copied block by block."""


def write_files(files: Sequence[OutputFile], scan: Scan, overwrite: bool) -> None:
    """Write files, all of them or none.

    Parameters
    ----------
    files : sequence of File
        What to write.
    scan : Scan
        Whose files must not be written over.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    OutputError
        If one exists, is a source of the scan, or cannot be written. Nothing is left behind.
    """
    for file in files:
        check_output(file.path, scan.patterns.path, scan.path, overwrite=overwrite)
    with ExitStack() as stack:
        partials = [stack.enter_context(atomic(file.path, overwrite)) for file in files]
        for file, partial in zip(files, partials, strict=True):
            (_put_npz if file.path.suffix == NPZ else _put_hdf5)(file, partial)


def _put_hdf5(file: OutputFile, partial: Path) -> None:
    with create(partial) as (out, check):
        for name, frames in file.frames.items():
            chunk = (1, *frames.shape[1:])
            options: dict[str, Any] = {"chunks": chunk, "compression": "gzip", "shuffle": True, "track_times": False}
            dataset = out.create_dataset(name, shape=frames.shape, dtype=frames.dtype, **options)
            for index, block in frames.blocks(max(1, BLOCK // frames.room)):
                dataset[index] = block
                check()
        for name, value in file.entries.items():
            place, _, attribute = name.partition("@")
            if attribute:
                (out[place] if place else out).attrs[attribute] = value
                continue
            if isinstance(value, h5py.SoftLink):
                out[name] = value
                continue
            array = value if isinstance(value, str) else np.asarray(value)
            packed = {"compression": "gzip"} if getattr(array, "nbytes", 0) >= PACKED else {}
            out.create_dataset(name, data=array, track_times=False, **packed)


def _put_npz(file: OutputFile, partial: Path) -> None:
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, value in file.entries.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(value), allow_pickle=False)
        for name, frames in file.frames.items():
            shape = {"shape": frames.shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(frames.dtype)}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, shape)
                for _, block in frames.blocks(max(1, BLOCK // frames.room)):
                    stream.write(np.ascontiguousarray(block).data)


def with_prefix(own: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return kept entries under the names that they get in a file; ``own`` is what stands before them."""
    return {own + name: value for name, value in extra.items()}
