"""A terminal or a log that is not UTF-8 changes how characters look, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fork_server import Server
from killing import COMMANDS, ITERATE

NAME = "µ-§ 试样.cxi"
"""A file name that ASCII lacks; GBK lacks µ, Latin-1 lacks the last characters."""


CASES = [
    *((verb, encoding) for verb in ("inspect", "reconstruct") for encoding in ("ascii", "gbk")),
    *((verb, "latin-1") for verb in ("validate", "simulate", "prepare", "convert", "report")),
]


@pytest.mark.parametrize(("verb", "encoding"), CASES)
def test_a_verb_ends_as_with_utf_8(verb: str, encoding: str, server: Server, folder: Path) -> None:
    (folder / "scan.cxi").rename(folder / NAME)
    output = f"neu µ 试{Path(COMMANDS[verb].output).suffix}" if verb in COMMANDS else ""
    arguments = {
        "inspect": ("inspect", NAME),
        "validate": ("validate", NAME),
        "simulate": ("simulate", output, *COMMANDS["simulate"].arguments[2:]),
        "prepare": ("prepare", NAME, output),
        "convert": ("convert", NAME, output, "--to", "npz"),
        "report": ("report", NAME, "-o", output),
        "reconstruct": ("reconstruct", NAME, "-o", output, *ITERATE, "--iterations", "1"),
    }[verb]
    done = server.run(arguments, folder=folder, encoding=encoding)
    assert done.status == 0, done.output
    assert "Traceback" not in done.output
    assert not output or COMMANDS[verb].is_complete(folder / output)
    assert verb != "report" or NAME in (folder / output).read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "utf-8"])
def test_json_can_be_parsed(encoding: str, server: Server, folder: Path) -> None:
    (folder / "scan.cxi").rename(folder / NAME)
    done = server.run(("validate", NAME, "--json"), folder=folder, encoding=encoding)
    document = json.loads(done.output[done.output.index("{") :])
    assert document["file"] == NAME or encoding != "utf-8"


def test_an_error_is_one_message(server: Server, folder: Path) -> None:
    done = server.run(("inspect", NAME), folder=folder, encoding="ascii")
    assert done.status == 2
    assert done.output.startswith("error: ")
    assert len(done.output.splitlines()) == 1


def test_a_batch_ends_as_with_utf_8(folder: Path) -> None:
    """The workers of a batch are processes of their own, and get the encoding from the environment."""
    (folder / "result.cxi").rename(folder / NAME)  # a result is left out, which takes less time than a reconstruction
    command = [sys.executable, "-m", "exitwave", "batch", NAME, "-o", "试 out", "--workers", "1"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"left out" in done.stderr
    assert NAME in (folder / "试 out" / "batch.html").read_text(encoding="utf-8")
