"""The one place where an exception becomes a message on stderr and an exit code."""

import errno
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from exitwave.cli.document import print_json
from exitwave.errors import ExitwaveError, OutputError, RunError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Verbs(TyperGroup):
    """The group of verbs; it reports whatever a verb raises."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether the answer has to be a JSON document, for errors that come before the verb."""
        ctx.meta["as_json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn what it raises into one message and ``typer.Exit``."""
        try:
            super().invoke(ctx)
            if sys.stdout is not None:  # None where the shell has closed it
                sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as usage:
            if ctx.meta["as_json"]:
                print_json({"error": {"kind": "UsageError", "message": usage.format_message(), "exit_code": 2}})
            raise
        except BrokenPipeError:
            hush()
        except KeyboardInterrupt:
            report(RunError("Interrupted, nothing was saved"), ctx.meta["as_json"], exit_code=130)
        except Exception as error:
            if os.environ.get("EXITWAVE_DEBUG"):
                traceback.print_exc()
            report(translate(error), ctx.meta["as_json"])


def translate(error: Exception) -> ExitwaveError:
    """Return any exception as one of ours, with a remedy."""
    if isinstance(error, ExitwaveError):
        return error
    if isinstance(error, MemoryError):
        return RunError(
            "Not enough memory",
            found=str(error),
            remedy="Use fewer modes or a smaller scan, or close other programs",
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        return OutputError(
            "The disk is full", where=error.filename or "", remedy="Free some space or choose another -o"
        )
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return OutputError(
            "No permission", where=error.filename or "", found=error.strerror, remedy="Choose another -o or folder"
        )
    return RunError(
        f"Unexpected {type(error).__name__}",
        found=" ".join(str(error).split()),
        remedy="Set EXITWAVE_DEBUG=1 to see the traceback, and please report it",
    )


def report(error: ExitwaveError, as_json: bool, exit_code: int | None = None) -> None:
    """Say an error on stderr, and on stdout as JSON where asked, and exit with its code."""
    code = error.exit_code if exit_code is None else exit_code
    typer.echo(f"error: {error}", err=True)
    if as_json:
        parts = {"what": error.what, "where": error.where, "found": error.found, "remedy": error.remedy}
        with suppress(OSError):  # stdout itself may be what is full
            print_json({"error": {"kind": type(error).__name__, "message": str(error), **parts, "exit_code": code}})
    raise typer.Exit(code)


def hush() -> None:
    """Send the rest of stdout and stderr nowhere: the reader of the pipe has gone (``exitwave inspect F | head``)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
