"""An exception of a verb becomes one message, an exit code and, with ``--json``, a JSON document."""

import errno
import json
import os
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from exitwave.cli.group import VerbGroup
from exitwave.errors import InputError, OutputError, RunError


def run(error, *arguments, **environment):
    """Run a command line whose only verb raises an exception."""
    app = typer.Typer(cls=VerbGroup, rich_markup_mode=None)

    @app.callback()
    def root():
        pass

    @app.command()
    def verb(number: int = 0, as_json: Annotated[bool, typer.Option("--json")] = False):
        raise error

    return CliRunner(env=environment).invoke(app, ["verb", *arguments])


CASES = [
    (
        InputError("Bad energy", where="a.cxi", found="0 eV", remedy="Set it"),
        2,
        "a.cxi: Bad energy (0 eV). Set it.",
    ),
    (
        InputError("The file is not an HDF5 file", where="a.txt", found="4 bytes"),
        2,
        "a.txt is not an HDF5 file (4 bytes).",
    ),
    (OutputError("The output exists"), 2, "The output exists."),
    (RunError("It diverged"), 3, "It diverged."),
    (MemoryError(), 3, "Not enough memory"),
    (OSError(errno.ENOSPC, "No space left on device", "out.cxi"), 2, "out.cxi: The disk is full."),
    (PermissionError(errno.EACCES, "Permission denied", "/out"), 2, "/out: No permission"),
    (ZeroDivisionError("division\nby zero"), 3, "Unexpected ZeroDivisionError (division by zero)."),
    (KeyboardInterrupt(), 130, "Interrupted"),
]


@pytest.mark.parametrize(("error", "code", "message"), CASES)
def test_one_message_on_stderr_and_the_exit_code(error, code, message):
    done = run(error)
    assert done.exit_code == code
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("error", "code", "message"), CASES)
def test_the_json_document_contains_the_error(error, code, message):
    done = run(error, "--json")
    document = json.loads(done.stdout)["error"]
    assert message in document["message"]
    assert document["exit_code"] == done.exit_code == code
    assert document["message"] in done.stderr


def test_the_traceback_is_printed_on_request():
    assert "EXITWAVE_DEBUG=1" in run(ZeroDivisionError()).stderr
    assert "Traceback" not in run(ZeroDivisionError()).stderr
    assert "Traceback" in run(ZeroDivisionError(), EXITWAVE_DEBUG="1").stderr


def test_a_verb_defines_its_exit_code():
    assert run(typer.Exit(1)).exit_code == 1


def test_bad_usage_is_2_with_and_without_json():
    plain, document = run(None, "--number", "x"), run(None, "--number", "x", "--json")
    assert plain.exit_code == document.exit_code == 2
    assert "--number" in plain.stderr
    assert plain.stdout == ""
    assert "--number" in json.loads(document.stdout)["error"]["message"]


def test_a_closed_pipe_gives_no_message():
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "exitwave", "demo", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_full_stdout_is_one_message(json):
    command = [sys.executable, "-m", "exitwave", "validate", "no such file", *json]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no such file does not exist.")
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_stdout_is_no_failure(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    app = typer.Typer(cls=VerbGroup, rich_markup_mode=None)
    app.command()(lambda: None)
    app.callback()(lambda: None)
    with pytest.raises(SystemExit) as done:
        app(["<lambda>"])
    assert done.value.code == 0
