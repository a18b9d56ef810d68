"""Two writers of one output: one of them is told, and no file is lost."""

import os
import threading
from pathlib import Path

import pytest
from fork_server import Server
from killing import COMMANDS

from exitwave.errors import OutputError
from exitwave.outputs import atomic, reserved

VERBS = list(COMMANDS)


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_another_process_writes_is_refused(verb: str, server: Server, folder: Path) -> None:
    command = COMMANDS[verb]
    target = folder / command.output
    target.write_text("old")
    with reserved(target):
        done = server.run([*command.arguments, "--overwrite"], folder=folder)
    assert done.status == 2, done.output
    assert f"Another process is writing this output (process {os.getpid()} on" in done.output
    assert target.read_text() == "old"
    assert sorted(os.listdir(folder)) == sorted(["result.cxi", "scan.cxi", command.output])


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_appears_during_the_run_is_not_replaced(verb: str, server: Server, folder: Path) -> None:
    command = COMMANDS[verb]
    target = folder / command.output
    appears = {"create": str(target), "create_at_step": 2}  # the first step is that of the lock
    done = server.run(command.arguments, folder=folder, temporary=str(folder.parent), **appears)
    assert done.status == 2, done.output
    assert "The output exists" in done.output
    assert target.read_text() == "theirs"
    assert sorted({*os.listdir(folder)} - {*command.left}) == sorted(["result.cxi", "scan.cxi", command.output])
    saved = list(folder.parent.glob("exitwave-*/new.cxi"))
    assert len(saved) == (verb == "reconstruct")  # a result is not lost


def test_threads_of_one_process_that_write_one_output(tmp_path: Path) -> None:
    """The process id in the names of the partial files is the same, as of processes in two containers."""
    target, ready, outcomes = tmp_path / "out.cxi", threading.Barrier(2), list[str]()

    def write(text: str) -> None:
        try:
            with atomic(target, False) as partial:
                partial.write_text(text)
                ready.wait()
            outcomes.append(text)
        except OutputError as error:
            outcomes.append(error.what)

    threads = [threading.Thread(target=write, args=(text,)) for text in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (written,) = {"first", "second"} & set(outcomes)
    assert target.read_text() == written
    assert "The output exists: another process has written it meanwhile" in outcomes
    assert os.listdir(tmp_path) == ["out.cxi"]
