"""What people see while they wait: a bar on a terminal, plain lines (about every tenth) elsewhere; and Ctrl-C."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.reconstruction.iterate import Progress


def state(step: "Progress") -> str:
    """Return the state after an iteration in words."""
    held_out = "" if math.isnan(step.holdout_error) else f"  held-out {step.holdout_error:.4g}"
    return f"error {step.error:.4g}{held_out}  {step.frames_per_second:,.0f} frames/s"


class Lines:
    """Plain lines for logs and pipes: the announcements, the first and last iteration and every tenth part."""

    def __init__(self, console: "Console | None") -> None:
        self._console = console
        self._first: int | None = None

    def announce(self, text: str) -> None:
        """Say what goes on before the first iteration."""
        self._line(text)

    def update(self, step: "Progress") -> None:
        """Report one iteration."""
        if self._first is None:
            self._first = step.iteration
        every = max(1, round((step.iterations - self._first + 1) / 10))
        if step.iteration in (self._first, step.iterations) or step.iteration % every == 0:
            self._line(f"iteration {step.iteration}/{step.iterations}  {state(step)}")

    def _line(self, text: str) -> None:
        try:
            if self._console is not None:
                self._console.print(text)
        except BrokenPipeError:  # nobody reads any more: the work goes on
            self._console = None


class Bar:
    """A progress bar with rate, errors and time left."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, state="starting")

    def announce(self, text: str) -> None:
        """Say what goes on before the first iteration."""
        self._progress.update(self._task, state=text)

    def update(self, step: "Progress") -> None:
        """Report one iteration."""
        self._progress.update(self._task, total=step.iterations, completed=step.iteration, state=state(step))


@contextmanager
def reporting(console: "Console | None") -> Iterator[Bar | Lines]:
    """Give the bar of a terminal, or plain lines, or silence where there is no console."""
    if console is None or not console.is_terminal:
        yield Lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), BarColumn(30), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console) as progress:
        yield Bar(progress)


@contextmanager
def counting(console: "Console", what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many frames are done: a bar on a terminal, a plain line at every tenth elsewhere."""
    if not console.is_terminal:
        yield _Tenths(console, what).update
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), BarColumn(30), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, total=of, completed=done)


class _Tenths:
    """A plain line at every tenth."""

    def __init__(self, console: "Console", what: str) -> None:
        self._line, self._what, self._said = Lines(console), what, 0

    def update(self, done: int, of: int) -> None:
        """Say how far it is, if that is a tenth more than what was said."""
        if 10 * done // of > self._said:
            self._said = 10 * done // of
            self._line.announce(f"{self._what} {done}/{of} frames")


class Stop:
    """Whether somebody asked to stop (Ctrl-C or SIGTERM)."""

    asked = False
    """Stop after the current iteration."""
    something_to_save = False
    """Set after the first iteration; before it, a signal stops at once."""
    saving = False
    """Set after the last iteration."""


@contextmanager
def stopping(announce: Callable[[str], None]) -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a polite request; a second one raises KeyboardInterrupt.

    A thread other than the main one hears no signals, and is never asked.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        if stop.asked or not stop.something_to_save:
            raise KeyboardInterrupt
        stop.asked = True
        announce(f"{'' if stop.saving else 'finishing this iteration and '}saving; once more to stop at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
