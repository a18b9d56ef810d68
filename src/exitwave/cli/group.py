"""The group of verbs: the one place where an exception becomes a message on stderr and an exit code."""

import os
import shlex
import sys
import traceback
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from exitwave.cli.document import print_json
from exitwave.cli.names import fill_in
from exitwave.cli.signals import handling, interrupt
from exitwave.errors import ExitwaveError, RunError
from exitwave.inputs import tracking
from exitwave.jobs.failures import as_exitwave_error


class VerbCommand(TyperCommand):
    """A verb, whose help lists names that are known only after heavy imports; see `exitwave.cli.names`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with the lists of names filled in."""
        for parameter in self.params:
            if help := getattr(parameter, "help", None):
                parameter.help = fill_in(help)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class VerbGroup(TyperGroup):
    """The group of verbs, which reports the exceptions of a verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the command line, and whether it has --json, for errors that occur before the verb runs."""
        ctx.meta["as_json"] = "--json" in args
        ctx.meta["command"] = shlex.join(["exitwave", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn an exception into one message and ``typer.Exit``."""
        try:
            with handling(interrupt), tracking():
                super().invoke(ctx)
            if sys.stdout is not None:  # None if the shell has closed it
                sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as usage:
            if ctx.meta["as_json"]:
                print_json({"error": {"kind": "UsageError", "message": usage.format_message(), "exit_code": 2}})
            raise
        except BrokenPipeError:
            discard_output()
        except KeyboardInterrupt:
            report(RunError(_interrupted(ctx.meta)), ctx.meta["as_json"], exit_code=130)
        except Exception as error:
            if os.environ.get("EXITWAVE_DEBUG"):
                traceback.print_exc()
            report(as_exitwave_error(error), ctx.meta["as_json"])


def _interrupted(meta: dict[str, Any]) -> str:
    """Return what an interrupt has left."""
    if saved := meta.get("saved"):
        return f"Interrupted. The result was saved: {saved}"
    return "Interrupted. No result was saved"


def report(error: ExitwaveError, as_json: bool, exit_code: int | None = None) -> None:
    """Print an error on stderr, and with ``as_json`` on stdout as a JSON document, and exit with its code."""
    code = error.exit_code if exit_code is None else exit_code
    typer.echo(f"error: {error}", err=True)
    if as_json:
        parts = {"what": error.what, "where": error.where, "found": error.found, "remedy": error.remedy}
        with suppress(OSError):  # the error may be that stdout cannot be written
            print_json({"error": {"kind": type(error).__name__, "message": str(error), **parts, "exit_code": code}})
    raise typer.Exit(code)


def discard_output() -> None:
    """Discard further output on stdout and stderr: the reader of the pipe has ended (``exitwave inspect F | head``)."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(devnull, stream.fileno())
