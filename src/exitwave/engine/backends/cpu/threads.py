"""A thread pool for jobs of some microseconds, between which there are short pauses.

The operating system needs some 50 microseconds to wake a thread. A batch of frames has several parts, and all threads
must have finished one part before the next begins. So a thread first waits by reading the number of the current job
(`kernels.spin_wait`), for less than a millisecond, and then sleeps until it is woken. Compiled jobs (`task`) run
without the interpreter's lock.
"""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.kernels.compiled import callback
from exitwave.engine.backends.cpu.kernels.spin_wait import DONE, JOB, LINE, call_first_part, publish, serve, wait_for
from exitwave.engine.backends.device import usable_cores

SPINS = 20_000
"""How often a thread reads the number of the job before it sleeps: for less than a millisecond."""
POLL = 2e-5
"""Seconds between two reads of the thread that waits for the others, after `SPINS` reads."""


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(usable_cores())


def task(function: Callable[[int, int], None]) -> Any:
    """Compile a job that every thread of a pool does: ``function(address of its arguments, number of the thread)``."""
    return callback(types.void(types.intp, types.intp), function)


class _Jobs:
    """The jobs of a pool, which its threads share. It holds no reference to the pool, so that the pool can be freed."""

    def __init__(self, size: int, spins: int) -> None:
        self.spins, self.published = spins, threading.Condition()
        self.table: NDArray[np.int64] = np.zeros(DONE + LINE * size, np.int64)
        self.python_job: Callable[[int], Any] | None = None
        self.outcomes: list[tuple[Any, BaseException | None]] = [(None, None)] * size

    @property
    def address(self) -> int:
        """The address of the table."""
        return int(self.table.ctypes.data)

    def publish(self, function: int = 0, arguments: int = 0) -> None:
        """Publish a task, or the Python job if there is no task, and wake the threads that sleep."""
        with self.published:
            publish(self.address, function, arguments)
            self.published.notify_all()

    def join(self) -> None:
        """Wait until every other thread has finished the job, even if an interrupt comes meanwhile."""
        try:
            self._wait()
        except BaseException:
            self._wait()
            raise

    def _wait(self) -> None:
        for number in range(1, len(self.outcomes)):
            while not wait_for(self.address + 8 * (DONE + LINE * number), self.table[JOB], self.spins):
                time.sleep(POLL)

    def end(self) -> None:
        """End the threads: publish a job without a task or a Python job."""
        self.python_job = None
        self.publish()

    def serve(self, number: int) -> None:
        """Do one job after the other as thread ``number``, until `end`."""
        job = 0
        while True:
            job, is_python = serve(self.address, number, job, self.spins)
            if not is_python:
                with self.published:
                    self.published.wait_for(lambda: self.table[JOB] != job)  # noqa: B023
            elif self.python_job is None:
                return
            else:
                self.outcomes[number] = _outcome(self.python_job, number)


def _outcome(job: Callable[[int], Any], number: int) -> tuple[Any, BaseException | None]:
    """Return the result of a job and the exception that it raised."""
    try:
        return job(number), None
    except BaseException as error:  # raised again in the thread that called `ThreadPool.run`
        return None, error


class ThreadPool:
    """A pool of threads, of which the caller's is the first.

    When a method returns or raises, even for an interrupt, no thread is working.

    Parameters
    ----------
    size : int
        Number of threads. If there are more than the process has cores, they sleep at once instead of reading, because
        reading would keep other threads from working.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs = _Jobs(size, SPINS if size <= default_threads() else 0)
        for number in range(1, size):
            threading.Thread(target=self._jobs.serve, args=(number,), daemon=True).start()
        weakref.finalize(self, self._jobs.end)

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Call a function on every thread with one element of each sequence, and return the results.

        An exception of a thread is raised here after all threads have finished.
        """
        calls, jobs = list(zip(*arguments, strict=True)), self._jobs
        jobs.python_job = lambda number: function(*calls[number])
        try:
            jobs.publish()
            first = function(*calls[0])
        finally:
            jobs.join()
            jobs.python_job = None
        for _, error in jobs.outcomes[1:]:
            if error is not None:
                raise error
        return [first, *(result for result, _ in jobs.outcomes[1:])]

    def share(self, task: Any, arguments: NDArray[np.int64]) -> None:
        """Let every thread do its part of a `task`."""
        try:
            self._jobs.publish(task.address, arguments.ctypes.data)
            call_first_part(task.address, arguments.ctypes.data)
        finally:
            self._jobs.join()
