"""Where a verb writes, decided and checked before any work is done."""

import os
import re
from pathlib import Path

from exitwave.errors import OutputError
from exitwave.units import show


def beside(path: Path, name: str) -> Path:
    """Return ``name`` in the folder of ``path``, or in the current folder where that one is not writable."""
    return path.with_name(name) if os.access(path.absolute().parent, os.W_OK) else Path(name)


def result_path(path: Path) -> Path:
    """Return where the result of a scan goes: scan.cxi, scan_result.cxi, scan_result_2.cxi, and so on."""
    match = re.fullmatch(r"(.+_result)(?:_(\d+))?", path.stem)
    name = f"{match[1]}_{int(match[2] or 1) + 1}" if match else f"{path.stem}_result"
    return beside(path, f"{name}.cxi")


def check_output(target: Path, *sources: Path, overwrite: bool) -> None:
    """Refuse an output that could not be written.

    Raises
    ------
    OutputError
        If the target is one of the sources, exists without ``overwrite``, or its folder is missing or not writable.
    """
    folder = target.absolute().parent
    if any(target.exists() and source.exists() and target.samefile(source) for source in sources):
        raise OutputError("The output is an input", where=target, remedy="An input is never changed; choose another -o")
    if target.is_dir():
        raise OutputError("The output is a folder", where=target, remedy="Give the name of a file")
    if target.exists() and not overwrite:
        raise OutputError("The output exists", where=target, remedy="Choose another name, or add --overwrite")
    if not folder.is_dir():
        raise OutputError("The folder of the output does not exist", where=folder, remedy="Create it or choose another")
    _check_writable(folder)


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
    _check_writable(folder)
    return folder


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("The folder of the output is not writable", where=folder, remedy="Choose another -o")


def size_of(path: Path) -> str:
    """Return the size of a file on disk in words."""
    return show(path.stat().st_size, "B", digits=3)
