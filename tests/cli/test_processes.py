"""Which of several processes prints an error."""

import pytest
import typer

from exitwave.cli.processes import _shared_error, connected
from exitwave.engine.parallel.communicator import ONE_PROCESS, LostProcessError
from exitwave.errors import InputError
from exitwave.jobs.run import PartialResultError


class FakeCommunicator:
    """A process of two, without the other one."""

    size = 2

    def __init__(self, rank, *, shows=True):
        self.rank, self._shows, self.sent = rank, shows, ""

    def report_failure(self, message):
        self.sent = message

    def shows_failure(self):
        return self._shows


OURS = InputError("There is no scan", where="scan.cxi", remedy="Look again")
LOST = LostProcessError("Another process has died", remedy="Look at it")


def test_the_first_process_prints_its_error_and_sends_it_to_the_others():
    first = FakeCommunicator(0)
    assert _shared_error(first, OURS) is OURS
    assert first.sent == str(OURS)


def test_another_process_prints_its_number_unless_the_first_has_the_same_error():
    expected = str(InputError("Process 2 of 2: There is no scan", where="scan.cxi", remedy="Look again"))
    assert str(_shared_error(FakeCommunicator(1), OURS)) == expected
    silent = _shared_error(FakeCommunicator(1, shows=False), OURS)
    assert isinstance(silent, typer.Exit)
    assert silent.exit_code == 2


def test_a_lost_process_is_reported_by_the_first_process_or_by_the_one_that_has_saved():
    assert _shared_error(FakeCommunicator(0), LOST) is LOST
    assert isinstance(_shared_error(FakeCommunicator(1), LOST), typer.Exit)
    saved = PartialResultError(LOST.what, remedy="The partial result was saved after 3 iterations")
    assert _shared_error(FakeCommunicator(1), saved) is saved


def test_one_process_needs_no_communicator(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("exitwave.engine.parallel.launcher.launch_info", lambda *_: None)
    with connected() as communicator:
        assert communicator is ONE_PROCESS
    with pytest.raises(InputError), connected():
        raise OURS
