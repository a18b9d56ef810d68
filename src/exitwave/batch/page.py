"""The summary page of a batch: one row for every scan."""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from exitwave.batch.job import Row
from exitwave.cxi.atomic import atomic
from exitwave.units import show

NAME = "batch.html"


def counts(rows: list[Row]) -> dict[str, int]:
    """Return how many scans have ended in which way, the good ways first."""
    number = Counter(row.status for row in rows)
    return {status: number[status] for status in ("done", "already done", "left out", "diverged", "failed")}


def _numbers(row: Row) -> dict[str, str]:
    return {
        "error": "" if row.error is None else f"{row.error:.4g}",
        "held out": "" if row.holdout_error is None else f"{row.holdout_error:.4g}",
        "resolution": "" if row.resolution is None else show(row.resolution, "m", 3),
    }


def write_page(rows: list[Row], folder: Path) -> Path:
    """Write the summary page of a batch into its folder, in the place of an earlier one, and return where it is."""
    from exitwave.figures.report.pages import render

    def link(path: str) -> str:
        return quote(Path(os.path.relpath(path, folder)).as_posix())

    lines = [
        {
            "row": row,
            "name": Path(row.input).name,
            "result": link(row.output) if row.output else "",
            "report": link(row.report) if row.report else "",
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
