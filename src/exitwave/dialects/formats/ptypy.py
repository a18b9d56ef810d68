"""``ptypy``: the .ptyd file of prepared frames, with the frames in chunks and the metadata in meta."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import LARGE, resolve
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
from exitwave.dialects.tools.array_checks import check_one_shape, describe
from exitwave.dialects.tools.array_file import ArrayFile, Hdf5Arrays, existing_entries, open_arrays
from exitwave.dialects.tools.contents import Contents, build, two_columns
from exitwave.dialects.tools.extra_entries import ExtraEntries, extra_entries, losses, unmet_requirements
from exitwave.dialects.tools.write_files import OutputFile, with_prefix, write_files
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.frames import Frames
from exitwave.frames.linked import LinkedFrames
from exitwave.scan import Result, Scan, scan_in

_FIRST = "chunks/0"
_OBJECT = "object"
KEV = 1e3


def detect(file: Path) -> Evidence | None:
    """Accept a file with a first chunk of data and with meta."""
    has = existing_entries(file, (f"{_FIRST}/data", f"{_FIRST}/positions", "meta/energy", "meta/psize"))
    return Evidence(Strength.MARK, "chunks and meta") if {f"{_FIRST}/data", "meta/energy"} <= has else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read all chunks as one scan."""
    with open_arrays(file) as array_file:
        extra, numbers = ExtraEntries(array_file), _chunks(array_file)
        pieces = [array_file.frames(f"chunks/{number}/data") for number in numbers]
        check_one_shape(pieces, array_file.where("chunks"))
        frames = pieces[0] if len(pieces) == 1 else LinkedFrames(pieces)
        names = [f"chunks/{number}/positions" for number in numbers]
        positions = [
            two_columns(array_file, name, array_file.array(name), len(piece))
            for name, piece in zip(names, pieces, strict=True)
        ]
        energy, size = array_file.number("meta/energy"), array_file.array("meta/psize")
        found = Contents(
            frames,
            np.concatenate(positions)[:, ::-1],
            "chunks",
            energy=None if energy is None else energy * KEV,
            distance=array_file.number("meta/distance"),
            pixel_size=None if size is None else _pixel_size(array_file, size),
            bad=_bad_pixels(array_file, numbers, frames),
            bad_at="meta/weight2d",
            probe=extra.array("probe", kinds="c"),
            object=extra.array(_OBJECT, kinds="c"),
        )
        found.remarks += _centre_finding(array_file, frames)
        return build(found, extra, settings)


def _chunks(array_file: ArrayFile) -> list[int]:
    """Return the numbers of the chunks, in ascending order."""
    numbers = sorted(int(name) for name in array_file.members("chunks") if name.isdecimal())
    if not numbers:
        remedy = "Give a .ptyd file with frames"
        raise InputError("The file has no chunks", where=array_file.where("chunks"), remedy=remedy)
    return numbers


def _pixel_size(array_file: ArrayFile, size: NDArray[Any]) -> tuple[float, float]:
    if size.size not in (1, 2) or size.dtype.kind not in "iuf":
        where, remedy = array_file.where("meta/psize"), "Expected one number, or two (y, x)"
        raise InputError("The pixel size is not a number", where=where, found=describe(size), remedy=remedy)
    y, x = np.broadcast_to(size.ravel().astype(np.float64), 2)
    return float(y), float(x)


def _bad_pixels(array_file: ArrayFile, numbers: list[int], frames: Frames) -> NDArray[np.bool_] | None:
    """Return where the weights are 0, shape (ny, nx), or (npos, ny, nx) if frames differ; None without weights."""
    common = array_file.array("meta/weight2d")
    if common is not None and common.shape == frames.shape[1:]:
        return np.asarray(common == 0)
    first, differ = None, False
    for weights in _weights(array_file, numbers, frames):
        first = weights == 0 if first is None else first
        differ = differ or bool((first != (weights == 0)).any())
    if first is None or not differ:
        return first
    if np.prod(frames.shape) > LARGE:
        where, remedy = array_file.where("chunks"), "Write one weight2d for all frames into meta"
        raise InputError("The weights are too large", where=where, found=f"shape {frames.shape}", remedy=remedy)
    return np.array([weights == 0 for weights in _weights(array_file, numbers, frames)])


def _weights(array_file: ArrayFile, numbers: list[int], frames: Frames) -> Iterator[NDArray[Any]]:
    """Yield the weights of each frame if all chunks have weights, else nothing."""
    names = [f"chunks/{number}/weights" for number in numbers]
    assert isinstance(array_file, Hdf5Arrays)
    stacks = [resolve(array_file.opened, f"/{name}") for name in names]
    if any(not isinstance(stack, h5py.Dataset) or stack.shape[1:] != frames.shape[1:] for stack in stacks):
        return
    try:
        for stack in stacks:
            for weights in stack:
                yield np.asarray(weights)
    except OSError as error:
        where, remedy = array_file.where("chunks"), "Copy the file again from where it was written"
        raise InputError("The weights cannot be read", where=where, found=error, remedy=remedy) from error


def _centre_finding(array_file: ArrayFile, frames: Frames) -> list[Finding]:
    """Return a finding (I309) if the stored centre of the frames is not at index n//2."""
    centre = array_file.array("meta/center")
    if centre is None or centre.shape != (2,) or centre.dtype.kind not in "iuf":
        return []
    if (np.abs(centre - np.array(frames.shape[1:]) // 2) <= 0.5).all():
        return []
    row, column = centre
    remedy = f"Centre the frames with exitwave prepare --centre {row:g},{column:g}"
    return [finding("I309", "meta/center", f"({row:g}, {column:g})", "the middle of the frames, n//2", remedy)]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write all frames as one chunk, and meta."""
    scan = scan_in(data)
    count, ny, nx = scan.patterns.shape
    meta: dict[str, Any] = {
        "energy": scan.energy / KEV,
        "distance": scan.detector.distance,
        "psize": np.array(scan.detector.pixel_size),
        "shape": np.array([ny, nx]),
        "center": np.array([ny // 2, nx // 2], np.float64),
        "num_frames": count,
        "weight2d": scan.detector.always_good,
    }
    values: dict[str, Any] = {f"{_FIRST}/positions": data.positions[:, 1::-1], f"{_FIRST}/indices": np.arange(count)}
    for name, value in meta.items():
        values[f"meta/{name}"] = value
        values[f"meta/{name}@type"] = "array" if np.ndim(value) else "scalar"
    values |= {"meta@type": "dict", "chunks@type": "dict", f"{_FIRST}@type": "dict"}
    extra = extra_entries(data, "ptypy", ("mask",)) | ({_OBJECT: data.object} if isinstance(data, Result) else {})
    values |= with_prefix(Hdf5Arrays.prefix, extra)
    write_files([OutputFile(target, values, {f"{_FIRST}/data": scan.patterns})], scan, overwrite)
    return Written((target,), (*losses(data, "ptypy"), *_unmet(data, square=ny == nx)))


def _unmet(data: Scan | Result, square: bool) -> list[Finding]:
    """Return what ptypy does not use of the file (W253)."""
    return unmet_requirements(
        (isinstance(data, Result), "object and probe", "patterns only", "ptypy does not read object and probe"),
        (not square, "frames that are not square", "square frames", "ptypy crops them"),
    )


DIALECT = Dialect(
    name="ptypy",
    order=200,
    title="Prepared frames of ptypy (.ptyd)",
    conventions=Conventions(
        energy="meta/energy, keV",
        positions="chunks/N/positions (M, 2), y x of the probe, +, m",
        mask="meta/weight2d or chunks/N/weights, 0 = bad",
        frames="chunks/N/data (M, y, x), intensity, zero frequency at meta/center",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=".ptyd",
)
