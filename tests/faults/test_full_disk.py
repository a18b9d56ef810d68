"""A disk that becomes full: the old output stays, nothing else is left, and one message says so."""

import errno
import os
from pathlib import Path

import pytest
from fork_server import Done, Server
from killing import COMMANDS, Command

POINTS = 20
"""Moments at which the disk becomes full."""
NAMES = ["result.cxi", "scan.cxi"]
"""Files of the folder before a command."""


def run_with_old_output(server: Server, command: Command, folder: Path, **how: object) -> Done:
    """Run a command that would replace an output."""
    (folder / command.output).write_text("old")
    return server.run([*command.arguments, "--overwrite"], folder=folder, **how)


def check_old_output(done: Done, command: Command, folder: Path, code: int) -> None:
    """Check that a command has failed with one message, and changed nothing."""
    assert done.status == code, done.output
    errors = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "isk is full" in errors[0]
    assert "Traceback" not in done.output
    assert (folder / command.output).read_text() == "old"
    assert sorted(os.listdir(folder)) == sorted([*NAMES, command.output])


def test_a_disk_that_becomes_full_at_any_moment(server: Server, folder: Path) -> None:
    command = COMMANDS["simulate"]
    steps = run_with_old_output(server, command, folder).steps
    assert steps > POINTS
    last = steps - 2  # the steps after the last write: remove the partial file and the lock
    for step in {1 + (last - 1) * point // (POINTS - 1) for point in range(POINTS)}:
        full = {"fail_from_step": step, "errno": errno.ENOSPC}
        done = run_with_old_output(server, command, folder, **full)
        if done.status:
            check_old_output(done, command, folder, code=2)


NUMBERS = [("prepare", errno.ENOSPC), ("convert", errno.EDQUOT), ("convert", errno.EFBIG), ("report", errno.ENOSPC)]


@pytest.mark.parametrize(("verb", "number"), NUMBERS)
def test_a_full_disk_is_reported_by_every_verb(verb: str, number: int, server: Server, folder: Path) -> None:
    done = run_with_old_output(server, COMMANDS[verb], folder, fail_from_step=2, errno=number)
    check_old_output(done, COMMANDS[verb], folder, code=2)


@pytest.mark.parametrize("verb", ["simulate", "prepare", "convert", "report"])
def test_a_limit_of_the_size_of_files(verb: str, server: Server, folder: Path) -> None:
    done = run_with_old_output(server, COMMANDS[verb], folder, largest_file=30_000)
    check_old_output(done, COMMANDS[verb], folder, code=2)


def reconstruct(server: Server, folder: Path, temporary: Path, home: Path) -> Done:
    """Reconstruct on a disk that is full, with a temporary folder and a home folder."""
    command = COMMANDS["reconstruct"]
    where = {"temporary": str(temporary), "environment": {"HOME": str(home)}}
    return run_with_old_output(server, command, folder, fail_from_step=2, errno=errno.ENOSPC, **where)


def test_a_result_is_saved_elsewhere(server: Server, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = reconstruct(server, folder, elsewhere, elsewhere)
    (saved,) = elsewhere.glob("exitwave-*/new.cxi")
    assert COMMANDS["reconstruct"].is_complete(saved)
    assert str(saved) in done.output
    check_old_output(done, COMMANDS["reconstruct"], folder, code=2)


def test_a_result_that_cannot_be_saved_anywhere(server: Server, folder: Path) -> None:
    done = reconstruct(server, folder, folder, folder)
    check_old_output(done, COMMANDS["reconstruct"], folder, code=3)
    message = next(line for line in done.output.splitlines() if line.startswith("error: "))
    assert message.count("isk is full") + message.count("No space left") >= 2  # the output and the other places
