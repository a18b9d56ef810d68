"""``exitwave simulate``: write a simulated scan with a known object to a CXI file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite
from exitwave.cli.outputs import size_of
from exitwave.cli.register import verb
from exitwave.outputs import check_output
from exitwave.units import parse, show

if TYPE_CHECKING:
    from exitwave.scan import Scan


@dataclass(frozen=True)
class Experiment:
    """Options of the simulated experiment."""

    preset: Annotated[str, typer.Option(help="Beamline: 26-ID (hard X-rays) or 2-ID-D (soft X-rays).")] = "26-ID"
    scan: Annotated[Literal["fermat", "raster", "rings", "jitter"], typer.Option(help="Scan pattern.")] = "fermat"
    frames: Annotated[int | None, typer.Option(help="Number of frames; that of the preset if not given.")] = None
    detector: Annotated[int | None, typer.Option(help="Pixels along each side of the detector.")] = None
    step: Annotated[
        str | None, typer.Option(help="Step of the scan, such as 100nm; for 70 % overlap if not given.")
    ] = None
    photons: Annotated[float, typer.Option(help="Photons in the beam in each frame.")] = 2e6
    modes: Annotated[int, typer.Option(help="Number of incoherent probe modes.")] = 1
    position_error: Annotated[str, typer.Option(help="Root mean square of the position errors, such as 20nm.")] = "0nm"
    dark: Annotated[float, typer.Option(help="Dark counts per pixel and frame.")] = 0.0
    bad_pixels: Annotated[float, typer.Option(help="Fraction of hot and dead pixels, such as 0.001.")] = 0.0
    specimen: Annotated[Literal["cells", "star", "texture", "particles"], typer.Option(help="Synthetic sample.")] = (
        "cells"
    )
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0


@verb(order=20)
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The CXI file to write.")],
    experiment: Experiment,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Simulate a scan of a known sample.

    The file also contains the true object, probe and positions, with which exitwave compare evaluates a result.
    """
    from exitwave.cli.console import Console

    check_output(out, overwrite=overwrite)
    scan = _simulate(experiment)
    scan.save(out, overwrite=overwrite)
    count, rows, columns = scan.patterns.shape
    console = Console(stderr=as_json)
    console.print(f"Simulated {count} frames of {rows} x {columns} pixels at {show(scan.energy, 'eV')}.")
    console.print(f"Object pixel: {show(scan.object_pixel[0], 'm')}. Photons in each frame: {experiment.photons:.3g}.")
    console.print(f"Saved {out} ({size_of(out)}).\nNext: exitwave reconstruct {out}")
    if as_json:
        document = {"output": out, "frames": count, "detector": [rows, columns], "energy": scan.energy}
        document |= {"object_pixel": scan.object_pixel, "photons": experiment.photons, "seed": experiment.seed}
        print_json(document)


def _simulate(experiment: Experiment) -> "Scan":
    """Return the simulated scan."""
    import exitwave

    lengths = {
        "step": None if experiment.step is None else parse(experiment.step, "length"),
        "position_error": parse(experiment.position_error, "length"),
    }
    return exitwave.simulate(**vars(experiment) | lengths)
