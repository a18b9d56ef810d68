"""The reference page of the schema, as Markdown. ``python -m exitwave.cxi.page`` prints it."""

from exitwave.cxi.schema import BY_KEY, SYMBOLS, TABLE, Entry
from exitwave.findings import CODES

_SECTIONS = {
    "data": "Entries of every file",
    "result": "Further entries of a file with a reconstruction",
    "truth": "Further entries of a simulated file",
}

_HEAD = """# The CXI schema

*This page is the output of `python -m exitwave.cxi.page`; do not edit it.*

A file is an HDF5 file. Arrays are (row, column) = (y, x). Positions are the centre of the probe on the sample. In
pixels they are (+y, +x) / object pixel; row 0 of the object has the smallest y. Links are soft links with absolute
paths. In the file of a result the patterns are an external link relative to its folder (a virtual dataset if they are
in several files), unless they were embedded.

**required**: a file without the entry is invalid. **added**: Exitwave always writes the entry; files of other programs
need not have it. **optional**: written where known. **foreign**: read from files of other programs, never written.
`owner@name` is an attribute. Units are in `@units` of the dataset, and also on the group where this page lists it.
Additional entries are allowed anywhere.
"""


def _row(entry: Entry) -> str:
    shape = f"({', '.join(map(str, entry.shape))})" if entry.shape else ""
    meaning = f"to `{BY_KEY[entry.target].path}`" if entry.target else entry.meaning
    if entry.value is not None:
        value = list(entry.value) if isinstance(entry.value, tuple) else entry.value
        meaning += f": `{value}`"
    if entry.also:
        meaning += f"; also read at {', '.join(f'`{name}`' for name in entry.also)}"
    kind = "soft link" if entry.kind == "link" else entry.kind
    return f"| `{entry.path}` | {kind} | {shape} | {entry.dtype} | {entry.units} | {entry.need} | {meaning} |"


def page() -> str:
    """Return the reference page of the schema and of the codes of findings as Markdown."""
    lines = [_HEAD, "Lengths:", ""]
    lines += [f"- `{symbol}`: {meaning}" for symbol, meaning in SYMBOLS.items()]
    for section, title in _SECTIONS.items():
        lines += ["", f"## {title}", "", "| Path | Kind | Shape | Type | Unit | Need | Meaning |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(entry) for entry in TABLE if entry.section == section]
    lines += ["", "## Findings", "", "| Code | Meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
