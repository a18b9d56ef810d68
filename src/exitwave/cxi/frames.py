"""The stack of frames: where it lies, and whether it can be read at all, without reading it."""

import json
import os
from pathlib import Path

import h5py
import numpy as np

from exitwave.cxi.hdf import Source, candidates, resolve, scalar, text
from exitwave.errors import InputError
from exitwave.frames import Frames, MissingFrames, View, ViewedFrames, open_hdf5
from exitwave.frames.reordered import ReorderedFrames

MOST_PIXELS = 2**25
"""Pixels of a frame; the largest detectors have half of them."""
PLACES = ("data_frames", "frames")
"""Entries that may hold the frames, in the order in which they are tried."""


def read_frames(source: Source) -> Frames:
    """Return the frames, unread, at the dataset that holds them (all links followed).

    A result keeps what can be shown without them: where its link leads nowhere they are `MissingFrames`, with W211.

    Raises
    ------
    InputError
        If there are none, they are not a stack of at least two real images, or their filter or sources are missing.
    """
    try:
        dataset = find_frames(source)
    except InputError as error:
        missing = _missing(source)
        if missing is not None:
            source.remark("W211", "frames", f"nothing at {error.found}", "the file that it was made from", error.remedy)
            return missing
        raise InputError(
            error.what, where=error.where, found=error.found, remedy=_others(source, error.remedy)
        ) from None
    if dataset is None:
        remedy = _others(source, "Write the frames there, or link them")
        raise InputError("The file has no frames", where=source.where("frames"), found="nothing", remedy=remedy)
    _check_stack(dataset)
    problem = unreadable(dataset)
    if problem:
        missing = _missing(source) if dataset.is_virtual else None
        if missing is not None:
            source.remark("W211", "frames", problem[0], "the files that it was made from", problem[1])
            return missing
        raise InputError("The frames cannot be read", where=name_of(dataset), found=problem[0], remedy=problem[1])
    frames, view = _frames(source, dataset), read_view(source)
    if view is None:
        return frames
    saturation = scalar(source, "saturation_value")
    known = saturation is not None and np.isfinite(saturation)
    return ViewedFrames(frames, view, saturation / view.bin**2 if known and saturation is not None else None)


def _frames(source: Source, dataset: h5py.Dataset) -> Frames:
    place = Path(dataset.file.filename).resolve()
    if dataset.ndim == 3:
        return Frames(place, dataset.name)
    rows, columns = dataset.shape[:2]
    found = f"a raster of {rows} x {columns} frames"
    source.remark("I308", "frames", found, "frames in a row", "They are taken row after row")
    return ReorderedFrames(place, dataset.name, ("frame", "frame", "y", "x"))


def read_view(source: Source) -> View | None:
    """Return how the frames of a file are looked at, or None where they are as they lie there.

    Raises
    ------
    InputError
        If it is not the JSON of a view.
    """
    stored = text(source.dataset("frames_view"))
    try:
        return View(**json.loads(stored)) if stored else None
    except (ValueError, TypeError, InputError) as error:
        remedy = "Reconstruct again from the scan"
        raise InputError(
            "The view of the frames cannot be read", where=source.where("frames_view"), found=error, remedy=remedy
        ) from error


def seen_shape(source: Source, dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape of a stack of frames as they are looked at; its own where the view cannot be read."""
    try:
        view = read_view(source)
        seen = (
            dataset.shape or () if view is None or dataset.ndim != 3 else (len(dataset), *view.shape(dataset.shape[1:]))
        )
    except InputError:
        return tuple(dataset.shape or ())
    return tuple(seen)


def _missing(source: Source) -> MissingFrames | None:
    """Return the frames that a result links to and that are not there; None for anything but such a result."""
    link = source.file.get(source.place("frames"), getlink=True)
    mask, positions = source.dataset("mask"), source.dataset("positions")
    if source.dataset("object") is None:
        return None
    if mask is None or positions is None or (mask.ndim, positions.ndim) != (2, 2):
        return None
    shape, here = (len(positions), *mask.shape), Path(source.file.filename).resolve()
    if not isinstance(link, h5py.ExternalLink):
        return MissingFrames(here, source.place("frames"), shape, read_view(source)) if link is not None else None
    file = Path(os.path.normpath(here.parent / link.filename))
    return MissingFrames(file, link.path, shape, read_view(source))


def _others(source: Source, remedy: str) -> str:
    """Return a remedy with the stacks that the file does hold."""
    stacks = candidates(source.file, 3)
    return f"{remedy}. The file has these stacks: {', '.join(stacks)}" if stacks else f"{remedy}. The file has no stack"


def find_frames(source: Source) -> h5py.Dataset | None:
    """Return the dataset of the frames, all links followed, or None."""
    for key in PLACES:
        dataset = source.dataset(key)
        if dataset is not None:
            return dataset
    return None


def name_of(dataset: h5py.Dataset) -> str:
    """Return ``file:path`` of a dataset, for messages."""
    return f"{dataset.file.filename}:{dataset.name}"


def _check_stack(dataset: h5py.Dataset) -> None:
    what, found, remedy = "", f"shape {dataset.shape}", ""
    if dataset.dtype.kind not in "iuf":
        what, found, remedy = (
            "The frames are not real counts",
            str(dataset.dtype),
            "Store intensities, not waves or text",
        )
    elif dataset.ndim not in (3, 4):
        what, remedy = (
            "The frames are not a stack of images",
            "Expected three dimensions (npos, ny, nx), or four of a raster",
        )
    elif np.prod(dataset.shape[-2:], dtype=object) > MOST_PIXELS:
        what, remedy = "The frames are too large", f"Expected at most {MOST_PIXELS} pixels"
    elif dataset.size == 0 or min(dataset.shape[-2:]) < 2 or dataset.size // np.prod(dataset.shape[-2:]) < 2:
        what, remedy = "There are too few frames or pixels", "Ptychography needs at least two overlapping frames"
    if what:
        raise InputError(what, where=name_of(dataset), found=found, remedy=remedy)


def unreadable(dataset: h5py.Dataset) -> tuple[str, str] | None:
    """Return what keeps a dataset from being read and what to do about it, or None; reads no data."""
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
    """HDF5 fills a virtual dataset with zeros where a source is missing, and says nothing."""
    folder = Path(dataset.file.filename).parent
    remedy = "Put the source files where the virtual dataset expects them"
    for name, inside in sorted({(s.file_name, s.dset_name) for s in dataset.virtual_sources()}):
        if "%" in name + inside:
            continue
        here = name == "."
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
