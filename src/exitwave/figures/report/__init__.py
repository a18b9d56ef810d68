"""Report: one HTML file on a scan or result, with its figures."""

from pathlib import Path

from exitwave.figures.report.content import content
from exitwave.figures.report.pages import render
from exitwave.outputs import atomic
from exitwave.scan import Result, Scan

__all__ = ["render_report", "write_report"]


def write_report(data: Scan | Result, path: str | Path, *, file: Path | None = None, overwrite: bool = False) -> Path:
    """Write a report of a scan or result.

    Parameters
    ----------
    data : Scan or Result
        Scan or result, as `exitwave.open` returns it. The report of a result with missing frames says so.
    path : str or Path
        The HTML file. It holds its figures and needs no other file, no script and no network.
    file : Path, optional
        The file of the data, to be named in the report.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file, written completely or not at all.

    Raises
    ------
    OutputError
        If the file exists and ``overwrite`` is not set, or if it cannot be written.
    """
    with atomic(path, overwrite) as partial:
        partial.write_text(render_report(data, file), encoding="utf-8")
    return Path(path)


def render_report(data: Scan | Result, file: Path | None = None) -> str:
    """Return the report of a scan or result as HTML."""
    return render("report.html", **content(data, file))
