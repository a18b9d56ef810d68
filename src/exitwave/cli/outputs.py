"""Names and folders of the outputs of a verb."""

import os
import re
from pathlib import Path

from exitwave.errors import OutputError
from exitwave.outputs import check_writable
from exitwave.units import show


def beside(path: Path, name: str) -> Path:
    """Return ``name`` in the folder of ``path``, or in the current folder if that one is not writable."""
    return path.with_name(name) if os.access(path.absolute().parent, os.W_OK) else Path(name)


def result_path(path: Path) -> Path:
    """Return the file of the result of an input: scan_result.cxi of scan.cxi, scan_result_2.cxi of scan_result.cxi."""
    match = re.fullmatch(r"(.+_result)(?:_(\d+))?", path.stem)
    name = f"{match[1]}_{int(match[2] or 1) + 1}" if match else f"{path.stem}_result"
    return beside(path, f"{name}.cxi")


def make_folder(folder: Path) -> Path:
    """Create a folder for several outputs if it does not exist, and return it.

    Raises
    ------
    OutputError
        If it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "Choose another folder with -o"
        raise OutputError("The folder cannot be created", where=folder, found=error.strerror, remedy=remedy) from error
    check_writable(folder)
    return folder


def size_of(path: Path) -> str:
    """Return the size of a file on disk as text."""
    return show(path.stat().st_size, "B", digits=3)
