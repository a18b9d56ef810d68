"""Arguments and options that several verbs share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from exitwave.cli.names import ALGORITHM_NAMES

Input = Annotated[Path, typer.Argument(metavar="FILE", help="A CXI file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and all text on stderr.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
ChangedInput = Annotated[
    bool, typer.Option("--changed-input", help="Use a result although its input has changed since the reconstruction.")
]
Confine = Annotated[
    bool, typer.Option("--confine", help="Refuse files with links that lead outside their folder (for services).")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the file: energy=8.8keV, distance=2m, pixel_size=75um, positions=um (their unit), "
        "mask=inverted, frames.leave_out=3,40:60 or frames.shift=1@50 (from frame 50 on, each frame gets the position "
        "of the next), frames.damaged=refuse (unreadable frames are an error). May be repeated.",
    ),
]
SetAny = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the file (energy=8.8keV, distance=2m, pixel_size=75um, positions=um, mask=inverted, "
        "frames.leave_out=3,40:60, frames.shift=1@50: from frame 50 on, each frame gets the position of the next, "
        "frames.damaged=refuse: unreadable frames are an error) "
        "or a setting of the recipe (object_update.step=0.5). May be repeated.",
    ),
]


@dataclass(frozen=True)
class RunOptions:
    """Options that define how a scan is reconstructed."""

    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings: a YAML file, or a result whose settings are reused.")
    ] = None
    algorithm: Annotated[str | None, typer.Option(help=f"{ALGORITHM_NAMES}.")] = None
    iterations: Annotated[
        int | None, typer.Option(help="Passes over all frames, with those of a result that is continued.")
    ] = None
    modes: Annotated[int | None, typer.Option(help="Number of incoherent probe modes.")] = None
    probe: Annotated[
        str | None,
        typer.Option(
            metavar="auto|file|PATH",
            help="Starting probe: from the patterns, from IN, or from another file.",
        ),
    ] = None
    refine_positions: Annotated[
        bool, typer.Option("--refine-positions", help="Refine the positions: drift, and errors up to several pixels.")
    ] = False
    holdout: Annotated[
        float | None, typer.Option(help="Fraction of the frames that is held out to judge the result.")
    ] = None
    seconds: Annotated[
        float | None, typer.Option(help="End with a saved result within this time from the start of the command.")
    ] = None
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of one reconstruction; chosen from the cores if not given.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None
    assignments: SetAny = None
    frc: Annotated[
        bool,
        typer.Option("--frc", help="Measure the resolution from two halves of the scan (about three times longer)."),
    ] = False
    embed: Annotated[bool, typer.Option("--embed", help="Copy the frames into the result instead of linking.")] = False
