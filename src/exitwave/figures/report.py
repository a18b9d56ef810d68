"""A report: one HTML file with everything that there is to say about a scan or a result, figures inside."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

import exitwave
from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.frame_accounting import account_for_frames, format_ranges
from exitwave.analysis.summary import summarise
from exitwave.analysis.summary_text import format_summary
from exitwave.analysis.verdict import verdict
from exitwave.cxi.atomic import atomic
from exitwave.engine.changes import changes
from exitwave.figures.sheets import Sheets, of_result, of_scan
from exitwave.frames import MissingFrames
from exitwave.scan import Result, Scan, scan_in
from exitwave.units import show

MISSING = "The frames of this result are missing, so what needs them is not here. Put the input back where it was."
_NAMES = {"stopped_by": "stopped by", "digest": "digest of the input"}


def write_report(data: Scan | Result, path: str | Path, *, file: Path | None = None, overwrite: bool = False) -> Path:
    """Write a report of a scan or a result.

    Parameters
    ----------
    data : Scan or Result
        What `exitwave.open` returned. A result whose frames are missing gets a report that says so.
    path : str or Path
        The HTML file. It holds its figures and needs no other file, no script and no network.
    file : Path, optional
        The file that the data was opened from, to be named.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file, whole or not there.

    Raises
    ------
    OutputError
        If it exists, without ``overwrite``, or cannot be written.
    """
    with atomic(path, overwrite) as partial:
        partial.write_text(render_report(data, file), encoding="utf-8")
    return Path(path)


def render_report(data: Scan | Result, file: Path | None = None) -> str:
    """Return the report of a scan or a result as HTML."""
    scan = scan_in(data)
    file = file or scan.path
    diagnoses = diagnose(data)
    own = _result(data) if isinstance(data, Result) else _scan(diagnoses)
    return render("report.html", diagnoses=diagnoses, **_both(data, scan, file), **own)


def render(template: str, **values: Any) -> str:
    """Return a page of this room's templates; whatever a file says is escaped."""
    rooms = Environment(
        loader=PackageLoader("exitwave", "figures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rooms.filters["settings"] = _in_words
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return rooms.get_template(template).render(version=exitwave.__version__, today=today, **values)


def _both(data: Scan | Result, scan: Scan, file: Path | None) -> dict[str, Any]:
    """Return what is said of a scan and of a result."""
    sheets: Sheets = of_result(data) if isinstance(data, Result) else of_scan(data)
    date = data.provenance.get("date", "")[:10] if isinstance(data, Result) else ""
    summary = summarise(data, file)
    accounts = account_for_frames(data)
    total = len(scan.patterns)
    return {
        "title": scan.name or (file.stem if file else "A scan"),
        "about": [part for part in (scan.instrument, date, file.name if file else "") if part],
        "description": scan.description,
        "numbers": _numbers(summary, sheets),
        "pictures": sheets.pictures,
        "missing": MISSING if isinstance(scan.patterns, MissingFrames) else "",
        "findings": scan.findings,
        "accounts": [
            {"name": name, "number": len(which), "share": f"{len(which) / total:.1%}", "which": words}
            for (name, which), words in zip(accounts.items(), _which(accounts), strict=True)
        ],
        "frames": total,
        "preparation": scan.preparation,
        "geometry": format_summary(summary),
        "file": file.name if file else "memory",
        "result": isinstance(data, Result),
    }


def _scan(diagnoses: tuple[Diagnosis, ...]) -> dict[str, Any]:
    """Return what is said of a scan only."""
    wrong = sum(each.level != "info" for each in diagnoses)
    words = "This is a scan that is not reconstructed yet: there is no image to judge. "
    words += f"Wrong with it: {wrong}, see below." if wrong else "Nothing is wrong with it as far as that can be told."
    return {"verdict": words, "grade": "unknown", "provenance": {}}


def _result(result: Result) -> dict[str, Any]:
    """Return what is said of a result only."""
    judged = verdict(result)
    return {
        "verdict": " ".join(judged.sentences()),
        "grade": judged.grade,
        "choices": result.choices,
        "changed": _yaml(changes(result.recipe)),
        "recipe": _yaml(result.recipe),
        "provenance": {_NAMES.get(name, name): value for name, value in result.provenance.items()},
    }


def _which(accounts: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """Return the frames of every account in words; of the first only that they are the others."""
    _, *others = accounts.values()
    return ["all others" if others else "all", *map(format_ranges, others)]


def _numbers(summary: Mapping[str, Any], sheets: Sheets) -> dict[str, str]:
    """Return the numbers that everybody asks for first."""
    result = summary["result"]
    first = {"frames": str(summary["frames"]), "object pixel": show(max(summary["object_pixel"]), "m", 3)}
    if result is None:
        return first | {"overlap": f"{summary['scan']['overlap']:.0%}"} if summary["scan"]["overlap"] else first
    errors = {"error": result["error"], "error, frames held out": result["holdout_error"]}
    return sheets.resolution | {name: f"{e:.4g}" for name, e in errors.items() if e is not None} | first


def _in_words(settings: Mapping[str, Any]) -> str:
    """Return the settings of a step in one line; lists of many numbers are cut short."""
    return "; ".join(f"{name}: {_short(value)}" for name, value in settings.items())


def _short(value: Any, most: int = 120) -> str:
    words = f"{value:.6g}" if isinstance(value, float) else str(value)
    return words if len(words) <= most else f"{words[:most]}…"


def _yaml(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True) if settings else ""
