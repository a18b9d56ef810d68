"""List the tree of a file: every group, dataset and link, with shapes, types, units and small values."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from exitwave.cxi.hdf import holds_lists, reading, resolve, text
from exitwave.cxi.schema import BY_KEY, BY_PATH
from exitwave.errors import InputError

SMALL = 4
"""Largest number of elements of an array that is shown."""
LONGEST = 200
"""Longest text, in characters, that is shown in full."""


@dataclass(frozen=True)
class Node:
    """One object of a file, or one link."""

    path: str
    """Absolute path."""
    kind: Literal["group", "dataset", "soft link", "external link", "dangling link"]
    """Kind of the object at the path."""
    shape: tuple[int, ...] | None
    """Shape of a dataset, or of the dataset to which a link points; () for a scalar, None for groups."""
    dtype: str
    """Type of the numbers, or ``str``."""
    units: str
    """The dataset's ``@units``."""
    target: str
    """Target of a link: a path, or ``file:path``."""
    value: Any
    """A scalar, short text or small array, ready for JSON; else None."""
    attributes: dict[str, Any]
    """The other attributes, ready for JSON; large ones as type and shape."""
    meaning: str
    """Meaning of the path in the schema, or an empty string."""

    def as_dict(self) -> dict[str, Any]:
        """Return the node as a dictionary, for ``--json``."""
        return asdict(self)


def tree(file: str | Path) -> list[Node]:
    """Return the objects of a file, each group before its members.

    A link has the shape and type of its target; the members of a linked group are not listed. Dangling links are
    marked.

    Raises
    ------
    InputError
        If the file cannot be opened.
    """
    with reading(file) as opened:
        nodes: list[Node] = []
        _walk(opened["/"], "", nodes, set())
        return nodes


def _walk(group: h5py.Group, path: str, nodes: list[Node], visited: set[Any]) -> None:
    nodes.append(_node(group, path or "/", "group"))
    if group.id in visited:
        return
    visited.add(group.id)
    for name in group:
        link, here = group.get(name, getlink=True), f"{path}/{text(name)}"
        if link is None:  # a damaged name
            nodes.append(_node(None, here, "dangling link"))
            continue
        if isinstance(link, h5py.HardLink):
            child = group[name]
            if isinstance(child, h5py.Group):
                _walk(child, here, nodes, visited)
            else:
                nodes.append(_node(child, here, "dataset"))
        else:
            nodes.append(_link_node(group.file, here, link))


def _link_node(file: h5py.File, path: str, link: Any) -> Node:
    external = isinstance(link, h5py.ExternalLink)
    target = f"{link.filename}:{link.path}" if external else link.path
    try:
        found = resolve(file, path)
    except InputError:
        found = None
    if found is None:
        return _node(None, path, "dangling link", target)
    return _node(found, path, "external link" if external else "soft link", target)


def _node(thing: Any, path: str, kind: Any, target: str = "") -> Node:
    attributes = {} if thing is None else {name: json_value(value) for name, value in thing.attrs.items()}
    data = isinstance(thing, h5py.Dataset)
    entry = BY_PATH.get(path)
    return Node(
        path=path,
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
        return json_value(dataset[()])
    except (OSError, TypeError):
        return None


def json_value(value: Any) -> Any:
    """Return a small value as plain Python for JSON, a large array as its type and shape."""
    if isinstance(value, np.ndarray) and value.size > SMALL:
        return f"{_type_name(value.dtype)} {value.shape}"
    if isinstance(value, np.ndarray) and value.shape:
        return [json_value(element) for element in value]
    if isinstance(value, (str, bytes, h5py.Empty)):
        words = text(value)
        return words if len(words) <= LONGEST else words[:LONGEST] + "..."
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(number, bool | int) or (isinstance(number, float) and np.isfinite(number)):
        return number
    return text(number)
