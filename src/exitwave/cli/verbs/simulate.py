"""``exitwave simulate``: a scan of known truth in a CXI file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite
from exitwave.cli.outputs import size_of
from exitwave.outputs import check_output
from exitwave.units import parse, show


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The CXI file to write.")],
    preset: Annotated[str, typer.Option(help="Beamline: 26-ID (hard X-rays) or 2-ID-D (soft).")] = "26-ID",
    scan: Annotated[Literal["fermat", "raster", "rings", "jitter"], typer.Option(help="Scan pattern.")] = "fermat",
    frames: Annotated[int | None, typer.Option(help="Number of frames; the preset's if not given.")] = None,
    detector: Annotated[int | None, typer.Option(help="Pixels along a side of the detector.")] = None,
    step: Annotated[str | None, typer.Option(help="Step of the scan, e.g. 100nm; 70 % overlap if not given.")] = None,
    photons: Annotated[float, typer.Option(help="Photons in the beam during a frame.")] = 2e6,
    modes: Annotated[int, typer.Option(help="Incoherent probe modes.")] = 1,
    position_error: Annotated[str, typer.Option(help="Root mean square of the stage's errors, e.g. 20nm.")] = "0nm",
    dark: Annotated[float, typer.Option(help="Dark current in counts per pixel and frame.")] = 0.0,
    bad_pixels: Annotated[float, typer.Option(help="Fraction of hot and dead pixels, e.g. 0.001.")] = 0.0,
    specimen: Annotated[Literal["cells", "star", "texture", "particles"], typer.Option(help="Specimen.")] = "cells",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Simulate a scan of a known sample.

    The file keeps the truth in a group of its own, so that any result can be scored.
    """
    from exitwave.cli.console import Console
    from exitwave.simulation import simulate as make_scan

    check_output(out, overwrite=overwrite)
    simulated = make_scan(
        preset,
        scan=scan,
        frames=frames,
        detector=detector,
        step=None if step is None else parse(step, "length"),
        photons=photons,
        modes=modes,
        position_error=parse(position_error, "length"),
        dark=dark,
        bad_pixels=bad_pixels,
        specimen=specimen,
        seed=seed,
    )
    simulated.save(out, overwrite=overwrite)
    count, rows, columns = simulated.patterns.shape
    words = Console(stderr=as_json)
    words.print(f"Simulated {count} frames of {rows} x {columns} pixels at {show(simulated.energy, 'eV')}.")
    words.print(f"Object pixel {show(simulated.object_pixel[0], 'm')}; {photons:.3g} photons a frame.")
    words.print(f"Saved {out} ({size_of(out)}).\nNext: exitwave reconstruct {out}")
    if as_json:
        print_json(
            {
                "output": out,
                "frames": count,
                "detector": [rows, columns],
                "energy": simulated.energy,
                "object_pixel": simulated.object_pixel,
                "photons": photons,
                "seed": seed,
            }
        )
