"""``exitwave reconstruct``: from a scan to a complex image, or onwards from a result."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite, SetAny, parse_settings, read_recipe, split_settings
from exitwave.cli.outputs import result_path
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.scan import Result, Scan

EXIT_CODES = {"interrupted": 130, "divergence": 3}
"""Of runs that saved a result but did not go to their end."""


def reconstruct(
    path: Annotated[Path, typer.Argument(metavar="IN", help="A scan, or a result to continue from.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="NAME_result.cxi beside IN, or here if it is read-only."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings: a YAML file, or a result whose run is repeated.")
    ] = None,
    algorithm: Annotated[str | None, typer.Option(help="rPIE, ePIE, PIE, mPIE, LSQ-ML, ML, Adam, DM or RAAR.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Passes over all frames.")] = None,
    modes: Annotated[int | None, typer.Option(help="Incoherent probe modes.")] = None,
    probe: Annotated[
        str | None,
        typer.Option(metavar="auto|file|PATH", help="Start from a probe found in the data, of IN, or of another file."),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Frames that share an update.")] = None,
    holdout: Annotated[float | None, typer.Option(help="Fraction of the frames held out to judge the result.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for all iterations.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; one for each core if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    pairs: SetAny = None,
    embed: Annotated[bool, typer.Option("--embed", help="Copy the frames into the result instead of a link.")] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Reconstruct a scan, or continue a result.

    Ctrl-C stops after the current iteration and saves what there is; a second one stops at once.
    """
    import exitwave
    from exitwave.cli.console import Console, print_findings
    from exitwave.cli.work import describe, summary, work
    from exitwave.engine.recipe import merge

    target = output or result_path(path)
    check_output(target, path, overwrite=overwrite)
    overrides, settings = split_settings(parse_settings(pairs))
    options: dict[str, Any] = {"algorithm": algorithm, "iterations": iterations, "modes": modes, "batch": batch}
    options |= {"holdout": holdout, "seconds": seconds, "threads": threads, "seed": seed}
    settings |= {key: value for key, value in options.items() if value is not None}
    settings = settings if recipe is None else merge(read_recipe(recipe), settings)

    begin = time.perf_counter()
    data = exitwave.open(path, **overrides)
    opened = time.perf_counter() - begin
    check_output(target, *_sources(data), overwrite=overwrite)
    data, settings = _starting_probe(data, probe, settings)
    words = Console(stderr=as_json)
    remarks = _scan(data).findings
    print_findings(Console(stderr=True), remarks)
    done = work(data, settings, target, overwrite=overwrite, embed=embed, opened=opened)
    print_findings(Console(stderr=True), set(done.progress.findings) - set(remarks))
    words.print(describe(done))
    if as_json:
        print_json({"input": path, **summary(done)})
    if done.stopped_by in EXIT_CODES:
        raise typer.Exit(EXIT_CODES[done.stopped_by])


def _scan(data: "Scan | Result") -> "Scan":
    from exitwave.scan import Result

    return data.scan if isinstance(data, Result) else data


def _sources(data: "Scan | Result") -> list[Path]:
    """Return the files that must not be overwritten: those of the scan and of its frames."""
    scan = _scan(data)
    return [source for source in (scan.path, scan.patterns.path) if source is not None]


def _starting_probe(
    data: "Scan | Result", probe: str | None, settings: dict[str, Any]
) -> tuple["Scan | Result", dict[str, Any]]:
    """Apply ``--probe``: a word goes to the recipe, a path brings the probe of that file."""
    import exitwave

    if probe is None:
        return data, settings
    if probe in ("auto", "file"):
        return data, settings | {"probe": probe}
    other = exitwave.open(probe)
    if other.probe is None:
        raise InputError("There is no probe", where=probe, remedy="Give a file with source_1/illumination, or auto")
    return dataclasses.replace(data, probe=other.probe), settings | {"probe": "file"}
