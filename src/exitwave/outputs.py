"""Write outputs: each file is complete or absent, and no input is ever replaced.

`atomic` is the one way in which every part of the package writes a file: into a partial file beside the target, which
is published under its name when it is complete. `check_output` finds out before any computation whether that will work.
"""

import ctypes
import errno
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exitwave.errors import InputError, OutputError
from exitwave.inputs import is_an_input
from exitwave.locks import Lock, holder, is_free

PARTIAL = ".partial-"
"""Between the name of the target and the owner in the name of a partial file."""
DAY = 86_400.0
"""Seconds after which the partial file of another host, whose locks may be invisible here, is removed."""
LONGEST = 150
"""Bytes of the target's name in the name of a partial file; file systems allow 255 bytes for all of it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, an exceeded quota and a limit of the size of a file."""
WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EINVAL)
"""Errors of file systems without hard links, or without a rename that does not replace."""
AT_FDCWD, RENAME_NOREPLACE = -100, 1
"""Arguments of renameat2 (Linux)."""
OTHER_NAME = "Choose another name, or replace the file with --overwrite (in Python: overwrite=True)"
"""Advice about an existing output."""


def check_output(target: Path, *sources: Path | None, overwrite: bool) -> None:
    """Raise OutputError if an output cannot be written.

    Parameters
    ----------
    target : Path
        The file to write.
    *sources : Path or None
        Files that must not be changed, beside those that the command has read; see `inputs.tracking`.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the target is an input, a folder or no regular file, exists and ``overwrite`` is false, is being written by
        another process, or its folder is missing or not writable.
    """
    known = any(s is not None and target.exists() and s.exists() and target.samefile(s) for s in sources)
    if known or is_an_input(target):
        remedy = "Inputs are never changed; choose another name"
        raise OutputError("The output is an input", where=target, remedy=remedy)
    if target.is_dir():
        raise OutputError("The output is a folder", where=target, remedy="Give the name of a file")
    if target.exists() and not target.is_file():
        found = _kind(target.stat().st_mode)
        raise OutputError("The output is not a regular file", where=target, found=found, remedy="Choose another name")
    if target.exists() and not overwrite:
        raise OutputError("The output exists", where=target, remedy=OTHER_NAME)
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            "The folder of the output does not exist", where=folder, remedy="Create it, or choose another"
        )
    check_writable(folder)


def _kind(mode: int) -> str:
    """Return the kind of a file that is neither regular nor a folder."""
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket"


def check_writable(folder: Path) -> None:
    """Raise OutputError if the user cannot write to a folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("The folder of the output is not writable", where=folder, remedy="Choose another folder")


@contextmanager
def reserved(target: Path) -> Iterator[None]:
    """Keep other processes from writing an output during a ``with`` block; the lock ends with the process.

    Raises
    ------
    OutputError
        If another process has reserved it.
    """
    final = Path(os.path.realpath(target))
    lock = Lock(final.with_name(f".{_start(final)}.lock"))
    try:
        acquired = lock.acquire()
    except OSError as error:
        raise output_error(target, error) from error
    if not acquired:
        remedy = "Wait until it has ended, or choose another name"
        raise OutputError(
            "Another process is writing this output", where=target, found=holder(lock.path), remedy=remedy
        )
    lock.sign()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic(target: str | Path, overwrite: bool, size: int = 0) -> Iterator[Path]:
    """Yield the path of a partial file beside the target; when the block ends without error, it becomes the target.

    On any failure the partial file is removed and an existing target is not changed. Partial files of the same target
    whose owners have died are removed. The file keeps mode and owner of the one that it replaces.

    Parameters
    ----------
    target : str or Path
        The file to write. A link is followed.
    overwrite : bool
        Whether an existing file may be replaced. A file that appears during the block is not replaced without it.
    size : int
        Least size of the file in bytes, for which the disk must have room.

    Raises
    ------
    OutputError
        Before the block as `check_output`, or if the disk lacks room; after it if the target has appeared meanwhile, or
        the disk is full.
    """
    final = Path(os.path.realpath(target))
    check_output(final, overwrite=overwrite)
    with reserved(final):
        try:
            remove_stale(final)
            _check_room(final, size)
            partial, lock = _open_partial(final)
        except OSError as error:
            raise output_error(target, error) from error
        try:
            with _errors_of(target, partial):
                yield partial
            _flush(partial)
            check_output(final, overwrite=True)  # the block may have read further inputs
            _publish(partial, final, overwrite)
            _flush(final.parent)
        except FileExistsError as error:
            what = "The output exists: another process has written it meanwhile"
            raise OutputError(what, where=target, remedy=OTHER_NAME) from error
        except OSError as error:
            raise output_error(target, error) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            lock.close()


class WritingError(OSError):
    """A failure to write an output, where the error of the system does not name the file."""


@contextmanager
def _errors_of(target: str | Path, partial: Path) -> Iterator[None]:
    """Turn the errors of writing a partial file into OutputError, and other errors of the system into InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or isinstance(error, WritingError) or str(error.filename or "") == str(partial):
            raise output_error(target, error) from error
        remedy = "Check the disk or the network, then run the command again"
        found = error.strerror or error
        raise InputError("An input cannot be read", where=error.filename or "", found=found, remedy=remedy) from error


def _open_partial(final: Path) -> tuple[Path, Lock]:
    """Create a partial file with a unique name, and lock it; the lock ends with this process."""
    while True:
        owner = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        partial = final.with_name(f".{_start(final)}{PARTIAL}{owner}")
        mode = stat.S_IMODE(final.stat().st_mode) & 0o666 | 0o200 if final.exists() else 0o666
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        except FileExistsError:
            continue
        lock = Lock(partial)
        if lock.acquire():
            return partial, lock
        # another process has taken it for a file of a dead owner


def remove_stale(final: Path) -> None:
    """Remove the partial files of a target whose owners have died."""
    host = f"{PARTIAL}{socket.gethostname()[:40]}-"
    for partial in final.parent.glob(f".{_escaped(_start(final))}{PARTIAL}*"):
        with suppress(OSError):
            here = host in partial.name
            old = time.time() - partial.stat().st_mtime > DAY
            if (here or old) and is_free(partial):
                partial.unlink()


def _start(final: Path) -> str:
    """Return the first `LONGEST` bytes of the name of a file."""
    return os.fsencode(final.name)[:LONGEST].decode(errors="ignore")


def _escaped(name: str) -> str:
    """Return a pattern that matches only a name."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _check_room(final: Path, size: int) -> None:
    """Raise OutputError if the disk has not enough room."""
    if size and hasattr(os, "statvfs"):
        disk = os.statvfs(final.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < size:
            found = f"{free / 1e6:.3g} MB free, {size / 1e6:.3g} MB needed"
            raise OutputError("The disk is full", where=final, found=found, remedy=MORE_ROOM)


MORE_ROOM = "Free some space, or write to another disk"
"""Advice about a full disk."""


def _publish(partial: Path, final: Path, overwrite: bool) -> None:
    """Give a complete file its name. Without ``overwrite`` an existing file raises FileExistsError."""
    if overwrite:
        _take_over(partial, final)
        os.replace(partial, final)
        return
    try:
        os.link(partial, final)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        _rename_without_replacing(partial, final)


def _take_over(partial: Path, final: Path) -> None:
    """Give a partial file the mode and, where it is allowed, the owner of the file that it replaces."""
    with suppress(FileNotFoundError):
        old = final.stat()
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(partial, old.st_uid, old.st_gid)
        os.chmod(partial, stat.S_IMODE(old.st_mode))


def _rename_without_replacing(partial: Path, final: Path) -> None:
    """Rename a file by renameat2; on systems without it, check and rename while the output is reserved."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is not None:
        names = os.fsencode(partial), os.fsencode(final)
        if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in WITHOUT_LINKS:
            raise OSError(number, os.strerror(number), str(final))
    if final.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    os.rename(partial, final)


def _flush(path: Path) -> None:
    """Write a file or a folder to the disk. File systems that cannot flush a folder keep its entries anyway."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)


def output_error(target: str | Path, error: OSError) -> OutputError:
    """Return the error to raise where writing an output has failed."""
    if error.errno in FULL:
        return OutputError("The disk is full", where=target, remedy=MORE_ROOM)
    remedy = "Choose a folder that exists and is writable"
    return OutputError("The output cannot be written", where=target, found=error.strerror or error, remedy=remedy)
