"""Jobs on the workers of dask.distributed: a cluster of processes on this machine, or one that runs elsewhere."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from exitwave.batch.job import Job, Row, failure, run
from exitwave.errors import InputError, RunError

if TYPE_CHECKING:
    from distributed import Client, Future

LIVES = 3
"""Workers that may die on a scan before it is given up."""
PATIENCE = "20s"
"""How long a scheduler may take to answer."""
THREADS = 4
"""Threads for a worker, where there are cores enough: a scan then takes less memory for each core than with one."""


def share_cores(jobs: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return how many workers there are and how many threads each has, so that together they take all cores.

    Parameters
    ----------
    jobs : int
        Number of scans; more workers are of no use.
    workers, threads : int or None
        What was asked for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    usual = max(cores // (threads or THREADS), min(cores, 2))
    workers = min(jobs, workers or usual)
    return workers, threads or max(1, cores // workers)


def check_installed() -> None:
    """Refuse to go on where dask.distributed is not installed."""
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

    settings = {"distributed.scheduler.allowed-failures": LIVES - 1, "distributed.comm.timeouts.connect": PATIENCE}
    with ExitStack() as stack, dask.config.set(settings):
        for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if scheduler is None:
            local = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
            client.register_plugin(_deaf())
        else:
            client = stack.enter_context(_remote(scheduler))
        yield client


def _remote(scheduler: str) -> "Client":
    from distributed import Client

    try:
        return Client(scheduler)
    except (OSError, ValueError) as error:
        remedy = "Start one with dask scheduler, or leave --scheduler out to use this machine"
        raise InputError("No scheduler answers", where=scheduler, found=error, remedy=remedy) from None


def _deaf() -> Any:
    """Return a plugin that lets workers of this machine ignore Ctrl-C, which is for their parent."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            with suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def run_all(client: "Client", jobs: list[Job], at_once: int, announce: Callable[[str], None]) -> Iterator[Row]:
    """Run jobs and yield the row of each as it ends.

    A job whose worker dies is run again on another one, up to `LIVES` times.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    jobs : list of Job
        In the order in which they start.
    at_once : int
        Jobs that are handed out at a time. A worker has no second one waiting, which would be blamed for its death.
    announce : callable
        Called with a sentence when a worker has died.
    """
    from distributed import as_completed

    waiting = iter(jobs)
    running = dict[str, Job]()

    def submit(job: Job) -> "Future":
        future = client.submit(run, job, pure=False)
        running[future.key] = job
        return future

    def note(event: tuple[float, dict[str, Any]]) -> None:
        lost = [running[key] for key in event[1].get("processing-tasks", ()) if key in running]
        if event[1].get("action") == "remove-worker" and lost:
            announce(f"a worker has died; back in the queue: {', '.join(job.input.name for job in lost)}")

    ended = as_completed([submit(job) for job in islice(waiting, at_once)], raise_errors=False)
    client.subscribe_topic("all", note)
    try:
        for future in ended:
            row = _row(future, running.pop(future.key))
            for job in islice(waiting, 1):
                ended.add(submit(job))
            yield row
    finally:
        client.unsubscribe_topic("all")


def _row(future: "Future", job: Job) -> Row:
    """Return the row of a job that has ended, whatever has become of its worker."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        remedy = "They may have run out of memory: with fewer --workers each has more"
        return failure(
            job,
            RunError(
                f"Given up: {error.allowed_failures + 1} workers died on this scan", where=job.input, remedy=remedy
            ),
        )
    remedy = "The same command goes on with what is not done; workers need the same version of Exitwave"
    found = f"{type(error).__name__}: {error}" if error else future.status
    return failure(job, RunError("The scan was lost on its way", where=job.input, found=found, remedy=remedy))
