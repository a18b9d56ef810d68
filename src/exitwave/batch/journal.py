"""What a folder of results was made with, so that a batch goes on where it stopped and never mixes two kinds."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exitwave.cxi.atomic import atomic
from exitwave.errors import OutputError

NAME = "batch.json"
Stamp = tuple[int, int]
"""Time of the last change and size of a file, by which it is recognised."""


def stamp(file: Path) -> Stamp:
    """Return what tells whether a file is still the same: time of the last change in nanoseconds, and size."""
    state = file.stat()
    return state.st_mtime_ns, state.st_size


@dataclass(frozen=True)
class Journal:
    """What the results of a folder were asked for."""

    asked: dict[str, Any]
    """Everything that decides what a result is, ready for JSON."""
    stale: dict[str, Stamp] = field(default_factory=dict)
    """Results, by name, that were there before and are to be replaced, with their stamps."""


def open_journal(folder: Path, asked: dict[str, Any], outputs: list[Path], *, overwrite: bool) -> Journal:
    """Return the journal of a folder, written where there is none or another.

    Results that are there already count as done where the journal agrees with what is asked; each tells by itself
    of which input it is. All others are refused, or become stale with ``overwrite``.

    Parameters
    ----------
    folder : Path
        Where the results go.
    asked : dict
        Everything that decides what a result is, ready for JSON.
    outputs : list of Path
        The results to be.
    overwrite : bool
        Whether results of other settings may be replaced.

    Raises
    ------
    OutputError
        If there are results of other settings, without ``overwrite``.
    """
    earlier = _read(folder / NAME)
    if earlier is not None and earlier.asked == asked:
        return earlier
    existing = [output for output in outputs if output.exists()]
    if (existing or earlier is not None) and not overwrite:
        found = "other settings" if earlier is not None else f"{existing[0].name}, made by something else"
        remedy = "Choose another folder with -o, or replace its results with --overwrite"
        raise OutputError("The folder holds results of something else", where=folder, found=found, remedy=remedy)
    journal = Journal(asked, {output.name: stamp(output) for output in existing})
    with atomic(folder / NAME, overwrite=True) as partial:
        partial.write_text(json.dumps({"asked": asked, "stale": journal.stale}, indent=2), encoding="utf-8")
    return journal


def _read(file: Path) -> Journal | None:
    """Return a journal, None where there is none, and one that agrees with nothing where it cannot be read."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return Journal(told["asked"], {name: (when, size) for name, (when, size) in told["stale"].items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Journal({"unreadable": True})
