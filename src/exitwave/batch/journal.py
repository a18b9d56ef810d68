"""The journal of a folder of results: the settings that made them, with which a batch continues."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exitwave.documents import parse_json
from exitwave.errors import OutputError
from exitwave.inputs import check_regular
from exitwave.outputs import atomic

NAME = "batch.json"
Stamp = tuple[int, int]
"""Time of the last change in nanoseconds and size of a file, which identify its content."""


def stamp(file: Path) -> Stamp:
    """Return the time of the last change of a file in nanoseconds, and its size in bytes."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True)
class Journal:
    """The settings that made the results of a folder, and the results that are out of date."""

    request: dict[str, Any]
    """Everything that determines a result, ready for JSON."""
    stale: dict[str, Stamp] = field(default_factory=dict)
    """Existing results of other settings that are to be replaced: their stamps by file name."""


def open_journal(folder: Path, request: dict[str, Any], outputs: list[Path], *, overwrite: bool) -> Journal:
    """Return the journal of a folder; write it if there is none or one of another request.

    Existing results count as done if the journal has the same request; each result contains the digest of its input.
    Other results are refused, or become stale with ``overwrite``.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    request : dict
        Everything that determines a result, ready for JSON.
    outputs : list of Path
        The result files of the batch.
    overwrite : bool
        Whether results of other settings may be replaced.

    Raises
    ------
    OutputError
        If there are results of other settings, without ``overwrite``.
    """
    earlier = _read(folder / NAME)
    if earlier is not None and earlier.request == request:
        return earlier
    existing = [output for output in outputs if output.exists()]
    if (existing or earlier is not None) and not overwrite:
        found = f"a {NAME} of other settings" if earlier is not None else f"{existing[0].name}, and no {NAME}"
        remedy = "Choose another folder with -o, or replace its results with --overwrite"
        raise OutputError("The folder contains results of other settings", where=folder, found=found, remedy=remedy)
    journal = Journal(request, {output.name: stamp(output) for output in existing})
    with atomic(folder / NAME, overwrite=True) as partial:
        text = json.dumps({"asked": request, "stale": journal.stale}, indent=2)
        partial.write_text(text, encoding="utf-8")
    return journal


def _read(file: Path) -> Journal | None:
    """Return a journal; None if there is no file, and a journal that equals no request if it cannot be read."""
    check_regular(file)
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
        return Journal(content["asked"], {name: (time, size) for name, (time, size) in content["stale"].items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Journal({"unreadable": True})
