"""Check a file against the schema: presence, kind, type, shape, unit and target of every entry, and values."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.checks import check_typical, check_values
from exitwave.cxi.frames import viewed_shape
from exitwave.cxi.hdf import Source, reading, text, units_of
from exitwave.cxi.read import read
from exitwave.cxi.schema import BY_KEY, BY_PATH, TABLE, Entry, path
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.units import factor

Lengths = dict[str, int]
CASTABLE = "frames"
"""Entry of which any real type gives only a warning: counting detectors write integers, and results link to them."""
_FAMILIES = {"f": "iuf", "i": "iub", "u": "iub", "c": "c", "O": "OSU"}


def validate(file: str | Path, *, quick: bool = False) -> list[Finding]:
    """Check a file against the schema, and whether it can be opened as a scan or a result.

    Parameters
    ----------
    file : str or Path
        The file. It is opened read-only, without a lock.
    quick : bool
        Whether only a sample of the frames is read, see `exitwave.cxi.checks.SAMPLE`; otherwise all of them.

    Returns
    -------
    list of Finding
        Errors for departures from the schema, warnings for unusual values; empty if there are none.

    Raises
    ------
    InputError
        If the file cannot be opened: it is missing, not HDF5 or truncated.
    """
    with reading(file) as opened:
        source = Source(opened)
        lengths = _lengths(source)
        for entry in TABLE:
            if entry.need != "foreign" and _expected(source, entry):
                _CHECKS[entry.kind](source, entry, lengths)
        check_values(source, quick=quick)
        check_typical(source, os.path.getsize(file))
        found = _unique(source.remarks)
    return found if any(each.level == "error" for each in found) else [*_refusal(file), *found]


def _refusal(file: str | Path) -> list[Finding]:
    """Return the finding on a file that `exitwave.cxi.read.read` refuses, although it has all entries of the schema."""
    try:
        read(file)
    except InputError as error:
        place = error.where.removeprefix(f"{file}:")
        remedy = error.remedy or "Copy the file again from the original"
        return [finding("E118", place, f"{error.what} ({error.found})", "a file that can be opened", remedy)]
    return []


def _unique(findings: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: "EWI".index(finding.code[0]))


def _find_or_none(source: Source, name: str) -> Any:
    """Return the object of an entry with links followed, or None if it is missing or its link is dangling."""
    try:
        return source.find(name)
    except InputError:
        return None


def _expected(source: Source, entry: Entry) -> bool:
    """Return whether the file has the section to which an entry belongs."""
    head = {"data": "", "result": "image", "truth": "truth"}[entry.section]
    return not head or _find_or_none(source, head) is not None


def _lengths(source: Source) -> Lengths:
    """Return the lengths of the symbols in shapes, from the arrays that define them."""
    lengths: Lengths = {}
    for key in ("frames", "object"):
        dataset = _find_or_none(source, key)
        symbols = [str(symbol) for symbol in BY_KEY[key].shape]
        if isinstance(dataset, h5py.Dataset) and dataset.ndim < len(symbols):
            symbols = [symbol for symbol in symbols if not symbol.endswith("?")]
        if isinstance(dataset, h5py.Dataset) and dataset.ndim == len(symbols):
            shape = viewed_shape(source, dataset) if key == "frames" else dataset.shape
            lengths |= dict(zip(symbols, shape, strict=True))
    return lengths


def _find(source: Source, entry: Entry) -> Any:
    """Return the object of an entry, or add a finding and return None."""
    try:
        found = source.find(entry.key)
    except InputError as error:
        source.remark(
            "E106",
            entry.key,
            f"{error.what} ({error.found})" if error.found else error.what,
            "a link to an existing object",
            error.remedy,
        )
        return None
    if found is None:
        _missing(source, entry)
    return found


def _missing(source: Source, entry: Entry) -> None:
    """Add E101 for a required entry, unless its group is missing as well."""
    if entry.need == "required" and (entry.kind == "attribute" or _owner(source, entry) is not None):
        remedy = "Write it, or open the file with Exitwave and save it"
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
    shape = viewed_shape(source, found) if entry.key == "frames" else found.shape
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
    return source.file["/"] if entry.owner == "/" else _find_or_none(source, BY_PATH[entry.owner].key)


def _check_link(source: Source, entry: Entry, lengths: Lengths) -> None:
    parent = _owner(source, entry)
    link = parent.get(entry.name, getlink=True) if isinstance(parent, h5py.Group) else None
    if link is None:
        _missing(source, entry)
    elif not isinstance(link, h5py.SoftLink):
        kind = "an external link" if isinstance(link, h5py.ExternalLink) else "an object of its own"
        source.remark("E102", entry.key, kind, f"a soft link to {path(entry.target)}", "Write a soft link")
    else:
        found, target = _find(source, entry), _find_or_none(source, entry.target)
        if found is not None and found != target:
            source.remark("E107", entry.key, link.path, path(entry.target), "Write a soft link to this path")


_CHECKS = {"group": _check_group, "dataset": _check_dataset, "attribute": _check_attribute, "link": _check_link}


def _check_type(source: Source, entry: Entry, found: np.dtype[Any]) -> None:
    """Check the type: required arrays need exactly the type of the table, other entries a type of the same family."""
    required = np.dtype(object if entry.dtype == "str" else entry.dtype)
    family = found.kind in _FAMILIES[required.kind]
    exact = entry.need == "required" and (entry.kind == "dataset" or required.kind == "f") and required.kind != "O"
    if family and (not exact or found.newbyteorder("=") == required):
        return
    if family and entry.key == CASTABLE:
        source.remark(
            "W210",
            entry.key,
            str(found),
            entry.dtype,
            "Other programs may need that type; Exitwave converts it when it saves the file",
        )
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
