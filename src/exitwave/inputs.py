"""The files that a command reads, which none of its outputs may replace."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from exitwave.errors import InputError

_READ: ContextVar[set[tuple[int, int]] | None] = ContextVar("files that the command has read", default=None)
"""Device and inode of every file; None: they are not tracked."""


@contextmanager
def tracking(on: bool = True) -> Iterator[None]:
    """Track the files that are read in a ``with`` block; with ``on=False`` a block in which none is tracked.

    The command line tracks what a verb reads. A Python program decides itself what it replaces.
    """
    token = _READ.set(set() if on else None)
    try:
        yield
    finally:
        _READ.reset(token)


def note_input(path: str | Path) -> None:
    """Note that a file is read, directly or through a link.

    Raises
    ------
    InputError
        If it is a pipe, a socket or a device, which might never end.
    """
    check_regular(path)
    files = _READ.get()
    if files is not None and (identity := _identity(path)) is not None:
        files.add(identity)


def check_regular(path: str | Path) -> None:
    """Raise InputError if a path is a pipe, a socket or a device, which might never end."""
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        remedy = "Give a regular file; copy the data into one first"
        raise InputError("The input is a pipe or a device", where=path, remedy=remedy)


def is_an_input(path: str | Path) -> bool:
    """Return whether a file has been read by this command."""
    return _identity(path) in (_READ.get() or ())


def _identity(path: str | Path) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
