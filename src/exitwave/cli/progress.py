"""Progress on stderr: a bar on a terminal, plain lines (about ten) elsewhere."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.reconstruction.iterate import Progress


def state(progress: "Progress") -> str:
    """Return the algorithm, the error metric, the score and the rate after an iteration as text."""
    score = progress.score.value
    held_out = "" if math.isnan(score) else f"  deviance of held-out frames {score:.4g}"
    return f"{progress.algorithm}: error {progress.error:.4g}{held_out}  {progress.frames_per_second:,.0f} frames/s"


class Lines:
    """Plain lines for logs and pipes: announcements, the first and last iteration, and every tenth part."""

    def __init__(self, console: "Console") -> None:
        self._console: Console | None = console
        self._first: int | None = None

    def announce(self, text: str) -> None:
        """Print a line."""
        try:
            if self._console is not None:
                self._console.print(text)
        except BrokenPipeError:  # the reader has ended; the job continues without output
            self._console = None

    def update(self, progress: "Progress") -> None:
        """Report one iteration."""
        if self._first is None:
            self._first = progress.iteration
        every = max(1, round((progress.iterations - self._first + 1) / 10))
        if progress.iteration in (self._first, progress.iterations) or progress.iteration % every == 0:
            self.announce(f"iteration {progress.iteration}/{progress.iterations}  {state(progress)}")


class Bar:
    """A progress bar with rate, errors and remaining time."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, state="starting")

    def announce(self, text: str) -> None:
        """Show what happens outside of the iterations."""
        self._bar.update(self._task, state=text)

    def update(self, progress: "Progress") -> None:
        """Report one iteration."""
        self._bar.update(self._task, total=progress.iterations, completed=progress.iteration, state=state(progress))


@contextmanager
def reporting(console: "Console") -> Iterator[Bar | Lines]:
    """Give a bar on a terminal, or plain lines."""
    if not console.is_terminal:
        yield Lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), BarColumn(30), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console) as bar:
        yield Bar(bar)


@contextmanager
def counting(console: "Console", label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows how many frames are done: a bar on a terminal, else a line at every tenth part."""
    if not console.is_terminal:
        yield _Tenths(console, label).update
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), BarColumn(30), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, total=total, completed=done)


class _Tenths:
    """A plain line at every tenth part."""

    def __init__(self, console: "Console", label: str) -> None:
        self._lines, self._label, self._printed = Lines(console), label, 0

    def update(self, done: int, total: int) -> None:
        """Print how many frames are done, if that is a further tenth."""
        if 10 * done // total > self._printed:
            self._printed = 10 * done // total
            self._lines.announce(f"{self._label} {done}/{total} frames")
