"""A verb that is killed at any moment leaves the complete old or the complete new output, and its inputs as they were.

The long form is `benchmarks/kills.py`.
"""

from pathlib import Path

import pytest
from fork_server import Server
from killing import COMMANDS, Kills, make_folder

CASES = [("simulate", 6), ("prepare", 5), ("convert", 5), ("reconstruct", 3), ("report", 1)]
"""Verbs, and how often each is killed: 20 times in all."""


@pytest.mark.parametrize(("verb", "number"), CASES)
def test_a_killed_verb_leaves_complete_files(
    verb: str, number: int, server: Server, written: Path, tmp_path: Path
) -> None:
    kills = Kills(server, COMMANDS[verb], make_folder(written / "scan.cxi", tmp_path / "folder"), seed=number)
    for turn in range(number):
        how = "time" if turn and turn == number - 1 else "step"
        done = kills.kill(how)
        assert how == "time" or done.status == -9
    kills.finish()
