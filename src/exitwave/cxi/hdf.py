"""Read HDF5 files of any origin: open them without a lock, follow links, and read scalars, text and units."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.heap import is_endless
from exitwave.cxi.links import refuse_links_outside
from exitwave.cxi.schema import BY_KEY, ENTRY, path
from exitwave.errors import DAMAGE, Finding, InputError, damaged
from exitwave.findings import finding
from exitwave.frames import open_hdf5
from exitwave.frames.confine import is_confined, note_followed
from exitwave.inputs import note_input
from exitwave.memory import require_memory
from exitwave.units import factor

LARGE = 2**28
"""Arrays up to this size in bytes are read without a check; of larger ones the file must hold enough data."""
PACKED = 1100
"""Largest compression ratio (gzip) that is accepted for such a larger array."""
MOST_LINKS = 32
"""A chain of more links than this is a loop."""


@dataclass(frozen=True)
class Layout:
    """Paths of a file's entries that differ from the schema."""

    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Possible paths of an entry, by its key, in the order in which they are tried."""
    entry: str = ENTRY
    """The group that corresponds to the entry of the schema."""
    positions_in_rows: bool = False
    """Whether positions are stored as (3, npos) where their shape is ambiguous."""


@dataclass(frozen=True)
class Source:
    """An open file with the user's overrides, the remarks collected while it is read, and its layout."""

    file: h5py.File
    overrides: Mapping[str, str] = field(default_factory=dict)
    remarks: list[Finding] = field(default_factory=list)
    layout: Layout = field(default_factory=Layout)

    def remark(self, code: str, key: str, found: object, expected: str, remedy: str = "") -> None:
        """Add a finding about the entry ``key``."""
        self.remarks.append(finding(code, self.path(key), found, expected, remedy))

    def where(self, key: str) -> str:
        """Return ``file:path`` of an entry, for messages."""
        return f"{self.file.filename}:{self.path(key)}"

    def in_entry(self, schema_path: str) -> str:
        """Return a path of the schema with the schema's entry replaced by that of this file."""
        return schema_path if self.layout.entry == ENTRY else schema_path.replace(ENTRY, self.layout.entry, 1)

    def _candidates(self, key: str) -> list[str]:
        return [self.in_entry(name) for name in self.layout.paths.get(key, (path(key),))]

    def paths(self, key: str) -> list[str]:
        """Return the paths at which an entry exists, in order of precedence; a link there may be dangling."""
        return [name for name in self._candidates(key) if _exists(self.file, name)]

    def path(self, key: str) -> str:
        """Return the path at which an entry exists, or else the path where it is expected."""
        candidates = self._candidates(key)
        return next((name for name in candidates if _exists(self.file, name)), candidates[0])

    def find(self, key: str) -> Any:
        """Return the dataset or group of an entry with its links followed, or None."""
        return resolve(self.file, self.path(key))

    def dataset(self, key: str) -> h5py.Dataset | None:
        """Return the dataset of an entry with its links followed, or None if it is missing or has no value."""
        found = self.find(key)
        return found if isinstance(found, h5py.Dataset) and found.shape is not None else None


def _exists(file: h5py.File, name: str) -> bool:
    with suppress(KeyError, OSError, RuntimeError):
        return file.get(name, getlink=True) is not None
    return False


def name_of(thing: h5py.Dataset | h5py.Group) -> str:
    """Return ``file:path`` of a dataset or group, for messages."""
    return f"{thing.file.filename}:{thing.name}"


def _member_name(group: h5py.Group, part: str) -> str:
    """Return ``file:path`` of a member of a group, which may be a link."""
    return f"{group.file.filename}:{group.name.rstrip('/')}/{part}"


def open_file(file: str | Path) -> h5py.File:
    """Open an HDF5 file for reading, without a lock.

    Raises
    ------
    InputError
        If the file does not exist, is not HDF5, is truncated or damaged, or cannot be opened; where files are confined,
        also if one of its links leads outside its folder.
    """
    name = Path(file)
    note_input(name)
    if not name.is_file():
        what = "This is a folder, not a file" if name.is_dir() else "The file does not exist"
        raise InputError(what, where=name, remedy="Check the path")
    try:
        if is_endless(name):
            remedy = "Copy it again from the original, or repair it with h5repack"
            raise InputError("The file is damaged", where=name, found="an endless heap of text", remedy=remedy)
        if is_confined():
            refuse_links_outside(name)
        return open_hdf5(name)
    except OSError as error:
        reason = str(error)
    size = f"{name.stat().st_size} bytes"
    if "truncated" in reason or "eof" in reason:
        raise InputError("The file is truncated", where=name, found=size, remedy="Copy it again from the original")
    if "signature" in reason:
        raise InputError("The file is not an HDF5 file", where=name, found=size, remedy="Give a CXI (HDF5) file")
    remedy = "Check that you have permission to read it"
    raise InputError("The file cannot be opened", where=name, found=reason, remedy=remedy)


@contextmanager
def reading(name: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; errors of HDF5 about a damaged file become InputError."""
    with open_file(name) as file:
        try:
            yield file
        except DAMAGE as error:
            raise damaged(name, error) from error


def resolve(file: h5py.File, name: str) -> Any:
    """Return the object at an absolute path with all soft and external links followed, or None.

    The name and the file of the returned object are its own, not those of a link to it.

    Raises
    ------
    InputError
        If a link on the way is dangling, or links form a loop.
    """
    link_and_target: tuple[str, str] | None = None
    for _ in range(MOST_LINKS):
        here: Any = file["/"]
        parts = [part for part in PurePosixPath(name).parts if part != "/"]
        for index, part in enumerate(parts):
            link = _link(here, part) if isinstance(here, h5py.Group) else None
            if link is None:
                return _missing_target(link_and_target)
            if not isinstance(link, h5py.HardLink):
                link_and_target = _member_name(here, part), link.path
                file, name = _follow(here, part, link, "/".join(parts[index + 1 :]))
                break
            here = _member(here, part)
        else:
            return here
    raise InputError("The links form a loop", where=f"{file.filename}:{name}", remedy="Repair the link in the file")


def _link(group: h5py.Group, part: str) -> Any:
    try:
        return group.get(part, getlink=True)
    except DAMAGE as error:
        raise damaged(_member_name(group, part), error) from error


def _missing_target(link_and_target: tuple[str, str] | None) -> None:
    """Return None where a path without links does not exist; raise InputError where a link led to it."""
    if link_and_target is not None:
        where, target = link_and_target
        remedy = "Repair the link, or write the dataset to which it points"
        raise InputError("The link has no target", where=where, found=target, remedy=remedy)


def _member(group: h5py.Group, part: str) -> Any:
    try:
        return group[part]
    except DAMAGE as error:
        raise damaged(_member_name(group, part), error) from error


def _follow(group: h5py.Group, part: str, link: Any, rest: str) -> tuple[h5py.File, str]:
    """Return the file and the path to which a link and the rest of a path lead."""
    target = str(PurePosixPath(link.path) / rest)
    if isinstance(link, h5py.SoftLink):
        return group.file, target if target.startswith("/") else f"{group.name.rstrip('/')}/{target}"
    _note_linked_files(Path(group.file.filename).parent, link)
    try:
        file = group[part].file
        note_followed(file.filename)
        return file, target
    except (KeyError, OSError) as error:
        raise InputError(
            "The link has no target",
            where=_member_name(group, part),
            found=f"{link.filename}:{link.path}",
            remedy="Move the linked file to the path in the link, relative to this file",
        ) from error


def _note_linked_files(folder: Path, link: Any) -> None:
    """Note all files of a chain of external links, before HDF5 follows it: a pipe among them would block it."""
    for _ in range(MOST_LINKS):
        file = folder / link.filename
        note_input(file)
        try:
            with open_hdf5(file) as source:
                link = source.get(link.path, getlink=True)
        except (KeyError, OSError, RuntimeError):
            return
        if not isinstance(link, h5py.ExternalLink):
            return
        folder = file.parent


def members(group: Any) -> list[str]:
    """Return the names of a group's members, or none if it is not a group. h5py returns damaged names as bytes."""
    return [text(name) for name in group] if isinstance(group, h5py.Group) else []


def holds_lists(dataset: h5py.Dataset) -> bool:
    """Return whether values are lists of variable length. Damaged text can appear as such lists and crash HDF5."""
    return h5py.check_string_dtype(dataset.dtype) is None and h5py.check_vlen_dtype(dataset.dtype) is not None


def whole(dataset: h5py.Dataset) -> Any:
    """Return all values of a dataset.

    Raises
    ------
    InputError
        If it is empty, holds lists of variable length, or is large and its size is not plausible for the stored bytes
        or more than the free memory.
    """
    where = name_of(dataset)
    if dataset.shape is None:
        raise InputError("The dataset is empty", where=where, remedy="Write its values, or leave it out")
    if holds_lists(dataset):
        remedy = "Write plain numbers or text, or copy the file again if it is damaged"
        raise InputError("The dataset holds lists of variable length", where=where, found=dataset.dtype, remedy=remedy)
    require_plausible_size(dataset)
    size = dataset.dtype.itemsize * math.prod(dataset.shape)
    if size > LARGE:
        details, remedy = f"{dataset.dtype} of shape {dataset.shape}", "Leave it out of the file, or free some memory"
        require_memory(size, "The array", where=where, details=details, remedy=remedy)
    return dataset[()]


def require_plausible_size(dataset: h5py.Dataset, packed: int = PACKED) -> None:
    """Raise InputError if a dataset is large, and larger than ``packed`` times its stored bytes."""
    size = dataset.dtype.itemsize * math.prod(dataset.shape or ())
    if size > LARGE and size > packed * dataset.id.get_storage_size():
        found, remedy = f"{dataset.dtype} of shape {dataset.shape}", "Leave it out of the file"
        raise InputError("The array is too large", where=name_of(dataset), found=found, remedy=remedy)


def text(value: Any) -> str:
    """Return the text of an attribute or dataset (str, bytes or an array of one of them); "" if it is empty."""
    if isinstance(value, h5py.Dataset):
        value = None if value.shape is None else whole(value)
    if value is None or isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    words = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return words.encode("utf-8", "replace").decode("utf-8")  # h5py returns bytes that are no UTF-8 as surrogates


def attribute(source: Source, key: str) -> Any:
    """Return the value of an attribute entry, or None."""
    owner = resolve(source.file, source.in_entry(BY_KEY[key].owner))
    value = None if owner is None else owner.attrs.get(BY_KEY[key].name)
    return None if isinstance(value, h5py.Empty) else value


def units_of(dataset: h5py.Dataset, key: str) -> str:
    """Return the unit of an entry: that of its dataset, else that of its group if the schema has one there, else ""."""
    holders = [dataset, dataset.parent] if BY_KEY[key].group_units else [dataset]
    for holder in holders:
        if "units" in holder.attrs:
            return text(holder.attrs["units"]).strip()
    return ""


def one_number(value: Any, where: str, kinds: str = "biuf") -> float:
    """Return the number that an attribute or dataset holds as a scalar, as one element or as a constant array.

    Parameters
    ----------
    value : array_like
        What the attribute or dataset holds.
    where : str
        ``file:path``, for messages.
    kinds : str
        Kinds of NumPy types that are accepted.

    Raises
    ------
    InputError
        If it is not a real number, or an array whose values differ.
    """
    values = np.asarray(value)
    if values.dtype.kind not in kinds or not values.size:
        found = f"{values.dtype} of shape {values.shape}"
        raise InputError("The value is not a number", where=where, found=found, remedy="Write one number, as a scalar")
    flat = values.astype(np.float64).ravel()
    if not np.allclose(flat, flat[0], rtol=1e-6, atol=0, equal_nan=True):
        found = f"{flat.size} values from {flat.min():g} to {flat.max():g}"
        remedy = "Write one value for the scan"
        raise InputError(
            "One number is needed, but the values of the array differ", where=where, found=found, remedy=remedy
        )
    return float(flat[0])


def scalar(source: Source, key: str) -> float | None:
    """Return the number of an entry, as `one_number` does, or None where the dataset is missing.

    Raises
    ------
    InputError
        If it is not a real number, or an array whose values differ.
    """
    dataset = source.dataset(key)
    return None if dataset is None else one_number(whole(dataset), source.where(key), "iuf")


def length(source: Source, key: str, override: str) -> float:
    """Return a positive length in metres; ``override`` is the name of the setting that replaces it.

    Raises
    ------
    InputError
        If it is missing, has an unknown unit, or is not positive and finite.
    """
    value = scalar(source, key)
    name, example = override.replace("_", " "), {"distance": "2m", "pixel_size": "75um"}[override]
    remedy = f"Give it with --set {override}={example}"
    dataset = source.dataset(key)
    if value is None or dataset is None:
        raise InputError(f"The file has no {name}", where=source.where(key), remedy=remedy)
    unit = units_of(dataset, key) or "m"
    metres = value * known_factor(source, key, unit, "length")
    if not (np.isfinite(metres) and metres > 0):
        found = f"{value:g} {unit}"
        raise InputError(f"The {name} must be positive", where=source.where(key), found=found, remedy=remedy)
    if metres != value:
        source.remark("W204", key, f"{value:g} {unit}", "metres", f"It was converted to {metres:g} m")
    return float(metres)


def known_factor(source: Source, key: str, unit: str, dimension: str) -> float:
    """Return the factor from the unit of an entry to metres or eV; an unknown unit is reported with its place."""
    try:
        return factor(unit, dimension)
    except InputError as error:
        where = f"{source.where(key)}@units"
        raise InputError(error.what, where=where, found=error.found, remedy=error.remedy) from None


def candidates(file: h5py.File, ndim: int) -> list[str]:
    """Return names and shapes of up to 8 numeric datasets of a dimensionality, for messages."""
    names: list[str] = []

    def visit(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.ndim == ndim and thing.dtype.kind in "iuf":
            names.append(f"/{name} {thing.shape}")

    with suppress(RuntimeError, KeyError, OSError, ValueError):
        file.visititems(visit)
    return names[:8]
