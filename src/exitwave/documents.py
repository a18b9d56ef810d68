"""Parse JSON and YAML texts of files, within limits of size, depth and aliases."""

import json
from pathlib import Path
from typing import Any

import yaml

from exitwave.inputs import note_input

LONGEST = 2**20
"""Largest number of characters of a YAML text, with its aliases replaced by what they stand for."""
LONGEST_JSON = 2**25
"""Largest number of characters of a JSON text; a list of left-out frames may be long."""
DEEPEST = 64
"""Deepest nesting of lists and mappings."""
MOST_NODES = 20_000
"""Largest number of values of a YAML text, with its aliases replaced by what they stand for."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FAULTS = (yaml.YAMLError, TypeError, AttributeError, LookupError, OverflowError, RecursionError)
"""What PyYAML raises for texts that are not YAML, and for values that do not fit their tag."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        If it is not JSON, too long or nested too deeply.
    """
    if len(text) > LONGEST_JSON:
        raise ValueError(f"{len(text)} characters, at most {LONGEST_JSON}")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [child for each in level if isinstance(each, dict | list) for child in _children(each)]
    if any(isinstance(each, dict | list) for each in level):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises
    ------
    ValueError
        If it is not YAML, too long, nested too deeply, or if its aliases stand for too much.
    """
    if len(text) > LONGEST:
        raise ValueError(f"{len(text)} characters, at most {LONGEST}")
    try:
        _check_depth(text)  # without recursion, which a parser in C does not limit
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            return None
        _check_size(node)
        return yaml.load(text, Loader=_LOADER)  # a subclass of SafeLoader
    except _FAULTS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def read_text(file: Path) -> str:
    """Return the text of a file in UTF-8, at most `LONGEST` characters and one more.

    Raises
    ------
    OSError, UnicodeDecodeError
        If it cannot be read.
    """
    note_input(file)
    with file.open(encoding="utf-8") as stream:
        return stream.read(LONGEST + 1)


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")


def _check_size(node: yaml.Node) -> None:
    """Refuse a text whose aliases stand for too much, or for a collection that contains them."""
    sizes: dict[int, tuple[int, int]] = {}
    nodes, characters = _size(node, sizes, set())
    if nodes > MOST_NODES or characters > LONGEST:
        raise ValueError(f"{nodes} values with {characters} characters, at most {MOST_NODES} and {LONGEST}")


def _size(node: yaml.Node, sizes: dict[int, tuple[int, int]], around: set[int]) -> tuple[int, int]:
    """Return the number of values and of characters of a node, with aliases replaced by what they stand for."""
    key = id(node)
    if key in around:
        raise ValueError("an alias stands for a collection that contains it")
    if key not in sizes:
        nodes, characters = 1, len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        for child in () if isinstance(node, yaml.ScalarNode) else _parts(node):
            more = _size(child, sizes, around | {key})
            nodes, characters = nodes + more[0], characters + more[1]
        sizes[key] = nodes, characters
    return sizes[key]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)
