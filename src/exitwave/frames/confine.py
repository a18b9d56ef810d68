"""Files to which an opened file links: those outside its folder are reported, or refused where files are confined."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

VARIABLE = "EXITWAVE_CONFINE"
"""Environment variable that confines all files that this process and its children open."""
_FOLLOWED: ContextVar[set[Path] | None] = ContextVar("followed", default=None)


def is_confined() -> bool:
    """Return whether links that lead outside the folder of a file are refused."""
    return bool(os.environ.get(VARIABLE))


@contextmanager
def confining(confine: bool) -> Iterator[None]:
    """Refuse links that lead outside the folder of a file, in this block and in processes that it starts."""
    before = os.environ.get(VARIABLE)
    if confine:
        os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        if confine and before is None:
            del os.environ[VARIABLE]


@contextmanager
def collecting() -> Iterator[set[Path]]:
    """Collect the files that are noted as followed in this block."""
    followed: set[Path] = set()
    token = _FOLLOWED.set(followed)
    try:
        yield followed
    finally:
        _FOLLOWED.reset(token)


def note_followed(file: str | Path) -> None:
    """Note that a link to a file was followed."""
    followed = _FOLLOWED.get()
    if followed is not None:
        followed.add(Path(file))


def is_outside(target: Path, file: Path) -> bool:
    """Return whether a path leads outside the folder of a file, after all symbolic links are followed."""
    folders = file.absolute().parent.resolve(), file.resolve().parent
    return not any(target.resolve().is_relative_to(folder) for folder in folders)
