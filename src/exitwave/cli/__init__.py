"""The command line. Each verb is one file in `exitwave.cli.verbs`, which parses options, calls functions and prints.

No heavy package is imported here or at the top of a verb's file: a verb imports what it needs when it runs, so that
``exitwave --help`` answers at once.
"""

import io
import sys
from typing import Annotated

import typer

from exitwave import __version__
from exitwave.cli.group import VerbCommand, VerbGroup
from exitwave.cli.register import verbs

app = typer.Typer(
    cls=VerbGroup,
    help="Reconstruct a complex image of a sample from a ptychography scan in a CXI file.",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 unusable input, 3 failed while running, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"exitwave {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for _verb in verbs():
    app.command(_verb.name, cls=VerbCommand)(_verb.function)


def main() -> None:
    """Run the command line with the arguments of this process.

    A terminal or a log whose encoding lacks a character shows an escape sequence in its place.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
