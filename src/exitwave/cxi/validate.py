"""Does a file keep to the schema? Findings, driven by the table: presence, kind, type, shape, unit, links, values."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.checks import check_typical, check_values
from exitwave.cxi.frames import seen_shape
from exitwave.cxi.hdf import Source, reading, text, units_of
from exitwave.cxi.schema import BY_KEY, BY_PATH, TABLE, Entry, path
from exitwave.errors import Finding, InputError
from exitwave.units import factor

Lengths = dict[str, int]
CASTABLE = "frames"
"""Entry that may be any real number with a warning: counters write integers, and a result links to them."""
_FAMILIES = {"f": "iuf", "i": "iub", "u": "iub", "c": "c", "O": "OSU"}


def validate(file: str | Path) -> list[Finding]:
    """Check a file against the schema. The frames are sampled, not read.

    Parameters
    ----------
    file : str or Path
        The file. It is opened read-only, without a lock.

    Returns
    -------
    list of Finding
        Errors where the file departs from the schema, warnings where it is unusual; empty where all is well.

    Raises
    ------
    InputError
        If it cannot be opened at all: missing, not HDF5, truncated.
    """
    with reading(file) as opened:
        source = Source(opened)
        lengths = _lengths(source)
        for entry in TABLE:
            if entry.need != "foreign" and _expected(source, entry):
                _CHECKS[entry.kind](source, entry, lengths)
        check_values(source)
        check_typical(source, os.path.getsize(file))
        return _unique(source.remarks)


def _unique(findings: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: "EWI".index(finding.code[0]))


def quiet(source: Source, name: str) -> Any:
    """Return an entry's object with links followed, or None where it is missing or its link leads nowhere."""
    try:
        return source.find(name)
    except InputError:
        return None


def _expected(source: Source, entry: Entry) -> bool:
    """Say whether the file has the part that an entry belongs to."""
    head = {"data": "", "result": "image", "truth": "truth"}[entry.part]
    return not head or quiet(source, head) is not None


def _lengths(source: Source) -> Lengths:
    """Return what the symbols stand for, from the arrays that define them."""
    lengths: Lengths = {}
    for key in ("frames", "object"):
        dataset = quiet(source, key)
        symbols = [str(symbol) for symbol in BY_KEY[key].shape]
        if isinstance(dataset, h5py.Dataset) and dataset.ndim < len(symbols):
            symbols = [symbol for symbol in symbols if not symbol.endswith("?")]
        if isinstance(dataset, h5py.Dataset) and dataset.ndim == len(symbols):
            shape = seen_shape(source, dataset) if key == "frames" else dataset.shape
            lengths |= dict(zip(symbols, shape, strict=True))
    return lengths


def _find(source: Source, entry: Entry) -> Any:
    """Return the object of an entry, or None after a finding."""
    try:
        found = source.find(entry.key)
    except InputError as error:
        source.remark("E106", entry.key, f"{error.what}: {error.found}", "a link that can be followed", error.remedy)
        return None
    if found is None:
        _missing(source, entry)
    return found


def _missing(source: Source, entry: Entry) -> None:
    """Find a required entry missing, unless its group is missing already."""
    if entry.need == "required" and (entry.kind == "attribute" or _owner(source, entry) is not None):
        remedy = "Write it, or open the file and save it with Exitwave"
        source.remark("E101", entry.key, "nothing", f"{entry.kind}: {entry.meaning}", remedy)


def _check_group(source: Source, entry: Entry, lengths: Lengths) -> None:
    found = _find(source, entry)
    if found is not None and not isinstance(found, h5py.Group):
        source.remark("E102", entry.key, "a dataset", "a group", "Write a group")


def _check_dataset(source: Source, entry: Entry, lengths: Lengths) -> None:
    found = _find(source, entry)
    if found is None:
        return
    if not isinstance(found, h5py.Dataset):
        source.remark("E102", entry.key, "a group", "a dataset", "Write a dataset")
        return
    _check_type(source, entry, found.dtype)
    shape = seen_shape(source, found) if entry.key == "frames" else found.shape
    _check_shape(source, entry, shape, lengths)
    if entry.units:
        _check_units(source, entry, found)


def _check_attribute(source: Source, entry: Entry, lengths: Lengths) -> None:
    owner = _owner(source, entry)
    if owner is None:
        return
    if entry.name not in owner.attrs:
        _missing(source, entry)
        return
    stored = owner.attrs.get_id(entry.name)
    _check_type(source, entry, stored.dtype)
    _check_shape(source, entry, stored.shape, lengths)
    if entry.value is None or entry.need != "required":
        return
    found = owner.attrs[entry.name]
    same = text(found) == entry.value if entry.dtype == "str" else np.array_equal(found, entry.value)
    if not same:
        source.remark("E108", entry.key, text(found), str(entry.value), "Write this value")


def _owner(source: Source, entry: Entry) -> Any:
    return source.file["/"] if entry.owner == "/" else quiet(source, BY_PATH[entry.owner].key)


def _check_link(source: Source, entry: Entry, lengths: Lengths) -> None:
    parent = _owner(source, entry)
    link = parent.get(entry.name, getlink=True) if isinstance(parent, h5py.Group) else None
    if link is None:
        _missing(source, entry)
    elif not isinstance(link, h5py.SoftLink):
        kind = "an external link" if isinstance(link, h5py.ExternalLink) else "an object of its own"
        source.remark("E102", entry.key, kind, f"a soft link to {path(entry.target)}", "Write a soft link")
    else:
        found, target = _find(source, entry), quiet(source, entry.target)
        if found is not None and found != target:
            source.remark("E107", entry.key, link.path, path(entry.target), "Write a soft link to this path")


_CHECKS = {"group": _check_group, "dataset": _check_dataset, "attribute": _check_attribute, "link": _check_link}


def _check_type(source: Source, entry: Entry, found: np.dtype[Any]) -> None:
    """Ask for exactly the type of the table of required arrays, and for its family of everything else."""
    wanted = np.dtype(object if entry.dtype == "str" else entry.dtype)
    family = found.kind in _FAMILIES[wanted.kind]
    exact = entry.need == "required" and (entry.kind == "dataset" or wanted.kind == "f") and wanted.kind != "O"
    if family and (not exact or found.newbyteorder("=") == wanted):
        return
    if family and entry.key == CASTABLE:
        source.remark("W210", entry.key, str(found), entry.dtype, "Other programs may expect it; saving converts it")
    else:
        source.remark("E103", entry.key, str(found), entry.dtype, "Write it with this type")


def _check_shape(source: Source, entry: Entry, found: tuple[int, ...] | None, lengths: Lengths) -> None:
    if found is None:
        source.remark("E104", entry.key, "an empty dataset", f"shape {entry.shape}", "Write its values")
        return
    symbols = list(entry.shape)
    if len(found) < len(symbols):
        symbols = [symbol for symbol in symbols if not str(symbol).endswith("?")]
    fits = len(found) == len(symbols)
    for symbol, length in zip(symbols, found, strict=False):
        known = symbol if isinstance(symbol, int) or symbol == "any" else lengths.setdefault(symbol, length)
        fits = fits and known in (length, "any")
    if not fits:
        known_lengths = tuple(lengths.get(str(symbol), symbol) for symbol in symbols)
        drawn = f"({', '.join(map(str, symbols))})" if symbols else "a scalar"
        expected = f"{drawn}, here {known_lengths}" if symbols else drawn
        source.remark("E104", entry.key, f"shape {found}", expected, "Write it with this shape")


def _check_units(source: Source, entry: Entry, dataset: h5py.Dataset) -> None:
    unit = units_of(dataset, entry.key)
    if not unit:
        if entry.group_units and entry.need == "required":
            source.remark("E105", entry.key, "no unit", f"@units = {entry.units}", "Write @units on the dataset")
        return
    dimension = "length" if entry.units == "m" else "energy"
    try:
        same = unit == entry.units or factor(unit, dimension) == factor(entry.units, dimension)
    except InputError:
        same = False
    if not same:
        source.remark("E105", entry.key, f"@units = {unit}", f"@units = {entry.units}", "Convert the values")
