"""The summary page of a batch: one row for every scan."""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from exitwave.batch.task import Row
from exitwave.outputs import atomic
from exitwave.units import show

NAME = "batch.html"


def counts(rows: list[Row]) -> dict[str, int]:
    """Return how many scans have ended with each status."""
    number = Counter(row.status for row in rows)
    return {status: number[status] for status in ("done", "already done", "left out", "diverged", "failed")}


def write_page(rows: list[Row], folder: Path) -> Path:
    """Write the summary page of a batch into its folder, replacing an earlier one, and return its path."""
    from exitwave.figures.report.pages import render

    lines = [
        {
            "row": row,
            "name": Path(row.input).name,
            "result": _link(row.output, folder),
            "report": _link(row.report, folder),
            "numbers": _numbers(row),
            "level": "error" if row.failed else "warning" if row.status == "left out" else "info",
        }
        for row in rows
    ]
    words = ", ".join(f"{number} {status}" for status, number in counts(rows).items() if number)
    target = folder / NAME
    with atomic(target, overwrite=True) as partial:
        page = render("batch.html", lines=lines, words=words, scans=len(rows), folder=folder.name)
        partial.write_text(page, encoding="utf-8")
    return target


def _link(path: str, folder: Path) -> str:
    """Return the relative link from a folder to a file, or nothing for no file."""
    return quote(Path(os.path.relpath(path, folder)).as_posix()) if path else ""


def _numbers(row: Row) -> dict[str, str]:
    """Return the numbers of a row as text, by the name of the column."""
    return {
        "error": "" if row.error is None else f"{row.error:.4g}",
        "held out": "" if row.holdout_error is None else f"{row.holdout_error:.4g}",
        "resolution": "" if row.resolution is None else show(row.resolution, "m", 3),
    }
