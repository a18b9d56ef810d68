"""A new HDF5 file whose failures to write are reported."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from exitwave.outputs import WritingError


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
            raise WritingError(*self.failure.args) from self.failure

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
