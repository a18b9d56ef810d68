"""Save a result whose output has become impossible since it was checked."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from exitwave.errors import ExitwaveError, OutputError, RunError
from exitwave.scan import Result

Ask = Callable[[str], str]
"""Function that prints a question and returns the answer of the user. After an empty answer no file is tried."""


def save_or_rescue(result: Result, output: Path, *, overwrite: bool, embed: bool, ask: Ask | None = None) -> None:
    """Save a result; if its output has become impossible, save it elsewhere.

    It is saved in a new temporary folder, else in the home folder, else in the current folder, else where the user
    says, if there is a terminal.

    Parameters
    ----------
    result : Result
        The result.
    output : Path
        The file.
    overwrite, embed : bool
        As in `Result.save`.
    ask : callable, optional
        Asks the user for another file; by default `input`, if standard input and standard error are a terminal.

    Raises
    ------
    OutputError
        If it was saved elsewhere; the message says where.
    RunError
        If it could not be saved anywhere; the message has all causes.
    """
    try:
        result.save(output, overwrite=overwrite, embed=embed)
    except (ExitwaveError, OSError, MemoryError) as error:
        first = error
    else:
        return
    causes = [f"{output}: {_cause(first)}"]
    for place in _places(output, ask if ask is not None else _terminal(), causes):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            result.save(place, embed=embed)
        except (ExitwaveError, OSError, MemoryError) as error:
            causes.append(f"{place}: {_cause(error)}")
        else:
            remedy = f"The result was saved in {place}"
            found = getattr(first, "found", "")
            raise OutputError(_cause(first), where=output, found=found, remedy=remedy) from first
    what = "The result could not be saved anywhere, and is lost"
    raise RunError(what, found="; ".join(causes), remedy="Free some space, then run the command again") from first


def _places(output: Path, ask: Ask | None, causes: list[str]) -> Iterator[Path]:
    """Yield other files, one after the other."""
    try:
        yield Path(tempfile.mkdtemp(prefix="exitwave-")) / output.name
    except OSError as error:
        causes.append(f"temporary folder: {_cause(error)}")
    for folder in (Path.home(), Path.cwd()):
        yield _free(folder / output.name)
    while ask is not None:
        answer = ask(f"The result cannot be saved ({causes[0]}). Another file, or nothing to give up: ").strip()
        if not answer:
            return
        yield Path(answer)


def _free(path: Path) -> Path:
    """Return a path at which there is no file."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}_{number}")
    return free


def _terminal() -> Ask | None:
    """Return `input` if a user can answer on a terminal, else None."""
    return input if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() else None


def _cause(error: Exception) -> str:
    if isinstance(error, ExitwaveError):
        return error.what
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
