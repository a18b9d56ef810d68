"""The command line: one file per verb; each parses, calls and prints.

Nothing heavy is imported here: a verb imports what it needs when it runs, so ``exitwave --help`` answers at once.
"""

from typing import Annotated

import typer

from exitwave import __version__
from exitwave.cli.batch import batch
from exitwave.cli.compare import compare
from exitwave.cli.convert import convert
from exitwave.cli.demo import demo
from exitwave.cli.doctor import doctor
from exitwave.cli.formats import formats
from exitwave.cli.group import Verbs
from exitwave.cli.hpc_script import hpc_script
from exitwave.cli.inspect import inspect
from exitwave.cli.plot import plot
from exitwave.cli.prepare import prepare
from exitwave.cli.reconstruct import reconstruct
from exitwave.cli.report import report
from exitwave.cli.simulate import simulate
from exitwave.cli.validate import validate

app = typer.Typer(
    cls=Verbs,
    help="From a ptychography scan in a CXI file to a complex image of the sample, and back into a CXI file.",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 unusable input, 3 failed while running, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"exitwave {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for _verb in (
    demo, simulate, inspect, validate, convert, formats, prepare, reconstruct, batch, hpc_script, compare, plot, report,
    doctor,
):  # fmt: skip
    app.command()(_verb)


def main() -> None:
    """Run the command line on the arguments of this process."""
    app()
