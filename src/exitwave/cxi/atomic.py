"""Atomic output: a partial file beside the target, which replaces the target when it is complete."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from exitwave.errors import OutputError
from exitwave.outputs import check_output


@contextmanager
def atomic(target: str | Path, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a partial file beside the target; when the block ends without error, it replaces the target.

    On any failure the partial file is removed and an existing target is not changed.

    Parameters
    ----------
    target : str or Path
        The file to write. A link is followed.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        Before the block if the target exists and may not be replaced, or its folder is missing or not writable;
        after it if the disk is full.
    """
    final = Path(target).resolve()
    check_output(final, overwrite=overwrite)
    partial = final.with_name(f".{final.name}.partial-{os.getpid()}")
    try:
        partial.open("wb").close()
    except OSError as error:
        raise _output_error(target, error) from error
    try:
        yield partial
        _flush(partial)
        os.replace(partial, final)
        _flush(final.parent)
    except OSError as error:
        raise _output_error(target, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def create(partial: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Yield a new HDF5 file, and a function that raises OSError if writing has failed; it is also called at the end."""
    with _Disk(partial, "w+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file, disk.check
        finally:
            disk.check()  # its message is clearer than that of HDF5


class _Disk(io.FileIO):
    """A file that reports failures to write only in `check`.

    After a failure HDF5 keeps the data and tries to write it again when the file is closed; a second failure crashes
    the process. So every write succeeds for HDF5, and data after the failure is discarded with the partial file.
    """

    failure: OSError | None = None

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.failure is not None:
            raise self.failure

    def write(self, data: Any) -> int:
        """Write all of the bytes; return their number."""
        view = memoryview(data).cast("B")
        size = len(view)
        while self.failure is None and len(view):
            try:
                view = view[super().write(view) :]
            except OSError as error:
                self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file; return it."""
        try:
            return super().truncate(size) if self.failure is None else 0
        except OSError as error:
            self.failure = error
            return 0


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _output_error(target: str | Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError("The disk is full", where=target, remedy="Free some space, or write to another disk")
    remedy = "Choose a folder that exists and is writable"
    return OutputError("The output cannot be written", where=target, found=error, remedy=remedy)
