"""Who of several processes says what has gone wrong."""

import pytest
import typer

from exitwave.cli.team import SAVED, _told, joined
from exitwave.engine.parallel.communicator import ONE_PROCESS, LostProcessError
from exitwave.errors import InputError


class Some:
    """A process of two, without the other one."""

    size = 2

    def __init__(self, rank, *, speaks=True):
        self.rank, self._speaks, self.told = rank, speaks, ""

    def fail(self, message):
        self.told = message

    def speaks(self):
        return self._speaks


OURS = InputError("There is no scan", where="scan.cxi", remedy="Look again")
LOST = LostProcessError("Another process has died", remedy="Look at it")


def test_the_first_process_says_its_error_and_tells_the_others():
    first = Some(0)
    assert _told(first, OURS) is OURS
    assert first.told == str(OURS)


def test_another_one_says_which_it_is_unless_the_first_has_the_same():
    assert str(_told(Some(1), OURS)) == "Process 2 of 2: There is no scan in scan.cxi. Look again."
    silent = _told(Some(1, speaks=False), OURS)
    assert isinstance(silent, typer.Exit)
    assert silent.exit_code == 2


def test_a_loss_is_told_by_the_first_process_or_by_who_has_saved():
    assert _told(Some(0), LOST) is LOST
    assert isinstance(_told(Some(1), LOST), typer.Exit)
    saved = LostProcessError(LOST.what, remedy=f"{SAVED} after 3 iterations")
    assert _told(Some(1), saved) is saved


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("exitwave.engine.world.find", lambda *_: None)
    with joined() as team:
        assert team is ONE_PROCESS
    with pytest.raises(InputError), joined():
        raise OURS
