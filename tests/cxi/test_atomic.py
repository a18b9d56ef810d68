"""An output is complete or absent, and a failure does not change an existing file."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from samples import small_scan

from exitwave.cxi.create import create
from exitwave.cxi.read import read
from exitwave.errors import InputError, OutputError
from exitwave.frames import Frames
from exitwave.outputs import atomic
from exitwave.scan import Scan


@pytest.fixture
def old(tmp_path: Path) -> Path:
    target = tmp_path / "out.cxi"
    target.write_bytes(b"an older result")
    return target


def test_a_complete_file_replaces_the_target(old: Path) -> None:
    with atomic(old, overwrite=True) as partial:
        assert partial.parent == old.parent
        assert partial.name.startswith(".out.cxi.partial-")
        partial.write_bytes(b"new")
        assert old.read_bytes() == b"an older result"
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("a defect"), InputError("bad frames")])
def test_after_a_failure_only_the_old_file_exists(old: Path, failure: BaseException) -> None:
    def fail() -> None:
        with atomic(old, overwrite=True) as partial:
            partial.write_bytes(b"half of it")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert old.read_bytes() == b"an older result"
    assert list(old.parent.iterdir()) == [old]


def test_a_full_disk_is_reported(old: Path) -> None:
    with pytest.raises(OutputError, match="The disk is full"), atomic(old, overwrite=True):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(old.parent.iterdir()) == [old]


FULL = """
import resource, sys
from samples import small_scan
from exitwave.errors import OutputError
import numpy as np
from exitwave.frames import Frames
frames = Frames(np.random.default_rng(0).random((300, 64, 64), np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    small_scan(300, patterns=frames).save(sys.argv[1], overwrite=True)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_does_not_change_the_old_file(old: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-c", FULL, str(old)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "The disk is full" in done.stdout, done.stderr
    assert done.returncode == 0
    assert old.read_bytes() == b"an older result"
    assert list(old.parent.iterdir()) == [old]


def test_the_error_of_the_disk_is_reported_instead_of_that_of_hdf5(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exitwave.cxi.create._Disk.failure", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError, match="The disk is full"), atomic(old, True) as partial, create(partial):
        raise OSError("Can't synchronously write data (address of object past end of allocation)")
    assert old.read_bytes() == b"an older result"


def test_frames_that_cannot_be_read_leave_no_partial_file(tmp_path: Path) -> None:
    class Failing(Frames):
        def __getitem__(self, index: slice) -> np.ndarray:
            raise InputError("The frames cannot be read")

    with pytest.raises(InputError, match="cannot be read"):
        small_scan(patterns=Failing(np.zeros((200, 64, 64), np.float32))).save(tmp_path / "out.cxi")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_the_input_is_refused_as_output(scan_file: Path) -> None:
    scan = read(scan_file)
    assert isinstance(scan, Scan)
    alias = scan_file.with_name("alias.cxi")
    alias.symlink_to(scan_file)
    with pytest.raises(OutputError, match="The output is an input"):
        scan.save(alias, overwrite=True)


def test_the_target_of_a_link_is_replaced_and_the_link_stays(old: Path) -> None:
    alias = old.with_name("alias.cxi")
    alias.symlink_to(old)
    small_scan().save(alias, overwrite=True)
    assert alias.is_symlink()
    assert h5py.is_hdf5(old)
