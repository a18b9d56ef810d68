"""Where a verb writes, decided and checked before any work is done."""

import os
import re
from pathlib import Path

from exitwave.errors import OutputError
from exitwave.outputs import check_writable
from exitwave.units import show


def beside(path: Path, name: str) -> Path:
    """Return ``name`` in the folder of ``path``, or in the current folder where that one is not writable."""
    return path.with_name(name) if os.access(path.absolute().parent, os.W_OK) else Path(name)


def result_path(path: Path) -> Path:
    """Return where the result of a scan goes: scan.cxi, scan_result.cxi, scan_result_2.cxi, and so on."""
    match = re.fullmatch(r"(.+_result)(?:_(\d+))?", path.stem)
    name = f"{match[1]}_{int(match[2] or 1) + 1}" if match else f"{path.stem}_result"
    return beside(path, f"{name}.cxi")


def make_folder(folder: Path) -> Path:
    """Return the folder for several outputs, made where it does not exist.

    Raises
    ------
    OutputError
        If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "The folder cannot be made", where=folder, found=error.strerror, remedy="Choose another -o"
        ) from error
    check_writable(folder)
    return folder


def size_of(path: Path) -> str:
    """Return the size of a file on disk in words."""
    return show(path.stat().st_size, "B", digits=3)
