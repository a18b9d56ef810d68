"""``exitwave hpc-script``: print a job script for the batch system of a facility."""

import re
import shlex
from dataclasses import dataclass
from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.register import verb
from exitwave.errors import InputError, did_you_mean

SYSTEMS = ("slurm", "pbs")
VERBS = ("reconstruct", "batch")
EXAMPLE = "exitwave hpc-script slurm --gpus 4 -- reconstruct scan.cxi -o result.cxi"


@dataclass(frozen=True)
class JobOptions:
    """Resources of a job, and how it is submitted."""

    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes.")] = 1
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each node; each GPU gets one process.")] = 0
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of each node without GPUs; for batch, scans at a time on each node."),
    ] = None
    cores: Annotated[int, typer.Option(min=1, help="Cores of each process.")] = 8
    time: Annotated[str, typer.Option(metavar="HH:MM:SS", help="Time limit.")] = "01:00:00"
    account: Annotated[str | None, typer.Option(help="Account or project to charge.")] = None
    queue: Annotated[str | None, typer.Option(help="Queue; for Slurm, the partition.")] = None
    name: Annotated[str, typer.Option(help="Name of the job and of its log.")] = "exitwave"
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="Shell command to run first, such as 'module load conda'. May be repeated."),
    ] = None


@verb(order=100)
def hpc_script(
    system: Annotated[str, typer.Argument(metavar="slurm|pbs", help="The batch system.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="reconstruct or batch, with its arguments and options.")
    ],
    options: JobOptions,
    as_json: Json = False,
) -> None:
    """Print a job script for Slurm or PBS.

    The job runs reconstruct or batch on one node or several. Save the script and submit it:
    exitwave hpc-script slurm --gpus 4 -- reconstruct scan.cxi > job.sh; sbatch job.sh
    """
    if system not in SYSTEMS:
        raise InputError("Unknown batch system", found=system, remedy=did_you_mean(system, SYSTEMS))
    _check(options)
    script = render(system, _command(command), options)
    if as_json:
        print_json({"system": system, "script": script})
    else:
        typer.echo(script, nl=False)


def _check(options: JobOptions) -> None:
    """Refuse options that contradict each other or cannot stand in a script."""
    if options.gpus and options.processes is not None:
        found, remedy = f"--processes {options.processes}", "Leave --processes out; each GPU gets one process"
        raise InputError("--gpus defines the number of processes", found=found, remedy=remedy)
    if not re.fullmatch(r"\d{1,3}:[0-5]\d:[0-5]\d", options.time):
        remedy = "Give hours, minutes and seconds: 02:30:00"
        raise InputError("Not a time", where="--time", found=options.time, remedy=remedy)
    names = {"--name": options.name, "--account": options.account, "--queue": options.queue}
    for option, name in names.items():
        if name is not None and not re.fullmatch(r"[\w.:@+-]+", name):
            remedy = "Use letters, digits, _ . - : @ and +"
            raise InputError("Not a name", where=option, found=repr(name), remedy=remedy)


def _command(words: list[str]) -> list[str]:
    """Return the verb and its options."""
    words = words[1:] if words[0] == "exitwave" else words
    if not words or words[0] not in VERBS:
        found, remedy = " ".join(words) or "nothing", f"Give the command after two dashes: {EXAMPLE}"
        raise InputError("Only reconstruct and batch run in several processes", found=found, remedy=remedy)
    for option in ("--scheduler", "--workers", "--device", "--threads"):
        if any(word.partition("=")[0] == option for word in words):
            remedy = "Leave it out; --nodes, --gpus, --processes and --cores define it"
            raise InputError("The script sets this option", found=option, remedy=remedy)
    return words


def render(system: str, command: list[str], options: JobOptions) -> str:
    """Return the job script.

    Parameters
    ----------
    system : str
        ``slurm`` or ``pbs``.
    command : list of str
        The verb and its options.
    options : JobOptions
        Resources of the job.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("exitwave.cli", "scripts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values = vars(options) | {"processes": options.gpus or options.processes or 1, "setup": options.setup or []}
    template = environment.get_template("job.sh")
    return template.render(system=system, verb=command[0], command=shlex.join(command), **values)
