"""Content of a report: the values that its template shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.frame_accounting import account_for_frames, format_ranges
from exitwave.analysis.summary import summarise
from exitwave.analysis.summary_text import format_summary
from exitwave.analysis.verdict import verdict
from exitwave.engine.recipe import changes
from exitwave.figures.registry import Subject, plots_of
from exitwave.figures.report.pictures import pictures
from exitwave.scan import Result, Scan, with_unreadable_frames
from exitwave.units import show

MISSING = (
    "The frames of this result are missing, so this report lacks everything that is computed from them. "
    "Put the input file back in its place and write the report again."
)
SECTIONS_OF_SCAN = ("Positions and coverage", "Patterns", "Probe", "Object", "Convergence and resolution")
SECTIONS_OF_RESULT = ("Object", "Probe", "Convergence and resolution", "Positions and coverage", "Patterns")
_NAMES = {"stopped_by": "stopped by", "digest": "digest of the input"}


def content(data: Scan | Result, file: Path | None) -> dict[str, Any]:
    """Return the values for the template of the report of a scan or result, which was read from ``file``."""
    subject = Subject(data)
    scan, result = subject.scan, subject.result
    file = file or scan.path
    diagnoses, summary = diagnose(data), summarise(data, file)
    date = "" if result is None else result.provenance.get("date", "")[:10]
    sections = SECTIONS_OF_SCAN if result is None else SECTIONS_OF_RESULT
    return {
        "title": scan.name or (file.stem if file else "A scan"),
        "about": [part for part in (scan.instrument, date, file.name if file else "") if part],
        "description": scan.description,
        "diagnoses": diagnoses,
        "numbers": _numbers(summary, subject),
        "pictures": pictures(plots_of(subject), sections),
        "missing": "" if subject.has_patterns else MISSING,
        "findings": with_unreadable_frames(scan).findings,
        "accounts": _accounts(account_for_frames(data), len(scan.patterns)),
        "frames": len(scan.patterns),
        "preparation": scan.preparation,
        "geometry": format_summary(summary),
        "file": file.name if file else "memory",
        "result": result is not None,
        **(_of_scan(diagnoses) if result is None else _of_result(result, diagnoses)),
    }


def _of_scan(diagnoses: tuple[Diagnosis, ...]) -> dict[str, Any]:
    """Return the values that differ for a scan."""
    problems = sum(diagnosis.level != "info" for diagnosis in diagnoses)
    text = "This scan is not reconstructed yet, so there is no image to judge. "
    text += f"Problems found: {problems} (see below)." if problems else "No problem was found."
    return {"verdict": text, "details": "", "grade": "", "provenance": {}}


def _of_result(result: Result, diagnoses: tuple[Diagnosis, ...]) -> dict[str, Any]:
    """Return the values that differ for a result."""
    judged = verdict(result, diagnoses)
    return {
        "verdict": judged.headline(),
        "details": " ".join(judged.sentences()[1:]),
        "grade": judged.grade,
        "choices": result.choices,
        "changed": _yaml(changes(result.recipe)),
        "recipe": _yaml(result.recipe),
        "provenance": {_NAMES.get(name, name): value for name, value in result.provenance.items()},
    }


def _accounts(accounts: Mapping[str, NDArray[np.int64]], total: int) -> list[dict[str, Any]]:
    """Return a row of the table of frames for every group; the first group gets no list of indices."""
    _, *others = accounts.values()
    indices = ["all others" if others else "all", *map(format_ranges, others)]
    return [
        {"name": name, "number": len(frames), "share": f"{len(frames) / total:.1%}", "which": which}
        for (name, frames), which in zip(accounts.items(), indices, strict=True)
    ]


def _numbers(summary: Mapping[str, Any], subject: Subject) -> dict[str, str]:
    """Return the key numbers at the top of the page, by name."""
    result = summary["result"]
    scan = {"frames": str(summary["frames"]), "object pixel": show(max(summary["object_pixel"]), "m", 3)}
    if result is None:
        overlap = summary["scan"]["overlap"]
        return scan | {"overlap": f"{overlap:.0%}"} if overlap else scan
    halves = subject.result.frc if subject.result else None
    curves = {} if halves is None else {"resolution": halves}
    curves |= {} if subject.comparison is None else {"resolution against the truth": subject.comparison.frc}
    errors = {"error": result["error"], "error on held-out frames": result["holdout_error"]}
    return (
        {name: show(curve.resolution, "m", 3) for name, curve in curves.items()}
        | {name: f"{error:.4g}" for name, error in errors.items() if error is not None}
        | scan
    )


def _yaml(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True) if settings else ""
