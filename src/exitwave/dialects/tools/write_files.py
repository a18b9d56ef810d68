"""Write HDF5 and NPZ files block by block, either all of several files or none."""

import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.create import create
from exitwave.cxi.write_frames import BLOCK
from exitwave.frames import Frames
from exitwave.outputs import atomic, check_output
from exitwave.scan import Scan

NPZ = ".npz"
PACKED = 4096
"""Size in bytes from which an array is compressed in an HDF5 file."""


@dataclass(frozen=True)
class OutputFile:
    """A file to write."""

    path: Path
    """Path; the suffix .npz makes a NumPy archive, any other an HDF5 file."""
    entries: Mapping[str, Any]
    """Arrays, numbers, text and soft links by name; ``group/name@attribute`` names an attribute of an HDF5 file."""
    frames: Mapping[str, Frames] = field(default_factory=dict)
    """Stacks of frames by name, copied block by block."""


def write_files(files: Sequence[OutputFile], scan: Scan, overwrite: bool) -> None:
    """Write all files or none.

    Parameters
    ----------
    files : sequence of OutputFile
        The files.
    scan : Scan
        The source; its files are never replaced.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    OutputError
        If a file exists, is a source of the scan, or cannot be written. No file is left then.
    """
    for file in files:
        check_output(file.path, scan.patterns.path, scan.path, overwrite=overwrite)
    with ExitStack() as stack:
        partials = [stack.enter_context(atomic(file.path, overwrite)) for file in files]
        for file, partial in zip(files, partials, strict=True):
            (_write_npz if file.path.suffix == NPZ else _write_hdf5)(file, partial)


def _write_hdf5(file: OutputFile, partial: Path) -> None:
    with create(partial) as (out, check):
        for name, frames in file.frames.items():
            chunk = (1, *frames.shape[1:])
            options: dict[str, Any] = {"chunks": chunk, "compression": "gzip", "shuffle": True, "track_times": False}
            dataset = out.create_dataset(name, shape=frames.shape, dtype=frames.dtype, **options)
            for index, block in frames.blocks(max(1, BLOCK // frames.bytes_per_frame)):
                dataset[index] = block
                check()
        for name, value in file.entries.items():
            holder, _, attribute = name.partition("@")
            if attribute:
                (out[holder] if holder else out).attrs[attribute] = value
                continue
            if isinstance(value, h5py.SoftLink):
                out[name] = value
                continue
            array = value if isinstance(value, str) else np.asarray(value)
            packed = {"compression": "gzip"} if getattr(array, "nbytes", 0) >= PACKED else {}
            out.create_dataset(name, data=array, track_times=False, **packed)


def _write_npz(file: OutputFile, partial: Path) -> None:
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, value in file.entries.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(value), allow_pickle=False)
        for name, frames in file.frames.items():
            shape = {"shape": frames.shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(frames.dtype)}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, shape)
                for _, block in frames.blocks(max(1, BLOCK // frames.bytes_per_frame)):
                    stream.write(np.ascontiguousarray(block).data)


def with_prefix(prefix: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries with ``prefix`` before their names."""
    return {prefix + name: value for name, value in entries.items()}
