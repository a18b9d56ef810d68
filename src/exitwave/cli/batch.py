"""``exitwave batch``: many scans with the same settings, on the workers of dask.distributed."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import plain, print_json
from exitwave.cli.options import Json, SetAny, parse_settings, read_recipe, split_settings
from exitwave.cli.outputs import make_folder, result_path
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.batch.job import Job, Row


def batch(
    paths: Annotated[list[Path], typer.Argument(metavar="IN...", help="Scans.")],
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the results; a batch in it goes on.")
    ] = Path("exitwave-batch"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Scans at a time on this machine; chosen from its cores if not given.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler, such as tcp://host:8786, with its workers.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings: a YAML file, or a result.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="As for reconstruct.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Passes over all frames.")] = None,
    modes: Annotated[int | None, typer.Option(help="Incoherent probe modes.")] = None,
    probe: Annotated[str | None, typer.Option(metavar="auto|file|PATH", help="As for reconstruct.")] = None,
    refine_positions: Annotated[bool, typer.Option("--refine-positions", help="Refine the positions.")] = False,
    holdout: Annotated[float | None, typer.Option(help="Fraction of the frames held out to judge the result.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for all iterations of a scan.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for a scan; workers and threads share the cores.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    pairs: SetAny = None,
    frc: Annotated[
        bool,
        typer.Option("--frc", help="Measure the resolutions by two halves of each scan: up to three times the time."),
    ] = False,
    embed: Annotated[bool, typer.Option("--embed", help="Copy the frames into the results.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other settings or another input; others stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Reconstruct many scans and sum them up on one page.

    Each is made as reconstruct makes it. A scan that fails, or a worker that dies, does not stop the others. The same
    command goes on where an earlier one stopped, and does no scan twice. Ends with exit code 1 if a scan failed.
    """
    from exitwave.batch.cluster import check_installed, share_cores

    check_installed()
    options: dict[str, Any] = {"recipe": recipe, "algorithm": algorithm, "iterations": iterations, "modes": modes}
    options |= {"probe": probe, "holdout": holdout, "seconds": seconds, "seed": seed}
    options |= {"refine-positions": refine_positions or None, "embed": embed or None, "frc": frc or None}
    given = {name: value for name, value in options.items() if value is not None}
    workers, shared = share_cores(len(paths), workers, threads)
    jobs = _jobs(paths, make_folder(folder), given, pairs or [], threads if scheduler else shared, overwrite=overwrite)
    rows, interrupted = _run(jobs, workers, scheduler)
    _sum_up(rows, len(jobs), folder, interrupted=interrupted, as_json=as_json)


def _jobs(
    paths: list[Path], folder: Path, given: dict[str, Any], pairs: list[str], threads: int | None, *, overwrite: bool
) -> list["Job"]:
    """Return what is to be done, once it is certain that no result of something else is in the way."""
    from exitwave.batch.job import Job
    from exitwave.batch.journal import open_journal

    asked = _asked(given, pairs)
    outputs = [(folder / result_path(path).name).absolute() for path in paths]
    if len(set(outputs)) < len(outputs):
        twice = next(output for output in outputs if outputs.count(output) > 1)
        remedy = "Give the inputs other names, or put them into batches with folders of their own"
        raise InputError("Two results would have the same name", found=twice.name, remedy=remedy)
    for path, output in zip(paths, outputs, strict=True):
        check_output(output, path, overwrite=True)
    journal = open_journal(folder, asked, outputs, overwrite=overwrite)
    extra = {} if threads is None else {"threads": threads}
    return [
        Job(
            input=path.absolute(),
            output=output,
            report=output.with_name(f"{output.stem}_report.html"),
            settings=asked["settings"] | extra,
            overrides=asked["overrides"],
            probe=asked["probe"],
            embed=asked["embed"],
            frc=asked["frc"],
            replace=overwrite,
            stale=journal.stale.get(output.name),
            command=_command(path.absolute(), output, given | extra, pairs),
        )
        for path, output in zip(paths, outputs, strict=True)
    ]


def _asked(given: dict[str, Any], pairs: list[str]) -> dict[str, Any]:
    """Return everything that decides what a result is, ready for JSON; a wrong setting is refused here."""
    from exitwave.cli.reconstruct import with_positions
    from exitwave.engine.recipe import make_recipe, merge

    overrides, settings = split_settings(parse_settings(pairs))
    words = ("recipe", "probe", "refine-positions", "embed", "frc")
    settings |= {name: value for name, value in given.items() if name not in words}
    settings = merge(read_recipe(given["recipe"]), settings) if "recipe" in given else settings
    settings = with_positions(settings) if "refine-positions" in given else settings
    make_recipe(settings)
    probe = given.get("probe")
    if probe not in (None, "auto", "file"):
        probe = str(Path(probe).absolute())
    flags = {name: name in given for name in ("embed", "frc")}
    return plain({"overrides": overrides, "settings": settings, "probe": probe, **flags})


def _command(path: Path, output: Path, given: dict[str, Any], pairs: list[str]) -> tuple[str, ...]:
    """Return the command that makes one of the results alone."""
    words = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in given.items()]
    words += [["--set", pair] for pair in pairs]
    return ("exitwave", "reconstruct", str(path), "-o", str(output), *itertools.chain.from_iterable(words))


def _run(jobs: list["Job"], workers: int, scheduler: str | None) -> tuple[list["Row"], bool]:
    """Return the rows of the jobs that have ended, in the order of the jobs, and whether somebody has stopped them."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from exitwave.batch.cluster import connected, run_all
    from exitwave.cli.console import Console
    from exitwave.cli.progress import Lines

    console = Console(stderr=True)
    tell = Lines(console).announce  # to the end, even where nobody reads any more
    columns = (MofNCompleteColumn(), BarColumn(30), TimeElapsedColumn())
    rows = list["Row"]()
    try:
        with (
            _stoppable(tell) as stop,
            Progress(*columns, console=console, disable=not console.is_terminal) as bar,
            connected(workers, scheduler) as client,
        ):
            stop.starting = False
            if stop.asked:
                raise KeyboardInterrupt
            task = bar.add_task("", total=len(jobs))
            for row in run_all(client, jobs, len(jobs) if scheduler else workers, tell):
                rows.append(row)
                tell(f"[{len(rows):{len(str(len(jobs)))}}/{len(jobs)}] {_line(row)}")
                bar.advance(task)
    except KeyboardInterrupt:
        return _in_order(rows, jobs), True
    return _in_order(rows, jobs), False


def _in_order(rows: list["Row"], jobs: list["Job"]) -> list["Row"]:
    place = {str(job.input): number for number, job in enumerate(jobs)}
    return sorted(rows, key=lambda row: place[row.input])


class _Stop:
    asked = False
    """Whether somebody wants to stop."""
    starting = True
    """Whether the workers are being started, which is not to be broken off half way."""


@contextmanager
def _stoppable(announce: Callable[[str], None]) -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, as soon as the workers are there to be stopped."""
    stop = _Stop()

    def handle(*_: Any) -> None:
        announce("stopping the workers")
        stop.asked = True
        if not stop.starting:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(row: "Row") -> str:
    """Return how a scan has ended, in one line."""
    start = f"{row.status}: {Path(row.input).name}"
    if row.message:
        return f"{start}: {row.message}"
    error = "" if row.error is None else f", error {row.error:.4g}"
    held_out = "" if row.holdout_error is None else f", held-out {row.holdout_error:.4g}"
    return f"{start}: {row.grade}{error}{held_out}{''.join(f', {each}' for each in row.diagnoses)}, {row.seconds:.0f} s"


def _sum_up(rows: list["Row"], jobs: int, folder: Path, *, interrupted: bool, as_json: bool) -> None:
    """Write the summary page, say what came out, and exit."""
    from exitwave.batch.page import counts, write_page
    from exitwave.cli.console import Console

    say = Console(stderr=as_json)
    page = write_page(rows, folder)
    number = counts(rows)
    say.print(", ".join(f"{count} {status}" for status, count in number.items() if count) or "nothing done")
    say.print(f"Look at {page}.")
    if interrupted or any(row.failed for row in rows):
        left = f"Interrupted with {len(rows)} of {jobs} scans done" if interrupted else "Not all scans have a result"
        say.print(f"{left}. Run the same command again to go on with what is not done.")
    if as_json:
        scans = [row.as_dict() for row in rows]
        print_json({"folder": folder, "page": page, "interrupted": interrupted, "counts": number, "scans": scans})
    raise typer.Exit(130 if interrupted else int(any(row.failed for row in rows)))
