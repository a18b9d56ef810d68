"""Names for the help texts that come from a register of the package, whose import takes too long for ``--help``.

A help text contains a placeholder, which is replaced when the help of that verb is printed.
"""

from collections.abc import Callable

ALGORITHM_NAMES = "{algorithms}"
"""Placeholder of the list of algorithms."""


def _algorithms() -> list[str]:
    from exitwave.engine.algorithms.registry import ALGORITHMS

    return list(ALGORITHMS.all())


_LISTS: dict[str, Callable[[], list[str]]] = {ALGORITHM_NAMES: _algorithms}


def fill_in(text: str) -> str:
    """Return a help text with its placeholders replaced by lists of names."""
    for placeholder, names in _LISTS.items():
        if placeholder in text:
            *first, last = names()
            text = text.replace(placeholder, f"{', '.join(first)} or {last}")
    return text
