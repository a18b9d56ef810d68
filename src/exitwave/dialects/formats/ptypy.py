"""``ptypy``: the .ptyd file of prepared frames: chunks of them, and what is common to all in meta."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import LARGE, resolve
from exitwave.dialects.dialect import Conventions, Dialect, Evidence, Settings, Strength, Written
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
_IMAGE = "object"
KEV = 1e3


def detect(file: Path) -> Evidence | None:
    """Take a file with a first chunk of data and a meta."""
    has = existing_entries(file, (f"{_FIRST}/data", f"{_FIRST}/positions", "meta/energy", "meta/psize"))
    return Evidence(Strength.MARK, "chunks and meta") if {f"{_FIRST}/data", "meta/energy"} <= has else None


def read(file: Path, settings: Settings) -> Scan | Result:
    """Read all chunks as one scan."""
    with open_arrays(file) as array_file:
        extra, numbers = ExtraEntries(array_file), _chunks(array_file)
        pieces = [array_file.frames(f"chunks/{number}/data") for number in numbers]
        if len({piece.shape[1:] for piece in pieces}) > 1:
            shapes = ", ".join(sorted({str(piece.shape[1:]) for piece in pieces}))
            raise InputError(
                "The chunks hold frames of different shapes",
                where=array_file.where("chunks"),
                found=shapes,
                remedy="Give the chunks of one scan only",
            )
        frames = pieces[0] if len(pieces) == 1 else LinkedFrames(pieces)
        names = [f"chunks/{number}/positions" for number in numbers]
        positions = [
            two_columns(array_file, name, array_file.array(name), len(p)) for name, p in zip(names, pieces, strict=True)
        ]
        energy, size = array_file.number("meta/energy"), array_file.array("meta/psize")
        found = Contents(
            frames,
            np.concatenate(positions)[:, ::-1],
            "chunks",
            energy=None if energy is None else energy * KEV,
            distance=array_file.number("meta/distance"),
            pixel_size=None if size is None else _two(array_file, size),
            bad=_bad(array_file, numbers, frames),
            bad_at="meta/weight2d",
            probe=extra.array("probe", kinds="c"),
            object=extra.array(_IMAGE, kinds="c"),
        )
        found.remarks += _off_centre(array_file, frames)
        return build(found, extra, settings)


def _chunks(array_file: ArrayFile) -> list[int]:
    """Return the numbers of the chunks that are there; a link of a chunk that leads nowhere is refused."""
    numbers = sorted(int(name) for name in array_file.members("chunks") if name.isdecimal())
    if not numbers:
        raise InputError(
            "The file has no chunks", where=array_file.where("chunks"), remedy="Give a .ptyd file with frames"
        )
    return numbers


def _two(array_file: ArrayFile, size: NDArray[Any]) -> tuple[float, float]:
    if size.size not in (1, 2) or size.dtype.kind not in "iuf":
        found = f"{size.dtype} of shape {size.shape}"
        raise InputError(
            "This is no pixel size", where=array_file.where("meta/psize"), found=found, remedy="Expected y, x"
        )
    y, x = np.broadcast_to(size.ravel().astype(np.float64), 2)
    return float(y), float(x)


def _bad(array_file: ArrayFile, numbers: list[int], frames: Frames) -> NDArray[np.bool_] | None:
    """Return where the weights are 0, of every frame where they differ; None without weights."""
    common = array_file.array("meta/weight2d")
    if common is not None and common.shape == frames.shape[1:]:
        return np.asarray(common == 0)
    once, differ = None, False
    for weights in _weights(array_file, numbers, frames):
        once = weights == 0 if once is None else once
        differ = differ or bool((once != (weights == 0)).any())
    if once is None or not differ:
        return once
    if np.prod(frames.shape) > LARGE:
        remedy = "Write one weight2d into meta"
        raise InputError(
            "The weights are too many", where=array_file.where("chunks"), found=frames.shape, remedy=remedy
        )
    return np.array([weights == 0 for weights in _weights(array_file, numbers, frames)])


def _weights(array_file: ArrayFile, numbers: list[int], frames: Frames) -> Iterator[NDArray[Any]]:
    """Yield the weights of every frame, if all chunks have them."""
    names = [f"chunks/{number}/weights" for number in numbers]
    assert isinstance(array_file, Hdf5Arrays)
    stacks = [resolve(array_file.opened, f"/{name}") for name in names]
    if any(not isinstance(each, h5py.Dataset) or each.shape[1:] != frames.shape[1:] for each in stacks):
        return
    try:
        for stack in stacks:
            for weights in stack:
                yield np.asarray(weights)
    except OSError as error:
        where = array_file.where("chunks")
        raise InputError("The weights cannot be read", where=where, found=error, remedy="Copy it again") from error


def _off_centre(array_file: ArrayFile, frames: Frames) -> list[Finding]:
    """Remark where the zero frequency is said to be elsewhere than at n//2."""
    centre = array_file.array("meta/center")
    if centre is None or centre.shape != (2,) or centre.dtype.kind not in "iuf":
        return []
    if (np.abs(centre - np.array(frames.shape[1:]) // 2) <= 0.5).all():
        return []
    row, column = centre
    remedy = f"exitwave prepare --centre {row:g},{column:g} puts it there"
    return [finding("I309", "meta/center", f"({row:g}, {column:g})", "the middle of the frames, n//2", remedy)]


def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
    """Write one chunk and meta."""
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
    extra = extra_entries(data, "ptypy", ("mask",)) | ({_IMAGE: data.object} if isinstance(data, Result) else {})
    values |= with_prefix(Hdf5Arrays.prefix, extra)
    write_files([OutputFile(target, values, {f"{_FIRST}/data": scan.patterns})], scan, overwrite)
    return Written((target,), (*losses(data, "ptypy"), *_unseen(data, ny != nx)))


def _unseen(data: Scan | Result, oblong: bool) -> list[Finding]:
    """Return what ptypy does not take from the file."""
    return unmet_requirements(
        (isinstance(data, Result), "object and probe", "frames alone", "ptypy starts anew"),
        (oblong, "frames that are not square", "square ones", "ptypy crops them"),
    )


DIALECT = Dialect(
    name="ptypy",
    order=200,
    title="Ptypy's prepared frames (.ptyd)",
    conventions=Conventions(
        energy="meta/energy, keV",
        positions="chunks/N/positions (M, 2), y x of the probe, +, m",
        mask="meta/weight2d or chunks/N/weights, 0 bad",
        frames="chunks/N/data (M, y, x), intensity, centred at meta/center",
    ),
    detect=detect,
    read=read,
    write=write,
    suffix=".ptyd",
)
