"""Size, time and a sample of a file, by which a later change of it is noticed without reading all of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exitwave.errors import InputError

DIGEST_BYTES = 16
"""Bytes of a digest: the first half of SHA-256."""
ENDS = 2**16
"""Bytes at the beginning and at the end of a file that belong to its sample."""
BLOCKS, BLOCK = 64, 2**12
"""Number and bytes of the blocks between them, at equal distances."""


@dataclass(frozen=True)
class FileState:
    """Size, time and a sample of a file."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Time of the last change in nanoseconds."""
    sample: str = ""
    """Digest of a sample of the bytes; empty if it was not computed."""

    def change(self, path: Path) -> str:
        """Return how a file differs from this state, or an empty string if it does not.

        If only the time differs, the samples decide. Without a sample, another time counts as a change.
        """
        now = state_of(path)
        if now.size != self.size:
            return f"{now.size} bytes, before {self.size}"
        if now.mtime_ns == self.mtime_ns:
            return ""
        if self.sample and sample_digest(path) == self.sample:
            return ""
        return "other contents of the same size" if self.sample else "a later time of change"

    def as_dict(self) -> dict[str, Any]:
        """Return the state as a dictionary, ready for JSON."""
        return {"size": self.size, "mtime_ns": self.mtime_ns, "sample": self.sample}


def state_of(path: Path) -> FileState:
    """Return size and time of a file.

    Raises
    ------
    InputError
        If the file does not exist any more, or cannot be accessed.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        remedy = "Put it back in its place"
        raise InputError("The file cannot be found", where=path, found=error.strerror, remedy=remedy) from error
    return FileState(found.st_size, found.st_mtime_ns)


def sampled_state(path: Path) -> FileState:
    """Return size, time and the digest of a sample of a file."""
    state = state_of(path)
    return FileState(state.size, state.mtime_ns, sample_digest(path))


def sample_digest(path: Path) -> str:
    """Return the digest of both ends of a file and of blocks at equal distances between them; of all of a small file.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= 2 * ENDS + BLOCKS * BLOCK:
                digest.update(file.read())
            else:
                inner = size - 2 * ENDS - BLOCK
                offsets = [ENDS + inner * i // (BLOCKS - 1) for i in range(BLOCKS)]
                for offset, length in [(0, ENDS), *((offset, BLOCK) for offset in offsets), (size - ENDS, ENDS)]:
                    file.seek(offset)
                    digest.update(file.read(length))
    except OSError as error:
        remedy = "Check that you have permission to read it"
        raise InputError("The file cannot be read", where=path, found=error.strerror, remedy=remedy) from error
    return digest.digest()[:DIGEST_BYTES].hex()


def changed_in_use(path: Path, what: str) -> InputError:
    """Return the error to raise where a file has changed since it was opened; ``what`` is the change."""
    remedy = "Open it again, and do not change a file that is in use"
    return InputError("The file has changed since it was opened", where=path, found=what, remedy=remedy)
