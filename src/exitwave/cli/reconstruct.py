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
    from exitwave.cli.work import Work
    from exitwave.scan import Result, Scan

EXIT_CODES = {"interrupted": 130, "divergence": 3}
"""Of runs that saved a result but did not go to their end."""


def reconstruct(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="A scan, or a result to continue from, or scans with --share.")
    ],
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
    share: Annotated[
        str | None, typer.Option(metavar="probe|both", help="What several scans share: the probe, or object and probe.")
    ] = None,
    refine_positions: Annotated[
        bool, typer.Option("--refine-positions", help="Refine the positions: from drift to errors of several pixels.")
    ] = False,
    batch: Annotated[int | None, typer.Option(help="Frames that share an update.")] = None,
    holdout: Annotated[float | None, typer.Option(help="Fraction of the frames held out to judge the result.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for all iterations.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="auto: a GPU where there is one; cuda:1 is the second.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; one for each core if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    frc: Annotated[
        bool, typer.Option("--frc", help="Measure the resolution: reconstruct two halves of the scan as well.")
    ] = False,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Take the scan as it is and the default settings; choose nothing.")
    ] = False,
    pairs: SetAny = None,
    embed: Annotated[bool, typer.Option("--embed", help="Copy the frames into the result instead of a link.")] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Reconstruct a scan, or several in one, or continue a result.

    Where nothing says how (no recipe, algorithm or other setting), the scan is prepared, and modes, positions and
    algorithm are chosen from what some of its frames tell.

    Ctrl-C stops after the current iteration and saves what there is; a second one stops at once. Several processes that
    torchrun, mpiexec or srun has started share the frames.
    """
    import exitwave
    from exitwave.cli.console import Console, print_findings
    from exitwave.cli.team import joined
    from exitwave.engine.recipe import merge
    from exitwave.reconstruction.auto import leaves_open
    from exitwave.scan import scan_in

    with joined() as team:
        targets = _targets(paths, output, share)
        for path, target in zip(paths, targets, strict=True):
            check_output(target, path, overwrite=overwrite)
        overrides, settings = split_settings(parse_settings(pairs))
        options: dict[str, Any] = {"algorithm": algorithm, "iterations": iterations, "modes": modes, "batch": batch}
        options |= {"holdout": holdout, "seconds": seconds, "device": device, "threads": threads, "seed": seed}
        settings |= {key: value for key, value in options.items() if value is not None}
        settings = settings if recipe is None else merge(read_recipe(recipe), settings)
        settings = with_positions(settings) if refine_positions else settings

        begin = time.perf_counter()
        inputs = [exitwave.open(path, **overrides) for path in paths]
        opened = time.perf_counter() - begin
        sources = [source for data in inputs for source in _sources(data)]
        for target in targets:
            check_output(target, *sources, overwrite=overwrite)
        inputs[0], settings = starting_probe(inputs[0], probe, settings)
        remarks = [finding for data in inputs for finding in scan_in(data).findings]
        print_findings(Console(stderr=True), remarks)
        how = {"choosing": True} if share is None and not as_is and leaves_open(settings) else {}
        done = _work(
            inputs, share, settings, targets, overwrite=overwrite, embed=embed, opened=opened, frc=frc, team=team, **how
        )
        if team.rank == 0:
            print_findings(Console(stderr=True), set(done[0].progress.findings) - set(remarks))
            _tell(paths, done, share, as_json=as_json)
        if done[0].stopped_by in EXIT_CODES:
            raise typer.Exit(EXIT_CODES[done[0].stopped_by])


def _tell(paths: list[Path], done: list["Work"], share: str | None, *, as_json: bool) -> None:
    """Say what came out, in words and as JSON where asked."""
    from exitwave.cli.console import Console
    from exitwave.cli.work import describe, summary

    words = Console(stderr=as_json)
    for each in done:
        words.print(describe(each))
    if as_json:
        summaries = [{"input": path, **summary(each)} for path, each in zip(paths, done, strict=True)]
        print_json({"share": share, "results": summaries} if share else summaries[0])


def _targets(paths: list[Path], output: Path | None, share: str | None) -> list[Path]:
    """Return where the results go."""
    if len(paths) > 1 and share is None:
        remedy = "Say what they share with --share probe or both, or reconstruct them one by one"
        raise InputError("Several inputs share something", found=f"{len(paths)} inputs", remedy=remedy)
    if output is None:
        targets = [result_path(path) for path in paths]
    elif share is None:
        return [output]
    else:
        remedy = "Leave -o out; NAME_result.cxi goes beside every input"
        raise InputError("One output is not enough for several scans", found=f"-o {output}", remedy=remedy)
    if len(set(targets)) < len(targets):
        raise InputError("Two results would have the same name", found=targets[0], remedy="Give the inputs other names")
    return targets


def _work(
    inputs: list["Scan | Result"], share: str | None, settings: dict[str, Any], targets: list[Path], **how: Any
) -> list["Work"]:
    """Reconstruct one input, or several together."""
    from exitwave.cli.work import work, work_together

    if share is None:
        return [work(inputs[0], settings, targets[0], **how)]
    return work_together(inputs, share, settings, targets, **how)


def with_positions(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn the refinement of positions on, in every stage that does not say how."""
    on = {"position_update": True}
    if "stages" not in settings:
        return on | settings
    return settings | {
        "stages": [on | {k: v for k, v in stage.items() if v is not None} for stage in settings["stages"]]
    }


def _sources(data: "Scan | Result") -> list[Path]:
    """Return the files that must not be overwritten: those of the scan and of its frames."""
    from exitwave.scan import scan_in

    scan = scan_in(data)
    return [source for source in (scan.path, scan.patterns.path) if source is not None]


def starting_probe(
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
