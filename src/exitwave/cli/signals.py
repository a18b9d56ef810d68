"""How Ctrl-C, SIGTERM and SIGHUP end a verb."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from exitwave.jobs.report import StopRequest

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals SIGINT, SIGTERM and, where the system has it, SIGHUP, which end a process."""


@contextmanager
def handling(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals with a function in a ``with`` block.

    SIGHUP stays ignored if it is, as under nohup. Python delivers signals to the main thread only; in
    another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hangup = getattr(signal, "SIGHUP", None)
    before = {number: old for number, old in before.items() if number != hangup or old is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, as Ctrl-C does, so that partial files are removed."""
    raise KeyboardInterrupt


@contextmanager
def stopping(announce: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn the first signal into a stop request; a second one raises KeyboardInterrupt.

    Before the first iteration there is nothing to save, so that the first signal raises KeyboardInterrupt.
    """
    stop = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested or not stop.has_result:
            raise KeyboardInterrupt
        stop.requested = True
        doing = "saving" if stop.saving else "finishing this iteration, then saving"
        announce(f"{doing}; press Ctrl-C again to stop at once")

    with handling(handle):
        yield stop
