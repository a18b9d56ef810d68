"""``exitwave batch``: reconstruct many scans with the same settings, on the workers of dask.distributed."""

import dataclasses
import itertools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import plain, print_json
from exitwave.cli.options import Json, RunOptions
from exitwave.cli.outputs import make_folder, result_path
from exitwave.cli.register import verb
from exitwave.cli.signals import handling
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.batch.task import Row, Task


@verb(order=90, opens_files=True)
def batch(
    paths: Annotated[list[Path], typer.Argument(metavar="IN...", help="Scans.")],
    *,
    folder: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder of the results; an interrupted batch continues."),
    ] = Path("exitwave-batch"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Scans at a time on this machine; chosen from its cores if not given.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the workers of this dask scheduler, such as tcp://host:8786."),
    ] = None,
    options: RunOptions,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other settings or of another input.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Reconstruct many scans and summarise them on one page.

    Each scan is reconstructed as by exitwave reconstruct. A scan that fails, or a worker that dies, does not stop the
    others. The same command continues an interrupted batch, and does not repeat finished scans. Ends with exit code 1
    if a scan failed.
    """
    from exitwave.batch.cluster import check_installed, share_cores

    check_installed()
    workers, threads = share_cores(len(paths), workers, options.threads)
    request = _request(options)
    if scheduler is None:
        options = dataclasses.replace(options, threads=threads)
    tasks = _tasks(paths, make_folder(folder), request, options, overwrite=overwrite)
    rows, interrupted = _execute(tasks, workers, scheduler)
    _finish(_Summary(rows, len(tasks), folder, interrupted), as_json=as_json)


def _request(options: RunOptions) -> dict[str, Any]:
    """Return everything that determines a result, ready for JSON, without the threads; check the settings."""
    from exitwave.cli.settings import settings_of
    from exitwave.engine.recipe import make_recipe

    settings = settings_of(dataclasses.replace(options, threads=None))
    make_recipe(settings.recipe)
    probe = options.probe
    if probe not in (None, "auto", "file"):
        probe = str(Path(probe).absolute())
    request = {"overrides": settings.overrides, "settings": settings.recipe, "probe": probe}
    return plain(request | {"embed": options.embed, "frc": options.frc})


def _tasks(
    paths: list[Path], folder: Path, request: dict[str, Any], options: RunOptions, *, overwrite: bool
) -> list["Task"]:
    """Return one task for each scan, after checking that no result of other settings is in the way."""
    from exitwave.batch.journal import open_journal
    from exitwave.batch.task import Task
    from exitwave.jobs.job import Job

    outputs = _outputs(paths, folder)
    journal = open_journal(folder, request, outputs, overwrite=overwrite)
    threads = {} if options.threads is None else {"threads": options.threads}
    jobs = [
        Job(
            inputs=(path.absolute(),),
            outputs=(output,),
            settings=request["settings"] | threads,
            overrides=request["overrides"],
            probe=request["probe"],
            frc=request["frc"],
            embed=request["embed"],
            overwrite=True,
            command=_command(path.absolute(), output, options),
        )
        for path, output in zip(paths, outputs, strict=True)
    ]
    return [
        Task(
            job=job,
            report=_report_path(output),
            replace=overwrite,
            stale=journal.stale.get(output.name),
        )
        for job, output in zip(jobs, outputs, strict=True)
    ]


def _outputs(paths: list[Path], folder: Path) -> list[Path]:
    """Return the result files, as absolute paths; each can be written and has a name of its own."""
    outputs = [(folder / result_path(path).name).absolute() for path in paths]
    if len(set(outputs)) < len(outputs):
        twice = next(output for output in outputs if outputs.count(output) > 1)
        remedy = "Rename one of the inputs, or use two batches with different folders"
        raise InputError("Two results would have the same name", found=twice.name, remedy=remedy)
    for output in outputs:
        for target in (output, _report_path(output)):
            check_output(target, *paths, overwrite=True)
    for name in ("batch.json", "batch.html"):
        check_output(folder / name, *paths, overwrite=True)
    return outputs


def _report_path(output: Path) -> Path:
    """Return the report of a result."""
    return output.with_name(f"{output.stem}_report.html")


def _command(path: Path, output: Path, options: RunOptions) -> str:
    """Return the command line that reconstructs only this scan."""
    words = list[tuple[str, ...]]()
    for option in dataclasses.fields(options):
        value, name = getattr(options, option.name), f"--{option.name.replace('_', '-')}"
        if option.name == "assignments":
            words += [("--set", assignment) for assignment in value or ()]
        elif value is True:
            words.append((name,))
        elif value not in (None, False):
            words.append((name, str(value)))
    return shlex.join(["exitwave", "reconstruct", str(path), "-o", str(output), *itertools.chain.from_iterable(words)])


def _execute(tasks: list["Task"], workers: int, scheduler: str | None) -> tuple[list["Row"], bool]:
    """Execute the tasks; return the rows of those that have ended, in order, and whether the user has stopped them."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from exitwave.batch.cluster import connected, execute_all
    from exitwave.cli.console import Console
    from exitwave.cli.progress import Lines

    console = Console(stderr=True)
    announce = Lines(console).announce  # continues also when nothing reads the output
    columns = (MofNCompleteColumn(), BarColumn(30), TimeElapsedColumn())
    rows = list["Row"]()
    try:
        with (
            _interruptible(announce) as interrupt,
            Progress(*columns, console=console, disable=not console.is_terminal) as bar,
        ):
            announce(f"starting {workers} workers" if scheduler is None else f"connecting to {scheduler}")
            with connected(workers, scheduler) as client:
                interrupt.allow()
                bar_task = bar.add_task("", total=len(tasks))
                for row in execute_all(client, tasks, len(tasks) if scheduler else workers, announce):
                    rows.append(row)
                    announce(f"[{len(rows):{len(str(len(tasks)))}}/{len(tasks)}] {_line(row)}")
                    bar.advance(bar_task)
    except KeyboardInterrupt:
        return _in_order(rows, tasks), True
    return _in_order(rows, tasks), False


def _in_order(rows: list["Row"], tasks: list["Task"]) -> list["Row"]:
    """Return the rows in the order of the tasks."""
    order = {str(task.input): number for number, task in enumerate(tasks)}
    return sorted(rows, key=lambda row: order[row.input])


class _Interrupt:
    """Holds back an interrupt until the workers have started: their start must not be interrupted."""

    def __init__(self) -> None:
        self._requested, self._allowed = False, False

    def request(self) -> None:
        """Interrupt now, or as soon as that is allowed."""
        self._requested = True
        if self._allowed:
            raise KeyboardInterrupt

    def allow(self) -> None:
        """Allow interrupts from now on; raise one that was held back."""
        self._allowed = True
        if self._requested:
            raise KeyboardInterrupt


@contextmanager
def _interruptible(announce: Callable[[str], None]) -> Iterator[_Interrupt]:
    """Make signals raise KeyboardInterrupt, once the workers have started."""
    interrupt = _Interrupt()

    def handle(*_: Any) -> None:
        announce("stopping the workers")
        interrupt.request()

    with handling(handle):
        yield interrupt


def _line(row: "Row") -> str:
    """Return how a scan has ended, in one line."""
    name = Path(row.input).name
    if row.message:
        return f"{row.status}: {row.message}" if name in row.message else f"{row.status}: {name}: {row.message}"
    error = "" if row.error is None else f", error {row.error:.4g}"
    held_out = "" if row.holdout_error is None else f", held-out error {row.holdout_error:.4g}"
    start = f"{row.status}: {name}: {row.grade}"
    return f"{start}{error}{held_out}{''.join(f', {each}' for each in row.diagnoses)}, {row.seconds:.0f} s"


@dataclass(frozen=True)
class _Summary:
    """What a batch has done."""

    rows: list["Row"]
    tasks: int
    folder: Path
    interrupted: bool


def _finish(done: _Summary, *, as_json: bool) -> None:
    """Write the summary page, print what was done, and exit."""
    from exitwave.batch.page import counts, write_page
    from exitwave.cli.console import Console

    out = Console(stderr=as_json)
    page, number = write_page(done.rows, done.folder), counts(done.rows)
    failed = any(row.failed for row in done.rows)
    ended = ", ".join(f"{count} {status}" for status, count in number.items() if count)
    out.print(f"Scans: {ended or 'none done'}.")
    out.print(f"Summary: {page}")
    if done.interrupted:
        out.print(f"Interrupted with {len(done.rows)} of {done.tasks} scans done. Run the same command to continue.")
    elif failed:
        out.print("Some scans have no result or diverged. Run the same command to repeat those without a result.")
    if as_json:
        scans = [row.as_dict() for row in done.rows]
        document = {"folder": done.folder, "page": page, "interrupted": done.interrupted}
        print_json(document | {"counts": number, "scans": scans})
    raise typer.Exit(130 if done.interrupted else int(failed))
