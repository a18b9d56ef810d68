"""The tree of a file: every group, dataset and link, with shapes, types, units and small values."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from exitwave.cxi.hdf import holds_lists, reading, resolve, text
from exitwave.cxi.schema import BY_KEY, BY_PATH
from exitwave.errors import InputError

SMALL = 4
"""Arrays of up to this many numbers are shown."""
LONGEST = 200
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Node:
    """One object of a file, or one link."""

    path: str
    """Absolute path."""
    kind: Literal["group", "dataset", "soft link", "external link", "dangling link"]
    """What stands at the path."""
    shape: tuple[int, ...] | None
    """Lengths of a dataset, also behind a link; () for a scalar, None for groups."""
    dtype: str
    """Type of the numbers, or ``str``."""
    units: str
    """The dataset's ``@units``."""
    target: str
    """Where a link leads: a path, or ``file:path``."""
    value: Any
    """A scalar, short text or small array, ready for JSON; else None."""
    attributes: dict[str, Any]
    """The other attributes, ready for JSON; long ones by their shape."""
    meaning: str
    """What the schema says about the path, or an empty string."""

    def as_dict(self) -> dict[str, Any]:
        """Return the node as a dictionary, for ``--json``."""
        return asdict(self)


def tree(file: str | Path) -> list[Node]:
    """Return the objects of a file from the root down, each group before what it holds.

    Links are followed for shape and type, not descended into; those that lead nowhere are marked.

    Raises
    ------
    InputError
        If the file cannot be opened.
    """
    with reading(file) as opened:
        nodes: list[Node] = []
        _walk(opened["/"], "", nodes, set())
        return nodes


def _walk(group: h5py.Group, place: str, nodes: list[Node], seen: set[Any]) -> None:
    nodes.append(_node(group, place or "/", "group"))
    if group.id in seen:
        return
    seen.add(group.id)
    for name in group:
        link, here = group.get(name, getlink=True), f"{place}/{name}"
        if isinstance(link, h5py.HardLink):
            child = group[name]
            if isinstance(child, h5py.Group):
                _walk(child, here, nodes, seen)
            else:
                nodes.append(_node(child, here, "dataset"))
        else:
            nodes.append(_link_node(group.file, here, link))


def _link_node(file: h5py.File, place: str, link: Any) -> Node:
    external = isinstance(link, h5py.ExternalLink)
    target = f"{link.filename}:{link.path}" if external else link.path
    try:
        found = resolve(file, place)
    except InputError:
        found = None
    if found is None:
        return _node(None, place, "dangling link", target)
    return _node(found, place, "external link" if external else "soft link", target)


def _node(thing: Any, place: str, kind: Any, target: str = "") -> Node:
    attributes = {} if thing is None else {name: shown(value) for name, value in thing.attrs.items()}
    data = isinstance(thing, h5py.Dataset)
    entry = BY_PATH.get(place)
    return Node(
        path=place,
        kind=kind,
        shape=thing.shape if data else None,
        dtype=_type_name(thing.dtype) if data else "",
        units=str(attributes.pop("units", "")) if data else "",
        target=target,
        value=_value(thing) if data else None,
        attributes=attributes,
        meaning=BY_KEY[entry.target or entry.key].meaning if entry else "",
    )


def _type_name(dtype: np.dtype[Any]) -> str:
    return "str" if dtype.kind in "OSU" else str(dtype)


def _value(dataset: h5py.Dataset) -> Any:
    if dataset.shape is None or dataset.size > SMALL or holds_lists(dataset):
        return None
    try:
        return shown(dataset[()])
    except (OSError, TypeError):
        return None


def shown(value: Any) -> Any:
    """Return a small value as plain Python for JSON, a large one as its type and shape."""
    if isinstance(value, np.ndarray) and value.size > SMALL:
        return f"{_type_name(value.dtype)} {value.shape}"
    if isinstance(value, np.ndarray) and value.shape:
        return [shown(part) for part in value]
    if isinstance(value, (str, bytes, h5py.Empty)):
        words = text(value)
        return words if len(words) <= LONGEST else words[:LONGEST] + "..."
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(number, bool | int) or (isinstance(number, float) and np.isfinite(number)):
        return number
    return text(number)
