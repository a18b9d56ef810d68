"""Errors and findings: what is wrong, where, what was found and what the user can do."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]
_ABOUT_A_FILE = re.compile(r"The file (is|has|does|contains|cannot|lacks)\b")
LONGEST, LONGEST_REMEDY = 500, 4000
"""Largest number of characters of a part of a message; longer ones are cut in the middle."""
LONGEST_NAME = 100
"""Largest number of characters of a name for which similar ones are searched."""
FEW = 12
"""Number of names up to which a message lists all of them beside the most similar one."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown name: the most similar known name, and all known names if they are few."""
    name, names = shorten(name, LONGEST_NAME), list(known)
    close = difflib.get_close_matches(name, [known_name.partition("=")[0] for known_name in names], n=1)
    if close and len(names) > FEW:
        return f"Did you mean {close[0]}?"
    return (f"Did you mean {close[0]}? " if close else "") + f"Known: {', '.join(names)}"


def shorten(text: str, most: int = LONGEST) -> str:
    """Return a text in one line that can be encoded; a long one is cut in the middle, and its length is given.

    Lone surrogates, which stand for bytes of files that are no UTF-8, become question marks.
    """
    if len(text) > most:
        half = most // 2
        text = f"{text[:half]} ... ({len(text)} characters) ... {text[-half // 4 :]}"
    line = " ".join(text.split("\n")) if "\n" in text else text
    return line.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


class ExitwaveError(Exception):
    """Base of every error that reaches a user.

    The message is composed as ``WHERE: WHAT (FOUND). REMEDY.``, for example::

        scan.cxi:entry_1/data_1/data: The frames have no counts (sum 0 over the good pixels). Check the detector mask.
        --crop: Not a size ('wide'). Give a number of pixels, auto or none.
        notes.txt is not an HDF5 file (4 bytes). Give a CXI (HDF5) file.

    Parts that are empty are left out. If `where` is a file and `what` begins with "The file is" (or has, does, ...),
    the name of the file becomes the subject of the sentence, as in the last example ("The file is not an HDF5 file").

    Parameters
    ----------
    what : str
        What is wrong: one complete sentence, or a short phrase such as "Unknown unit of length", without a full stop.
    where : str
        The file, the path inside it, or the option.
    found : str
        What was found there, in a form that can stand in brackets: "4 bytes", "shape (3, 2)", "none in beam_1".
    remedy : str
        What the user can do about it, as an instruction without a full stop at its end.

    Attributes
    ----------
    what, where, found, remedy : str
        The parts, as given.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: object = "", found: object = "", remedy: str = "") -> None:
        what, remedy = shorten(what), shorten(remedy, LONGEST_REMEDY)
        self.what, self.where, self.found, self.remedy = what, shorten(str(where)), shorten(str(found)), remedy
        sentence = what.rstrip(".")
        if self.where and ":/" not in self.where[2:] and _ABOUT_A_FILE.match(sentence):
            sentence = self.where + sentence.removeprefix("The file")
        elif self.where:
            sentence = f"{self.where}: {sentence}"
        message = f"{sentence} ({self.found.rstrip('.')})." if self.found else f"{sentence}."
        end = "" if remedy.endswith("?") else "."
        super().__init__(f"{message} {remedy.rstrip('.')}{end}" if remedy else message)


class InputError(ExitwaveError):
    """An input file or an argument that cannot be used as it is."""

    exit_code = 2


DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""Exceptions that h5py, HDF5 and NumPy raise for damaged files."""


def damaged(where: object, error: Exception) -> InputError:
    """Return the error to raise where a library has raised one of `DAMAGE` for a file."""
    if isinstance(error, MemoryError):
        remedy = "Free some memory, or use smaller frames: exitwave prepare --crop N"
        return InputError("There is not enough memory to read it", where=where, found=error, remedy=remedy)
    remedy = "Copy it again from the original"
    return InputError("The file is damaged", where=where, found=str(error)[:300] or type(error).__name__, remedy=remedy)


class OutputError(ExitwaveError):
    """An output that cannot be written: it exists, its folder is read-only, or the disk is full."""

    exit_code = 2


class RunError(ExitwaveError):
    """A computation that failed."""

    exit_code = 3


@dataclass(frozen=True)
class Finding:
    """A remark about a scan, a file or a reconstruction, from the reader, the validator or the engine."""

    code: str
    """Stable short code of `exitwave.findings.CODES`, e.g. ``E102`` (error), ``W203`` (warning), ``I301`` (info)."""
    level: Level
    """Severity: ``error``, ``warning`` or ``info``."""
    path: str
    """The path inside the file, or an empty string."""
    found: str
    """What was found."""
    expected: str
    """What was expected."""
    remedy: str
    """What the user can do about it."""

    def __str__(self) -> str:
        place = f" {self.path}:" if self.path else ""
        return f"{self.level} {self.code}:{place} {self.found}; expected {self.expected}. {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return the finding as a dictionary, for ``--json``."""
        return asdict(self)
