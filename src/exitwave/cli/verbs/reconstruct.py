"""``exitwave reconstruct``: reconstruct the object of a scan, or continue a result."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import ChangedInput, Json, Overwrite, RunOptions
from exitwave.cli.outputs import result_path
from exitwave.cli.register import verb
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.engine.parallel.communicator import Communicator
    from exitwave.jobs.job import Job
    from exitwave.jobs.outcome import Outcome
    from exitwave.reconstruction.checkpoint import Checkpoint

EXIT_CODES = {"interrupted": 130, "divergence": 3}
"""Exit codes of runs that saved a result but ended early."""


@dataclass(frozen=True)
class OwnOptions:
    """Options that `batch` does not have."""

    share: Annotated[
        str | None,
        typer.Option(metavar="probe|both", help="What several scans have in common: the probe, or probe and object."),
    ] = None
    batch: Annotated[int | None, typer.Option(help="Frames of one update.")] = None
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="auto: a GPU if there is one; cuda:1 is the second GPU.")
    ] = None
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look in seconds: few iterations, and no trials of settings.")
    ] = False
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Do not prepare the scan or choose settings: use the defaults.")
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run from its checkpoint; without one, start it.")
    ] = False
    checkpoint: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Time between two checkpoints; 0: write none.")
    ] = 60.0
    changed_input: ChangedInput = False
    overwrite: Overwrite = False
    as_json: Json = False


@verb(order=80, opens_files=True)
def reconstruct(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="IN...", help="A scan, a result to continue, or several scans with --share."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="OUT", help="NAME_result.cxi beside IN, or in this folder if that is read-only."
        ),
    ] = None,
    run: RunOptions,
    own: OwnOptions,
) -> None:
    """Reconstruct one scan or several, or continue a result.

    Without a recipe, an algorithm or other settings, the scan is prepared, and orientation, probe modes, refinement of
    positions and algorithm are chosen by trials on some of its frames.

    Ctrl-C stops after the current iteration and saves the result; a second Ctrl-C stops at once. The same command with
    --resume then continues the run, as if it had not been interrupted. Several processes that
    were started by torchrun, mpiexec or srun share the frames.
    """
    from exitwave.cli.processes import connected
    from exitwave.jobs.checkpoints import find_checkpoint, resumed

    with connected() as communicator:
        job = _job(paths, output, run, own, context.meta["command"])
        checkpoint = communicator.first(partial(find_checkpoint, job)) if own.resume else None
        job = job if checkpoint is None else resumed(job, checkpoint)
        for path, target in zip(job.inputs, job.outputs, strict=True):
            check_output(target, path, overwrite=job.overwrite)
        outcomes = _run(job, communicator, checkpoint)
        if communicator.rank == 0:
            context.meta["saved"] = ", ".join(map(str, job.outputs))
            _print(job, outcomes, as_json=own.as_json)
        code = EXIT_CODES.get(outcomes[0].stopped_by)
        if code is not None:
            raise typer.Exit(code)


def _job(paths: list[Path], output: Path | None, run: RunOptions, own: OwnOptions, command: str) -> "Job":
    """Return the job that the options define."""
    import psutil

    from exitwave.cli.settings import settings_of
    from exitwave.jobs.job import Job

    outputs = _outputs(paths, output, own.share)
    settings = settings_of(run, batch=own.batch, device=own.device)
    return Job(
        inputs=tuple(paths),
        outputs=outputs,
        settings=settings.recipe,
        overrides=settings.overrides,
        probe=run.probe,
        share=own.share,
        quick=own.quick,
        started=psutil.Process().create_time(),
        as_is=own.as_is,
        frc=run.frc,
        embed=run.embed,
        overwrite=own.overwrite,
        checkpoint=own.checkpoint or None,
        changed_input=own.changed_input,
        command=command,
    )


def _outputs(paths: list[Path], output: Path | None, share: str | None) -> tuple[Path, ...]:
    """Return the files of the results."""
    if len(paths) > 1 and share is None:
        remedy = "Add --share probe or --share both, or reconstruct them one by one"
        raise InputError("Several inputs need --share", found=f"{len(paths)} inputs", remedy=remedy)
    if output is not None and share is None:
        return (output,)
    if output is not None:
        remedy = "Leave -o out; NAME_result.cxi is written beside every input"
        raise InputError("One output is not enough for several scans", found=f"-o {output}", remedy=remedy)
    outputs = tuple(result_path(path) for path in paths)
    if len(set(outputs)) < len(outputs):
        raise InputError("Two results would have the same name", found=outputs[0], remedy="Rename one of the inputs")
    return outputs


def _run(job: "Job", communicator: "Communicator", checkpoint: "Checkpoint | None") -> list["Outcome"]:
    """Run the job, and print its progress and findings."""
    from exitwave.cli.console import Console, print_findings
    from exitwave.cli.progress import reporting
    from exitwave.cli.signals import stopping
    from exitwave.jobs.job import open_inputs
    from exitwave.jobs.run import run
    from exitwave.scan import scan_in

    console = Console(stderr=True)
    with reporting(console) as reporter, stopping(reporter.announce) as stop:
        reporter.announce(f"opening {', '.join(map(str, job.inputs))}")
        inputs = open_inputs(job)
        findings = [finding for data in inputs.data for finding in scan_in(data).findings]
        print_findings(console, findings)
        outcomes = run(job, inputs, reporter, stop, communicator, checkpoint)
    print_findings(console, set(outcomes[0].progress.findings) - set(findings))
    return outcomes


def _print(job: "Job", outcomes: list["Outcome"], *, as_json: bool) -> None:
    """Print what was done, as text and with ``as_json`` as a JSON document."""
    from exitwave.cli.console import Console, print_summary
    from exitwave.cli.summary import describe, summary

    out = Console(stderr=as_json)
    for outcome in outcomes:
        print_summary(out, describe(outcome))
    if as_json:
        results = [{"input": path, **summary(outcome)} for path, outcome in zip(job.inputs, outcomes, strict=True)]
        print_json({"share": job.share, "results": results} if job.share else results[0])
