"""Outputs are complete or absent, no input is replaced, and two writers do not lose a file."""

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exitwave.errors import OutputError
from exitwave.inputs import note_input, tracking
from exitwave.locks import Lock
from exitwave.outputs import atomic, check_output, remove_stale, reserved

HOLD = """
import sys
from pathlib import Path
from exitwave.outputs import atomic, reserved
target = Path(sys.argv[1])
with reserved(target) if sys.argv[2] == "reserve" else atomic(target, overwrite=True):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.cxi"


def write(target: Path, text: str, overwrite: bool = False) -> None:
    with atomic(target, overwrite) as partial:
        partial.write_text(text)


def write_too_late(target: Path) -> None:
    """Write a target that appears before the file is complete."""
    with atomic(target, False) as partial:
        partial.write_text("mine")
        target.write_text("theirs")


def holding(target: Path, how: str) -> subprocess.Popen:
    """Start a process that writes or reserves a target until its standard input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(target), how], text=True, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_file_that_appears_meanwhile_is_not_replaced(target: Path) -> None:
    with pytest.raises(OutputError, match="another process has written it meanwhile"):
        write_too_late(target)
    assert target.read_text() == "theirs"
    assert os.listdir(target.parent) == ["out.cxi"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_keeps_the_first_file(target: Path, monkeypatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    write(target, "first")
    assert target.read_text() == "first"
    with pytest.raises(OutputError, match="meanwhile"):
        write_too_late(target.with_name("b"))
    assert target.with_name("b").read_text() == "theirs"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_the_mode_of_a_replaced_file_stays(target: Path, mode: int) -> None:
    target.write_text("old")
    target.chmod(mode)
    write(target, "new", overwrite=True)
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_has_the_usual_mode(target: Path) -> None:
    before = os.umask(0o027)
    try:
        write(target, "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_partial_files_of_the_same_process_have_different_names(tmp_path: Path) -> None:
    with atomic(tmp_path / "a", True) as first, atomic(tmp_path / "a", True) as second:
        assert first != second
        assert str(os.getpid()) in first.name
        first.write_text("1")
        second.write_text("2")


def test_a_partial_file_of_a_dead_process_is_removed_by_the_next_writer(target: Path) -> None:
    process = holding(target, "write")
    assert len(os.listdir(target.parent)) == 2  # the partial file and the lock
    process.kill()
    process.wait()
    assert len(os.listdir(target.parent)) == 2
    write(target, "new")
    assert os.listdir(target.parent) == ["out.cxi"]


def test_a_partial_file_of_a_living_process_stays(target: Path) -> None:
    process = holding(target, "write")
    remove_stale(target)
    assert len(os.listdir(target.parent)) == 2
    process.communicate("")
    assert process.returncode == 0
    assert os.listdir(target.parent) == ["out.cxi"]


def test_a_partial_file_of_another_host_is_removed_after_a_day(target: Path) -> None:
    name = f".out.cxi.partial-other{socket.gethostname()}-1-0"
    for age, left in ((60, [name]), (2 * 86_400, [])):
        partial = target.with_name(name)
        partial.touch()
        now = partial.stat().st_mtime
        os.utime(partial, (now - age, now - age))
        remove_stale(target)
        assert os.listdir(target.parent) == left


@pytest.mark.parametrize("how", ["write", "reserve"])
def test_a_second_writer_of_one_output_is_refused(target: Path, how: str) -> None:
    process = holding(target, how)
    with pytest.raises(OutputError, match=rf"Another process is writing this output \(process {process.pid} on"):
        write(target, "mine", overwrite=True)
    process.communicate("")
    write(target, "mine", overwrite=True)
    assert target.read_text() == "mine"


def test_a_lock_ends_with_its_owner(target: Path) -> None:
    process = holding(target, "reserve")
    process.kill()
    process.wait()
    with reserved(target):
        assert not Lock(target).path.exists()
    assert os.listdir(target.parent) == []


def test_a_file_that_was_read_is_not_replaced(tmp_path: Path) -> None:
    source = tmp_path / "scan.cxi"
    source.write_text("counts")
    os.link(source, tmp_path / "hard.cxi")
    (tmp_path / "soft.cxi").symlink_to(source)
    with tracking():
        note_input(source)
        for name in ("scan.cxi", "hard.cxi", "soft.cxi"):
            with pytest.raises(OutputError, match="The output is an input"):
                write(tmp_path / name, "page", overwrite=True)
    assert source.read_text() == "counts"
    write(source, "page", overwrite=True)  # a Python program decides itself
    assert source.read_text() == "page"


def test_a_pipe_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match=r"The output is not a regular file \(a pipe\)"):
        check_output(tmp_path / "pipe", overwrite=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_room_is_checked_before(target: Path) -> None:
    with pytest.raises(OutputError, match=r"The disk is full \(.* MB free"), atomic(target, False, size=2**62):
        pass
    assert os.listdir(target.parent) == []


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / ("x" * 250), "new")
    assert os.listdir(tmp_path) == ["x" * 250]
