"""Find the patterns of a file and check, without reading them, whether they can be read."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import Source, candidates, name_of, require_plausible_size, resolve, scalar, text
from exitwave.cxi.links import files_of
from exitwave.documents import parse_json
from exitwave.errors import DAMAGE, InputError
from exitwave.frames import Frames, MissingFrames, View, ViewedFrames, open_hdf5
from exitwave.frames.confine import note_followed
from exitwave.frames.reordered import ReorderedFrames
from exitwave.inputs import note_input

MOST_PIXELS = 2**25
"""Largest number of pixels of a frame; the largest detectors have half as many."""
BLOCK = 2**25
"""Bytes of frames that are read at a time."""
MOST_PACKED = 10**5
"""Largest compression ratio of patterns that is accepted: zstd packs a frame without counts by 30 000."""
ENTRIES = ("data_frames", "frames")
"""Entries that may hold the patterns, in the order in which they are tried."""


def read_frames(source: Source) -> Frames:
    """Return the patterns of a file without reading them; all links are followed.

    A result can be opened without its patterns: if its link is dangling, they are `MissingFrames`, with W211.

    Raises
    ------
    InputError
        If there are none, they are not at least two real images, or their filter or source files are missing.
    """
    try:
        dataset = find_frames(source)
    except InputError as error:
        missing = _missing_frames(source)
        if missing is not None:
            source.remark("W211", "frames", f"nothing at {error.found}", "the input file of the result", error.remedy)
            return missing
        raise InputError(
            error.what, where=error.where, found=error.found, remedy=_with_stacks(source, error.remedy)
        ) from None
    if dataset is None:
        remedy = _with_stacks(source, "Write the patterns there, or a link to them")
        raise InputError("The file has no patterns", where=source.where("frames"), remedy=remedy)
    missing = _frames_of_another_scan(source, dataset)
    if missing is not None:
        expected = f"the patterns of the result, of shape {missing.shape}"
        source.remark("W211", "frames", missing.reason, expected, "Put the original input file back in its place")
        return missing
    _check_stack(dataset)
    for name in files_of(dataset):
        note_followed(Path(dataset.file.filename).parent / name)
    problem = unreadable(dataset)
    if problem:
        missing = _missing_frames(source) if dataset.is_virtual else None
        if missing is not None:
            source.remark("W211", "frames", problem[0], "the input files of the result", problem[1])
            return missing
        raise InputError("The patterns cannot be read", where=name_of(dataset), found=problem[0], remedy=problem[1])
    frames, view = _frames(source, dataset), read_view(source)
    if view is None:
        return frames
    saturation = scalar(source, "saturation_value")
    known = saturation is not None and np.isfinite(saturation)
    return ViewedFrames(frames, view, saturation / view.bin**2 if known and saturation is not None else None)


def _frames(source: Source, dataset: h5py.Dataset) -> Frames:
    file = Path(dataset.file.filename).resolve()
    if dataset.ndim == 3:
        return Frames(file, dataset.name)
    rows, columns = dataset.shape[:2]
    found = f"a raster of {rows} x {columns} frames"
    source.remark("I308", "frames", found, "frames in a row", "The frames are used row by row")
    return ReorderedFrames(file, dataset.name, ("frame", "frame", "y", "x"))


def read_view(source: Source) -> View | None:
    """Return the view of a file's patterns, or None if they are used as stored.

    Raises
    ------
    InputError
        If it is not the JSON text of a view.
    """
    stored = text(source.dataset("frames_view"))
    try:
        return View(**parse_json(stored)) if stored else None
    except (ValueError, TypeError, InputError) as error:
        remedy = "Reconstruct again from the scan"
        raise InputError(
            "The view of the patterns cannot be read", where=source.where("frames_view"), found=error, remedy=remedy
        ) from error


def viewed_shape(source: Source, dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape of the patterns with the file's view applied; their own shape if the view cannot be read."""
    stored = tuple(dataset.shape or ())
    try:
        view = read_view(source)
        return stored if view is None or len(stored) != 3 else (len(dataset), *view.shape(stored[1:]))
    except InputError:
        return stored


def _missing_frames(source: Source) -> MissingFrames | None:
    """Return `MissingFrames` for a result that links to its patterns, or None for any other file."""
    link = source.file.get(source.path("frames"), getlink=True)
    mask, positions = source.dataset("mask"), source.dataset("positions")
    if source.dataset("object") is None:
        return None
    if mask is None or positions is None or (mask.ndim, positions.ndim) != (2, 2):
        return None
    shape, here = (len(positions), *mask.shape), Path(source.file.filename).resolve()
    if not isinstance(link, h5py.ExternalLink):
        return MissingFrames(here, source.path("frames"), shape, read_view(source)) if link is not None else None
    file = Path(os.path.normpath(here.parent / link.filename))
    return MissingFrames(file, link.path, shape, read_view(source))


def _frames_of_another_scan(source: Source, dataset: h5py.Dataset) -> MissingFrames | None:
    """Return `MissingFrames` for a result whose link leads to patterns of another shape, as of a replaced file."""
    link = source.file.get(source.path("frames"), getlink=True)
    missing = _missing_frames(source) if isinstance(link, h5py.ExternalLink) else None
    if missing is None or viewed_shape(source, dataset) == missing.shape or dataset.ndim == 4:
        return None
    missing.reason = f"patterns of shape {dataset.shape} in {missing.path}"
    return missing


def _with_stacks(source: Source, remedy: str) -> str:
    """Return a remedy, followed by the three-dimensional datasets that the file has."""
    stacks = candidates(source.file, 3)
    return f"{remedy}. Three-dimensional datasets in the file: {', '.join(stacks) or 'none'}"


def find_frames(source: Source) -> h5py.Dataset | None:
    """Return the dataset of the patterns with all links followed, or None."""
    for key in ENTRIES:
        dataset = source.dataset(key)
        if dataset is not None:
            return dataset
    return None


def _check_stack(dataset: h5py.Dataset) -> None:
    what, found, remedy = "", f"shape {dataset.shape}", ""
    if dataset.dtype.kind not in "iuf":
        what, found, remedy = (
            "The patterns are not real counts",
            str(dataset.dtype),
            "Store intensities as real numbers",
        )
    elif dataset.ndim not in (3, 4):
        what = "The patterns are not a stack of images"
        remedy = "Write three dimensions (npos, ny, nx), or four (rows, columns, ny, nx) of a raster"
    elif np.prod(dataset.shape[-2:], dtype=object) > MOST_PIXELS:
        what, remedy = "The patterns are too large", f"Write at most {MOST_PIXELS} pixels"
    elif dataset.size == 0 or min(dataset.shape[-2:]) < 2 or dataset.size // np.prod(dataset.shape[-2:]) < 2:
        what, remedy = "There are too few frames or pixels", "Ptychography needs at least two overlapping frames"
    if what:
        raise InputError(what, where=name_of(dataset), found=found, remedy=remedy)


def unreadable(dataset: h5py.Dataset) -> tuple[str, str] | None:
    """Return why a dataset cannot be read and a remedy, or None if it can be; reads no data."""
    plist = dataset.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        number, _, _, label = plist.get_filter(index)
        if not h5py.h5z.filter_avail(number):
            named = f" ({label.decode()})" if label else ""
            return f"compression filter {number}{named}, which is not installed", "Install it, or repack with gzip"
    if dataset.is_virtual:
        return _missing_source(dataset)
    return None


def _missing_source(dataset: h5py.Dataset) -> tuple[str, str] | None:
    """Return the first missing source of a virtual dataset. HDF5 fills its part with zeros without an error."""
    folder = Path(dataset.file.filename).parent
    remedy = "Move the source files to the paths in the virtual dataset"
    for name, inside in sorted({(s.file_name, s.dset_name) for s in dataset.virtual_sources()}):
        if "%" in name + inside:
            continue
        here = name == "."
        note_input(folder / name)
        found = resolve(dataset.file, inside) is not None if here else _holds(folder / name, inside)
        if not found:
            return f"a virtual dataset without its source {name}:{inside}", remedy
    return None


def _holds(file: Path, name: str) -> bool:
    try:
        with open_hdf5(file) as source:
            return name in source
    except OSError:
        return False


def readable_frames(dataset: h5py.Dataset, numbers: Iterable[int]) -> Iterator[tuple[int, NDArray[Any] | None]]:
    """Yield the number and the counts, shape (ny, nx), of some frames; None for counts that cannot be read.

    Neighbouring frames are read in blocks.

    Raises
    ------
    InputError
        If the patterns are large and their size is not plausible for the stored bytes.
    """
    if not dataset.is_virtual:
        require_plausible_size(dataset, MOST_PACKED)
    step = max(1, BLOCK // max(1, dataset.nbytes // max(1, len(dataset))))
    ordered = [int(number) for number in numbers]
    for start in range(0, len(ordered), step):
        block = ordered[start : start + step]
        try:
            run = block[-1] - block[0] == len(block) - 1
            counts = list(dataset[block[0] : block[-1] + 1]) if run else [dataset[number] for number in block]
        except DAMAGE:
            counts = [_one_frame(dataset, number) for number in block]
        yield from zip(block, counts, strict=True)


def _one_frame(dataset: h5py.Dataset, number: int) -> NDArray[Any] | None:
    try:
        return np.asarray(dataset[number])
    except DAMAGE:
        return None


def name_frames(numbers: Sequence[int], most: int = 12) -> str:
    """Return ascending numbers of frames as text, such as ``frames 3, 7-9``; at most a number of ranges."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in found[:most]]
    more = f" and {len(found) - most} more ranges" if len(found) > most else ""
    return f"{'frame' if len(numbers) == 1 else 'frames'} {', '.join(shown)}{more}"
