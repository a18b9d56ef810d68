"""The reference page of the schema, as Markdown, from the table."""

from exitwave.cxi.schema import BY_KEY, SYMBOLS, TABLE, Entry
from exitwave.findings import CODES

_PARTS = {
    "data": "Every file",
    "result": "A file with a reconstruction has also",
    "truth": "A simulated file has also",
}

_HEAD = """# The CXI schema

*This page is printed by `python -m exitwave.cxi.schema`; do not edit it.*

A file is HDF5. Arrays are (row, column) = (y, x). Positions are the centre of the probe on the sample; in pixels they
are (+y, +x) / object pixel, and row 0 of the object has the smallest y. Links are soft, with absolute paths. In the
file of a result the frames are an external link (of several files a virtual dataset), relative to the folder,
unless they were embedded.

**required**: a file without it is invalid. **added**: Exitwave always writes it and asks nobody else for it.
**optional**: written where known. **foreign**: read from the files of other programs, never written. `owner@name` is
an attribute. Units stand in `@units` of the dataset, and on the group where this page lists it. Further entries are
welcome anywhere.
"""


def _row(entry: Entry) -> str:
    shape = f"({', '.join(map(str, entry.shape))})" if entry.shape else ""
    meaning = f"to `{BY_KEY[entry.target].path}`" if entry.target else entry.meaning
    if entry.value is not None:
        value = list(entry.value) if isinstance(entry.value, tuple) else entry.value
        meaning += f": `{value}`"
    if entry.also:
        meaning += f"; read at {', '.join(f'`{place}`' for place in entry.also)}, too"
    kind = "soft link" if entry.kind == "link" else entry.kind
    return f"| `{entry.path}` | {kind} | {shape} | {entry.dtype} | {entry.units} | {entry.need} | {meaning} |"


def page() -> str:
    """Return the reference page of the schema and of the finding codes as Markdown."""
    lines = [_HEAD, "Lengths:", ""]
    lines += [f"- `{symbol}`: {meaning}" for symbol, meaning in SYMBOLS.items()]
    for part, title in _PARTS.items():
        lines += ["", f"## {title}", "", "| Path | Kind | Shape | Type | Unit | Need | Meaning |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(entry) for entry in TABLE if entry.part == part]
    lines += ["", "## Findings", "", "| Code | Meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(lines) + "\n"
