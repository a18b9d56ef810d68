"""An input that cannot be read is reported as such, also while an output is written."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fork_server import Server
from killing import COMMANDS
from numpy.typing import NDArray
from samples import small_scan

from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.frames.frames import DerivedFrames

VERBS = ["prepare", "convert", "reconstruct", "report"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_truncated_input(verb: str, server: Server, folder: Path) -> None:
    os.truncate(folder / "scan.cxi", (folder / "scan.cxi").stat().st_size // 2)
    done = server.run(COMMANDS[verb].arguments, folder=folder)
    assert done.status == 2
    assert done.output.splitlines()[-1].startswith("error: scan.cxi is truncated")
    assert sorted(os.listdir(folder)) == ["result.cxi", "scan.cxi"]


@pytest.mark.parametrize("verb", VERBS)
def test_an_input_that_is_truncated_while_the_output_is_written(verb: str, server: Server, folder: Path) -> None:
    """The first steps are the lock and the partial file, except for a reconstruction, which has read all by then."""
    late = {"truncate": str(folder / "scan.cxi"), "truncate_at_step": 2}
    done = server.run(COMMANDS[verb].arguments, folder=folder, **late)
    assert "Unexpected" not in done.output
    if verb == "reconstruct":
        assert COMMANDS[verb].is_complete(folder / COMMANDS[verb].output)
        return
    assert done.status == 2, done.output
    message = done.output.splitlines()[-1]
    assert "scan.cxi" in message
    assert "cannot be written" not in message
    assert sorted(os.listdir(folder)) == ["result.cxi", "scan.cxi"]


class FailingFrames(DerivedFrames):
    """Frames of which one cannot be read."""

    def __init__(self, source: Frames, failing: int) -> None:
        self.source, self.failing, self.path, self.dataset = source, failing, None, ""
        self.shape, self.dtype = source.shape, source.dtype

    def _iterate(self, indices: Iterable[Any]) -> Iterator[NDArray[Any]]:
        for index in indices:
            if self.failing in np.arange(len(self))[index]:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            yield self.source[index]


@pytest.mark.parametrize("failing", [0, 150, 299])
def test_a_read_that_fails_is_no_error_of_the_output(failing: int, tmp_path: Path, monkeypatch: Any) -> None:
    scan = small_scan(300, side=16)
    broken = small_scan(300, side=16, patterns=FailingFrames(scan.patterns, failing))
    monkeypatch.setattr("exitwave.cxi.write_frames.BLOCK", 100 * 16 * 16 * 8)  # three blocks
    with pytest.raises(InputError, match=f"An input cannot be read .{os.strerror(errno.EIO)}"):
        broken.save(tmp_path / "new.cxi")
    assert os.listdir(tmp_path) == []
