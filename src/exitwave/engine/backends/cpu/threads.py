"""Threads that do something together, again and again, with pauses between that are shorter than waking a thread takes.

The system needs some 50 microseconds to wake a thread, and a batch of frames has several parts, each of which all
threads must have ended before the next begins. So a thread looks for a while whether there is more to do before it lets
itself be woken; and what is compiled (`task`), it does without asking for the interpreter's lock.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.kernels.compiled import callback
from exitwave.engine.backends.cpu.kernels.spin_wait import DONE, LINE, TURN, begin, comes, serve, take_part

LOOKS = 20_000
"""How often a thread looks before it sleeps: for less than a millisecond."""
NAP = 2e-5
"""Seconds between two looks of who has looked so often already."""


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def task(function: Callable[[int, int], None]) -> Any:
    """Compile what each thread of a crew does: ``function(address of its arguments, number of the thread)``."""
    return callback(types.void(types.intp, types.intp), function)


class _Board:
    """What the threads of a crew share: a thread that only sees this does not keep the crew."""

    def __init__(self, size: int, looks: int) -> None:
        self.looks, self.bell = looks, threading.Condition()
        self.numbers: NDArray[np.int64] = np.zeros(DONE + LINE * size, np.int64)
        self.job: Callable[[int], Any] | None = None
        self.found: list[tuple[Any, BaseException | None]] = [(None, None)] * size

    @property
    def address(self) -> int:
        """Where the numbers are."""
        return int(self.numbers.ctypes.data)

    def begin(self, function: int = 0, arguments: int = 0) -> None:
        """Begin a turn with a task, or with the job; who sleeps is woken."""
        with self.bell:
            begin(self.address, function, arguments)
            self.bell.notify_all()

    def join(self) -> None:
        """Wait until every other thread has done the turn, also where an interrupt comes meanwhile."""
        try:
            self._wait()
        except BaseException:
            self._wait()
            raise

    def _wait(self) -> None:
        for number in range(1, len(self.found)):
            while not comes(self.address + 8 * (DONE + LINE * number), self.numbers[TURN], self.looks):
                time.sleep(NAP)

    def end(self) -> None:
        """Let the threads go."""
        self.job = None
        self.begin()

    def serve(self, number: int) -> None:
        """Do one turn after the other, until there is nothing to do in one."""
        turn = 0
        while True:
            turn, called = serve(self.address, number, turn, self.looks)
            if not called:
                with self.bell:
                    self.bell.wait_for(lambda: self.numbers[TURN] != turn)  # noqa: B023
            elif self.job is None:
                return
            else:
                self.found[number] = _caught(self.job, number)


def _caught(job: Callable[[int], Any], number: int) -> tuple[Any, BaseException | None]:
    """Return what a job returns, and what it raises."""
    try:
        return job(number), None
    except BaseException as error:  # who has asked for it raises it
        return None, error


class ThreadPool:
    """Some threads, of which the caller's is the first.

    Nobody is at work any more when a method returns or raises, be it for an interrupt.

    Parameters
    ----------
    size : int
        How many. Where they are more than the cores of the process nobody looks whether it is his turn, which would
        only keep others from working.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._board = _Board(size, LOOKS if size <= default_threads() else 0)
        for number in range(1, size):
            threading.Thread(target=self._board.serve, args=(number,), daemon=True).start()
        weakref.finalize(self, self._board.end)

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Call a function on every thread with an element of each sequence, and return what each returns."""
        calls, board = list(zip(*arguments, strict=True)), self._board
        board.job = lambda number: function(*calls[number])
        try:
            board.begin()
            first = function(*calls[0])
        finally:
            board.join()
            board.job = None
        for _, error in board.found[1:]:
            if error is not None:
                raise error
        return [first, *(result for result, _ in board.found[1:])]

    def share(self, task: Any, arguments: NDArray[np.int64]) -> None:
        """Let every thread do its part of a `task`."""
        try:
            self._board.begin(task.address, arguments.ctypes.data)
            take_part(task.address, arguments.ctypes.data)
        finally:
            self._board.join()
