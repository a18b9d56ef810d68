"""Locks on files that end with the process that holds them."""

import os
import socket
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD: dict[Path, int] = {}
"""Number of times that this process holds each lock; a process that holds a lock can acquire it again."""


class Lock:
    """An exclusive lock on a file, which is created if it does not exist.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Try to get the lock; return whether this process has it now.

        On systems and file systems without locks the answer is always yes.
        """
        if self.path in _HELD:
            _HELD[self.path] += 1
            return True
        while True:
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o666)
            if not _lock(handle):
                os.close(handle)
                return False
            if _is_same(handle, self.path):
                break
            os.close(handle)  # its last owner has removed the file meanwhile
        self._handle = handle
        _HELD[self.path] = 1
        return True

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        if self.path in _HELD and _HELD[self.path] == 1:
            with suppress(OSError):
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Give the lock back, and keep its file."""
        _HELD[self.path] = _HELD.get(self.path, 1) - 1
        if not _HELD[self.path]:
            del _HELD[self.path]
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def sign(self) -> None:
        """Write into the file who holds the lock."""
        if self._handle is not None:
            text = f"process {os.getpid()} on {socket.gethostname()}"
            with suppress(OSError):
                os.pwrite(self._handle, text.encode(), 0)


def is_free(path: Path) -> bool:
    """Return whether no process holds the lock on a file."""
    handle = os.open(path, os.O_RDWR)
    try:
        return _lock(handle)
    finally:
        os.close(handle)


def holder(path: Path) -> str:
    """Return who holds a lock, as `Lock.sign` has written it."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")[:200]
    return ""


def _lock(handle: int) -> bool:
    """Lock an open file; return False if another process has locked it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_same(handle: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        there, here = os.stat(path), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
