"""A verb in several processes: they find each other, the first one speaks, and they end together."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import typer

from exitwave.errors import ExitwaveError

if TYPE_CHECKING:
    from exitwave.engine.parallel.communicator import Communicator, TorchCommunicator


@contextmanager
def joined() -> Iterator["Communicator"]:
    """Give the processes that were started together, of which all but the first are silent.

    The error of one ends all. It is told once where all have the same.
    """
    from exitwave.engine.parallel.communicator import ONE_PROCESS, TorchCommunicator
    from exitwave.engine.parallel.launcher import find

    place = find(os.environ, os.getppid())
    if place is None:
        yield ONE_PROCESS
        return
    team = TorchCommunicator(place)
    try:
        with ExitStack() as silence:
            if team.rank:
                nowhere = silence.enter_context(open(os.devnull, "w"))
                silence.enter_context(redirect_stdout(nowhere))
                silence.enter_context(redirect_stderr(nowhere))
            yield team
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        if team.rank == 0:
            raise
        raise typer.Exit(130) from None
    except Exception as error:
        raise _told(team, error) from error
    finally:
        team.leave()


def _told(team: "TorchCommunicator", error: Exception) -> Exception:
    """Return what to raise for an error, having told the others: itself, or an exit without words."""
    from exitwave.cli.group import translate
    from exitwave.engine.parallel.communicator import LostProcessError

    ours = translate(error)
    if isinstance(error, LostProcessError):
        return ours if team.rank == 0 or error.remedy.startswith(SAVED) else typer.Exit(ours.exit_code)
    team.fail(str(ours))
    if team.rank == 0:
        return ours
    return _of(team, ours) if team.speaks() else typer.Exit(ours.exit_code)


def _of(team: "TorchCommunicator", error: ExitwaveError) -> ExitwaveError:
    """Return the error with the number of the process."""
    what = f"Process {team.rank + 1} of {team.size}: {error.what}"
    return type(error)(what, where=error.where, found=error.found, remedy=error.remedy)


SAVED = "What there is was saved"
"""How the remedy of an error begins after which there is a result."""
