"""Tasks on the workers of dask.distributed: a cluster of processes on this machine, or an existing one."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from exitwave.batch.task import Row, Task, execute, failure
from exitwave.engine.backends.device import usable_cores
from exitwave.errors import InputError, RunError

if TYPE_CHECKING:
    from distributed import Client, Future

ATTEMPTS = 3
"""Workers that may die on a scan before it fails."""
CONNECT_TIMEOUT = "20s"
"""Time in which a scheduler must answer."""
THREADS = 4
"""Threads of a worker on a machine with many cores: fewer, larger workers need less memory per core."""


def share_cores(tasks: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return the number of workers and of the threads of each, so that together they use all cores.

    Parameters
    ----------
    tasks : int
        Number of scans, which is the largest useful number of workers.
    workers, threads : int or None
        The numbers that the user gave.
    """
    cores = len(usable_cores())
    default = max(cores // (threads or THREADS), min(cores, 2))
    workers = min(tasks, workers or default)
    return workers, threads or max(1, cores // workers)


def check_installed() -> None:
    """Raise InputError if dask.distributed is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install 'exitwave[dask]'"
        raise InputError("A batch needs dask.distributed", found=str(error), remedy=remedy) from None


@contextmanager
def connected(workers: int, scheduler: str | None) -> Iterator["Client"]:
    """Give a client of a local cluster of processes, or of the scheduler at an address.

    Raises
    ------
    InputError
        If no scheduler answers at the address.
    """
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
        "distributed.comm.timeouts.connect": CONNECT_TIMEOUT,
    }
    with ExitStack() as stack, dask.config.set(settings):
        for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if scheduler is None:
            local = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
            client.register_plugin(_ignore_interrupts())
        else:
            client = stack.enter_context(_remote(scheduler))
        yield client


def _remote(scheduler: str) -> "Client":
    """Return a client of the scheduler at an address."""
    from distributed import Client

    try:
        return Client(scheduler)
    except (OSError, ValueError) as error:
        remedy = "Start one with dask scheduler, or leave --scheduler out to use this machine"
        raise InputError("No scheduler answers", where=scheduler, found=error, remedy=remedy) from None


def _ignore_interrupts() -> Any:
    """Return a plugin that makes workers of this machine ignore Ctrl-C, which their parent process handles."""
    from distributed import WorkerPlugin

    class IgnoreInterrupts(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            with suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return IgnoreInterrupts()


def execute_all(client: "Client", tasks: list[Task], at_once: int, announce: Callable[[str], None]) -> Iterator[Row]:
    """Execute tasks on the workers, and yield the row of each as it ends.

    A task whose worker dies is repeated on another one; it fails after `ATTEMPTS` workers.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    tasks : list of Task
        In the order in which they start.
    at_once : int
        Tasks that are submitted at a time. With one for each worker no task waits on a worker, so that the death of a
        worker counts only for the task that it executes.
    announce : callable
        Called with a line of text when a worker has died.
    """
    from distributed import as_completed

    waiting = iter(tasks)
    running = dict[str, Task]()

    def submit(task: Task) -> "Future":
        future = client.submit(execute, task, pure=False)
        running[future.key] = task
        return future

    def note_death(event: tuple[float, dict[str, Any]]) -> None:
        lost = [running[key] for key in event[1].get("processing-tasks", ()) if key in running]
        if event[1].get("action") == "remove-worker" and lost:
            names = ", ".join(task.input.name for task in lost)
            announce(f"a worker has died; its scan is repeated: {names}")

    ended = as_completed([submit(task) for task in islice(waiting, at_once)], raise_errors=False)
    client.subscribe_topic("all", note_death)
    try:
        for future in ended:
            yield _row(future, running.pop(future.key))
            for task in islice(waiting, 1):
                ended.add(submit(task))
    finally:
        client.unsubscribe_topic("all")


def _row(future: "Future", task: Task) -> Row:
    """Return the row of a task that has ended, also if its workers have died."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        what = f"{error.allowed_failures + 1} workers died on this scan"
        remedy = "They may have run out of memory. Use fewer --workers, so that each has more memory"
        return failure(task, RunError(what, where=task.input, remedy=remedy))
    remedy = "Run the same command again. All workers need the same version of Exitwave"
    found = f"{type(error).__name__}: {error}" if error else future.status
    return failure(task, RunError("The worker did not return a result", where=task.input, found=found, remedy=remedy))
