"""Check that an output can be written, before any computation."""

import os
from pathlib import Path

from exitwave.errors import OutputError


def check_output(target: Path, *sources: Path | None, overwrite: bool) -> None:
    """Raise OutputError if an output cannot be written.

    Parameters
    ----------
    target : Path
        The file to write.
    *sources : Path or None
        Files that must not be changed.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the target is one of the sources or a folder, exists and ``overwrite`` is false, or its folder is missing or
        not writable.
    """
    for source in sources:
        if source is not None and target.exists() and source.exists() and target.samefile(source):
            remedy = "Inputs are never changed; choose another name"
            raise OutputError("The output is an input", where=target, remedy=remedy)
    if target.is_dir():
        raise OutputError("The output is a folder", where=target, remedy="Give the name of a file")
    if target.exists() and not overwrite:
        remedy = "Choose another name, or replace the file with --overwrite (in Python: overwrite=True)"
        raise OutputError("The output exists", where=target, remedy=remedy)
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            "The folder of the output does not exist", where=folder, remedy="Create it, or choose another"
        )
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raise OutputError if the user cannot write to a folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("The folder of the output is not writable", where=folder, remedy="Choose another folder")
