"""What Exitwave says when something is wrong: what, where, what was found, what to do."""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a remedy for a name that is not known: the nearest one, and all there are."""
    names = list(known)
    close = difflib.get_close_matches(name, [each.partition("=")[0] for each in names], n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"Known: {', '.join(names)}"


class ExitwaveError(Exception):
    """Base of every error that reaches a user.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence without a full stop.
    where : str
        The file, or the path inside it.
    found : str
        What was found there.
    remedy : str
        What the user can do about it.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: object = "", found: object = "", remedy: str = "") -> None:
        self.what, self.where, self.found, self.remedy = what, str(where), str(found), remedy
        parts = [what + (f" in {self.where}" if self.where else "")]
        if self.found:
            parts.append(f"found: {self.found}")
        if remedy:
            parts.append(remedy)
        super().__init__(". ".join(part.rstrip(".") for part in parts) + ".")


class InputError(ExitwaveError):
    """A file or an argument that cannot be used as it is."""

    exit_code = 2


DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What HDF5 and NumPy raise for a file that is damaged."""


def damaged(where: object, error: Exception) -> InputError:
    """Return what to raise where a library has raised one of `DAMAGE` for a file."""
    remedy = "Copy it again from where it was written"
    return InputError("The file is damaged", where=where, found=str(error)[:300] or type(error).__name__, remedy=remedy)


class OutputError(ExitwaveError):
    """A place that cannot be written: it exists, is read-only, or is full."""

    exit_code = 2


class RunError(ExitwaveError):
    """A computation that failed while running."""

    exit_code = 3


@dataclass(frozen=True)
class Finding:
    """One remark about a scan, by the reader, the validator or the engine."""

    code: str
    """Stable short code, e.g. ``E102`` (error), ``W203`` (warning), ``I301`` (info)."""
    level: Level
    """How serious it is: ``error``, ``warning`` or ``info``."""
    path: str
    """The path inside the file, or an empty string."""
    found: str
    """What was found."""
    expected: str
    """What should be there."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        place = f" {self.path}:" if self.path else ""
        return f"{self.level} {self.code}:{place} {self.found}; expected {self.expected}. {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return the finding as a dictionary, for ``--json``."""
        return asdict(self)
