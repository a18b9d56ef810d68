"""A verb in several processes: they connect, only the first one prints, and they end together."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import typer

from exitwave.errors import ExitwaveError
from exitwave.jobs.failures import as_exitwave_error

if TYPE_CHECKING:
    from exitwave.engine.parallel.communicator import Communicator, TorchCommunicator


@contextmanager
def connected() -> Iterator["Communicator"]:
    """Give the communicator of the processes that were started together; all but the first print nothing.

    An error in one process ends all of them. It is printed once, also if all processes have the same error.
    """
    from exitwave.engine.parallel.communicator import ONE_PROCESS, TorchCommunicator
    from exitwave.engine.parallel.launcher import launch_info

    launch = launch_info(os.environ, os.getppid())
    if launch is None:
        yield ONE_PROCESS
        return
    communicator = TorchCommunicator(launch)
    try:
        with ExitStack() as stack:
            if communicator.rank:
                devnull = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stdout(devnull))
                stack.enter_context(redirect_stderr(devnull))
            yield communicator
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        if communicator.rank == 0:
            raise
        raise typer.Exit(130) from None
    except Exception as error:
        raise _shared_error(communicator, error) from error
    finally:
        communicator.close()


def _shared_error(communicator: "TorchCommunicator", error: Exception) -> Exception:
    """Send an error to the other processes, and return what to raise here: the error, or an exit without a message."""
    from exitwave.engine.parallel.communicator import LostProcessError
    from exitwave.jobs.run import PartialResultError

    ours = as_exitwave_error(error)
    silent = typer.Exit(ours.exit_code)
    if isinstance(error, LostProcessError):
        return ours if communicator.rank == 0 or isinstance(error, PartialResultError) else silent
    communicator.report_failure(str(ours))
    if communicator.rank == 0:
        return ours
    return _with_rank(communicator, ours) if communicator.shows_failure() else silent


def _with_rank(communicator: "TorchCommunicator", error: ExitwaveError) -> ExitwaveError:
    """Return the error with the number of the process."""
    what = f"Process {communicator.rank + 1} of {communicator.size}: {error.what}"
    return type(error)(what, where=error.where, found=error.found, remedy=error.remedy)
