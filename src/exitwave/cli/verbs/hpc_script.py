"""``exitwave hpc-script``: a job script for the batch system of a facility."""

import re
import shlex
from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.errors import InputError, did_you_mean

SYSTEMS = ("slurm", "pbs")
VERBS = ("reconstruct", "batch")
EXAMPLE = "exitwave hpc-script slurm --gpus 4 -- reconstruct scan.cxi -o result.cxi"


def hpc_script(
    system: Annotated[str, typer.Argument(metavar="slurm|pbs", help="The batch system.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="What to run, with its options: reconstruct or batch.")
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of a node; each gets a process.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes of a node without GPUs; with batch, scans at a time.")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Cores of a process.")] = 8,
    time: Annotated[str, typer.Option(metavar="HH:MM:SS", help="The longest that it may take.")] = "01:00:00",
    account: Annotated[str | None, typer.Option(help="The account or project that pays.")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue; Slurm's partition.")] = None,
    name: Annotated[str, typer.Option(help="Name of the job, and of its log.")] = "exitwave",
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="A line of shell before, such as 'module load conda'. May be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a job script for Slurm or PBS.

    It runs reconstruct or batch on one node or several. Save it and hand it in, such as
    exitwave hpc-script slurm --gpus 4 -- reconstruct scan.cxi > job.sh; sbatch job.sh
    """
    if system not in SYSTEMS:
        remedy = did_you_mean(system, SYSTEMS)
        raise InputError("There is no script for this batch system", found=system, remedy=remedy)
    if gpus and processes is not None:
        remedy = "Leave --processes out; each GPU gets one"
        raise InputError("GPUs say how many processes there are", found=f"--processes {processes}", remedy=remedy)
    if not re.fullmatch(r"\d{1,3}:[0-5]\d:[0-5]\d", time):
        raise InputError("Not a time", where="--time", found=time, remedy="Write hours, minutes, seconds: 02:30:00")
    for option, word in {"--name": name, "--account": account, "--queue": queue}.items():
        if word is not None and not re.fullmatch(r"[\w.:@+-]+", word):
            raise InputError(
                "Not a name", where=option, found=repr(word), remedy="Use letters, digits, _ . - : @ and +"
            )
    script = render(
        system,
        _command(command),
        nodes=nodes,
        gpus=gpus,
        each=gpus or processes or 1,
        cores=cores,
        time=time,
        account=account,
        queue=queue,
        name=name,
        setup=setup or [],
    )
    if as_json:
        print_json({"system": system, "script": script})
    else:
        typer.echo(script, nl=False)


def _command(words: list[str]) -> list[str]:
    """Return the verb and its options."""
    words = words[1:] if words[0] == "exitwave" else words
    if not words or words[0] not in VERBS:
        found, remedy = " ".join(words) or "nothing", f"Write the command after two dashes: {EXAMPLE}"
        raise InputError("Only reconstruct and batch run on many processes", found=found, remedy=remedy)
    for option in ("--scheduler", "--workers", "--device", "--threads"):
        if any(word.partition("=")[0] == option for word in words):
            remedy = "Leave it out; --nodes, --gpus, --processes and --cores say it"
            raise InputError("The script has this option itself", found=option, remedy=remedy)
    return words


def render(system: str, command: list[str], **what: object) -> str:
    """Return the script; ``what`` has the names of the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("exitwave.cli", "scripts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{system}.sh").render(verb=command[0], command=shlex.join(command), **what)
