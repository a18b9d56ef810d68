"""Progress in logs and on terminals, and the stop request of Ctrl-C."""

import io
import signal
from types import SimpleNamespace

import pytest

from exitwave.cli.console import Console
from exitwave.cli.progress import Bar, Lines, counting, reporting
from exitwave.cli.signals import stopping


def step(iteration, iterations, deviance=0.2):
    return SimpleNamespace(
        iteration=iteration,
        iterations=iterations,
        algorithm="ML",
        error=0.1,
        score=SimpleNamespace(value=deviance),
        frames_per_second=1234.5,
    )


def lines_of(capsys, first, iterations):
    with reporting(Console(stderr=True)) as report:
        assert isinstance(report, Lines)
        for iteration in range(first, iterations + 1):
            report.update(step(iteration, iterations))
    return capsys.readouterr().err.splitlines()


def test_a_log_has_about_ten_lines_with_the_first_and_the_last(capsys):
    lines = lines_of(capsys, 1, 200)
    assert 10 <= len(lines) <= 12
    assert lines[0].startswith("iteration 1/200  ML: error 0.1  deviance of held-out frames 0.2  1,23")
    assert lines[-1].startswith("iteration 200/200")


def test_a_continued_run_has_about_ten_lines_too(capsys):
    assert 10 <= len(lines_of(capsys, 501, 600)) <= 12


def test_frames_are_counted_by_tenths_in_a_log_and_by_a_bar_on_a_terminal(capsys):
    with counting(Console(stderr=True), "looking at") as progress:
        for done in range(1, 501):
            progress(done, 500)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"looking at {50 * k}/500 frames" for k in range(1, 11)]
    terminal = Console(stderr=True)
    terminal._force_terminal, terminal.file = True, io.StringIO()
    with counting(terminal, "writing") as progress:
        progress(7, 8)
    assert "7/8" in terminal.file.getvalue()


def test_a_short_run_reports_every_iteration(capsys):
    assert len(lines_of(capsys, 1, 3)) == 3


def test_without_held_out_frames_there_is_no_held_out_error(capsys):
    Lines(Console(stderr=True)).update(step(1, 1, deviance=float("nan")))
    assert "held-out" not in capsys.readouterr().err


def test_a_closed_stderr_does_not_stop_the_work(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr("sys.stderr", Closed())
    report = Lines(Console(stderr=True))
    for iteration in (1, 2, 3):
        report.update(step(iteration, 3))


def test_a_terminal_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes a stream a terminal
    with reporting(Console(stderr=True)) as report:
        assert isinstance(report, Bar)
        report.announce("loading 4 frames")
        report.update(step(3, 8))
    shown = capsys.readouterr().err
    assert "3/8" in shown
    assert "error 0.1" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_requests_a_stop_and_the_second_stops_at_once(number):
    announced = []
    with stopping(announced.append) as stop:
        stop.has_result = True
        signal.raise_signal(number)
        assert stop.requested
        assert len(announced) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_signal_stops_at_once_while_there_is_nothing_to_save():
    with pytest.raises(KeyboardInterrupt), stopping(print):
        signal.raise_signal(signal.SIGTERM)


def test_the_earlier_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stopping(print):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_while_saving_announces_only_saving():
    announced = []
    with stopping(announced.append) as stop:
        stop.has_result = stop.saving = True
        signal.raise_signal(signal.SIGINT)
    assert announced == ["saving; press Ctrl-C again to stop at once"]
