"""HDF5 for readers that trust nobody: open without a lock, follow links, and read scalars, text and units."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.heap import is_endless
from exitwave.cxi.schema import BY_KEY, ENTRY, path
from exitwave.errors import DAMAGE, Finding, InputError, damaged
from exitwave.findings import finding
from exitwave.frames import open_hdf5
from exitwave.units import factor

LARGE = 2**28
"""Bytes that an array may have without question; more must be there in the file."""
PACKED = 1100
"""Most times that such a larger array may have been packed, by gzip."""
MOST_LINKS = 32
"""More links than this in a row are a circle."""


@dataclass(frozen=True)
class Layout:
    """Where a file has its entries, as far as that is not where the schema has them."""

    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Paths at which an entry may be, by its key, in the order in which they are tried."""
    entry: str = ENTRY
    """The group that stands in the place of the schema's entry."""
    positions_in_rows: bool = False
    """Whether positions are stored (3, npos) where their shape does not tell."""


@dataclass(frozen=True)
class Source:
    """An open file, what the user overrides, the remarks gathered while reading, and where the file has its entries."""

    file: h5py.File
    overrides: Mapping[str, str] = field(default_factory=dict)
    remarks: list[Finding] = field(default_factory=list)
    layout: Layout = field(default_factory=Layout)

    def remark(self, code: str, key: str, found: object, expected: str, remedy: str = "") -> None:
        """Note a finding about the entry ``key``."""
        self.remarks.append(finding(code, self.place(key), found, expected, remedy))

    def where(self, key: str) -> str:
        """Return ``file:path`` of an entry, for messages."""
        return f"{self.file.filename}:{self.place(key)}"

    def moved(self, place: str) -> str:
        """Return a path of the schema in the entry of this file."""
        return place if self.layout.entry == ENTRY else place.replace(ENTRY, self.layout.entry, 1)

    def places(self, key: str) -> list[str]:
        """Return the paths at which an entry is (a link may lead nowhere), the one to believe first."""
        return [
            place for name in self.layout.places.get(key, (path(key),)) if _is_there(self, place := self.moved(name))
        ]

    def place(self, key: str) -> str:
        """Return the path at which an entry is, or would be."""
        return next(iter(self.places(key)), self.moved(self.layout.places.get(key, (path(key),))[0]))

    def find(self, key: str) -> Any:
        """Return the dataset or group of an entry, its links followed, or None."""
        return resolve(self.file, self.place(key))

    def dataset(self, key: str) -> h5py.Dataset | None:
        """Return the dataset of an entry, its links followed, or None; one without a value is none."""
        found = self.find(key)
        return found if isinstance(found, h5py.Dataset) and found.shape is not None else None


def _is_there(source: Source, place: str) -> bool:
    with suppress(KeyError, OSError, RuntimeError):
        return source.file.get(place, getlink=True) is not None
    return False


def open_file(file: str | Path) -> h5py.File:
    """Open an HDF5 file to read, without a lock.

    Raises
    ------
    InputError
        If there is no such file, or it is not HDF5 or truncated.
    """
    place = Path(file)
    if not place.is_file():
        what = "This is a folder, not a file" if place.is_dir() else "There is no such file"
        raise InputError(what, found=place, remedy="Check the path")
    try:
        if is_endless(place):
            remedy = "Copy it again from where it was written, or repair it with h5repack"
            raise InputError("The file is damaged", where=place, found="a heap of text without an end", remedy=remedy)
        return open_hdf5(place)
    except OSError as error:
        text = str(error)
    size = f"{place.stat().st_size} bytes"
    if "truncated" in text or "eof" in text:
        raise InputError(
            "The file is truncated", where=place, found=size, remedy="Copy it again from where it was written"
        )
    if "signature" in text:
        raise InputError("This is not an HDF5 file", where=place, found=size, remedy="Give a CXI (HDF5) file")
    raise InputError("The file cannot be opened", where=place, found=text, remedy="Check that you may read it")


@contextmanager
def reading(place: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; what HDF5 says of a damaged one becomes InputError."""
    with open_file(place) as file:
        try:
            yield file
        except DAMAGE as error:
            raise damaged(place, error) from error


def resolve(file: h5py.File, name: str) -> Any:
    """Return the object at an absolute path by its own name, all soft and external links followed, or None.

    The name and the file of what is returned are those of the object itself, not of a link to it.

    Raises
    ------
    InputError
        If a link on the way leads nowhere.
    """
    came_from: tuple[str, str] | None = None
    for _ in range(MOST_LINKS):
        here: Any = file["/"]
        parts = [part for part in PurePosixPath(name).parts if part != "/"]
        for index, part in enumerate(parts):
            link = _link(here, part) if isinstance(here, h5py.Group) else None
            if link is None:
                return _nothing(came_from)
            if not isinstance(link, h5py.HardLink):
                came_from = f"{here.file.filename}:{here.name.rstrip('/')}/{part}", link.path
                file, name = _follow(here, part, link, "/".join(parts[index + 1 :]))
                break
            here = _step(here, part)
        else:
            return here
    raise InputError("A link runs in a circle", where=f"{file.filename}:{name}", remedy="Repair the link in the file")


def _link(group: h5py.Group, part: str) -> Any:
    try:
        return group.get(part, getlink=True)
    except DAMAGE as error:
        raise damaged(f"{group.file.filename}:{group.name.rstrip('/')}/{part}", error) from error


def _nothing(came_from: tuple[str, str] | None) -> None:
    if came_from is not None:
        where, target = came_from
        remedy = "Repair the link or write the dataset that it names"
        raise InputError("A link leads nowhere", where=where, found=target, remedy=remedy)


def _step(group: h5py.Group, part: str) -> Any:
    try:
        return group[part]
    except DAMAGE as error:
        raise damaged(f"{group.file.filename}:{group.name.rstrip('/')}/{part}", error) from error


def _follow(group: h5py.Group, part: str, link: Any, rest: str) -> tuple[h5py.File, str]:
    """Return the file and the path at which the way goes on behind a link."""
    target = str(PurePosixPath(link.path) / rest)
    if isinstance(link, h5py.SoftLink):
        return group.file, target if target.startswith("/") else f"{group.name.rstrip('/')}/{target}"
    try:
        return group[part].file, target
    except (KeyError, OSError) as error:
        raise InputError(
            "A link leads nowhere",
            where=f"{group.file.filename}:{group.name.rstrip('/')}/{part}",
            found=f"{link.filename}:{link.path}",
            remedy="Put the linked file where the link expects it, relative to this file",
        ) from error


def members(group: Any) -> list[str]:
    """Return the names in a group; of anything else none. h5py gives names as bytes where they are damaged."""
    return [text(name) for name in group] if isinstance(group, h5py.Group) else []


def holds_lists(dataset: h5py.Dataset) -> bool:
    """Say whether the values are lists of any length, as nothing here is; damage can make text such, and crash HDF5."""
    return h5py.check_string_dtype(dataset.dtype) is None and h5py.check_vlen_dtype(dataset.dtype) is not None


def whole(dataset: h5py.Dataset) -> Any:
    """Return all that a dataset holds.

    Raises
    ------
    InputError
        If it is empty, holds lists, or says to be large and far larger than what the file has of it.
    """
    if dataset.shape is None:
        where = f"{dataset.file.filename}:{dataset.name}"
        raise InputError("A dataset is empty", where=where, remedy="Write its values, or leave it out")
    if holds_lists(dataset):
        where = f"{dataset.file.filename}:{dataset.name}"
        remedy = "Write plain numbers or text, or copy the file again if it is damaged"
        raise InputError("A dataset holds lists of any length", where=where, found=dataset.dtype, remedy=remedy)
    size = dataset.dtype.itemsize * math.prod(dataset.shape)
    if size > LARGE and size > PACKED * dataset.id.get_storage_size():
        where, found = f"{dataset.file.filename}:{dataset.name}", f"{dataset.dtype} of shape {dataset.shape}"
        raise InputError("An array is too large", where=where, found=found, remedy="Leave it out of the file")
    return dataset[()]


def text(value: Any) -> str:
    """Return a string from an attribute or dataset: str, bytes, an array of one of them, or nothing."""
    if isinstance(value, h5py.Dataset):
        value = None if value.shape is None else whole(value)
    if value is None or isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def attribute(source: Source, key: str) -> Any:
    """Return the value of an attribute entry, or None."""
    owner = resolve(source.file, source.moved(BY_KEY[key].owner))
    value = None if owner is None else owner.attrs.get(BY_KEY[key].name)
    return None if isinstance(value, h5py.Empty) else value


def units_of(dataset: h5py.Dataset, key: str) -> str:
    """Return the unit that a file states for an entry: on the dataset, else on its group where the schema draws it."""
    holders = [dataset, dataset.parent] if BY_KEY[key].group_units else [dataset]
    for holder in holders:
        if "units" in holder.attrs:
            return text(holder.attrs["units"]).strip()
    return ""


def scalar(source: Source, key: str) -> float | None:
    """Return a number stored as scalar, as (1,) or as a constant array, or None where the dataset is missing.

    Raises
    ------
    InputError
        If it is not a real number, or an array whose values differ.
    """
    dataset = source.dataset(key)
    if dataset is None:
        return None
    if dataset.dtype.kind not in "iuf" or dataset.size in (0, None):
        raise InputError(
            "Not a number",
            where=source.where(key),
            found=f"{dataset.dtype}, shape {dataset.shape}",
            remedy="Write one number, as a scalar",
        )
    values = np.asarray(whole(dataset), dtype=np.float64).ravel()
    low, high = float(values.min()), float(values.max())
    if high - low > 1e-6 * abs(high):
        raise InputError(
            "One number is needed, but an array holds several",
            where=source.where(key),
            found=f"{values.size} values from {low:g} to {high:g}",
            remedy="Write one value for the scan",
        )
    return float(values[0])


def length(source: Source, key: str, override: str) -> float:
    """Return a positive length in metres; ``override`` names the setting that replaces it.

    Raises
    ------
    InputError
        If it is missing, has an unknown unit, or is not positive and finite.
    """
    value = scalar(source, key)
    example = {"distance": "2m", "pixel_size": "75um"}[override]
    remedy = f"Give it with --set {override}={example}"
    if value is None:
        raise InputError("The file lacks a length", where=source.where(key), found="nothing", remedy=remedy)
    dataset = source.dataset(key)
    assert dataset is not None
    unit = units_of(dataset, key) or "m"
    metres = value * known_factor(source, key, unit, "length")
    if not (np.isfinite(metres) and metres > 0):
        raise InputError("A length must be positive", where=source.where(key), found=value, remedy=remedy)
    if metres != value:
        source.remark("W204", key, f"{value:g} {unit}", "metres", f"It was read as {metres:g} m")
    return float(metres)


def known_factor(source: Source, key: str, unit: str, dimension: str) -> float:
    """Return the factor of a unit found in a file to SI, naming the place in the message if it is unknown."""
    try:
        return factor(unit, dimension)
    except InputError as error:
        raise InputError(
            error.what, where=f"{source.where(key)}@units", found=error.found, remedy=error.remedy
        ) from None


def candidates(file: h5py.File, ndim: int) -> list[str]:
    """Return the numeric datasets of a dimensionality, for messages that ask for one."""
    names: list[str] = []

    def visit(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.ndim == ndim and thing.dtype.kind in "iuf":
            names.append(f"/{name} {thing.shape}")

    with suppress(RuntimeError, KeyError, OSError, ValueError):
        file.visititems(visit)
    return names[:8]
