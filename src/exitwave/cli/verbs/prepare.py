"""``exitwave prepare``: write a new file with a scan that is ready to be reconstructed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite, Set
from exitwave.cli.outputs import size_of
from exitwave.cli.register import verb
from exitwave.errors import Finding, InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.preparation.crop import Size
    from exitwave.scan import Scan


@dataclass(frozen=True)
class Steps:
    """Options of the steps of preparation."""

    crop: Annotated[
        str,
        typer.Option(
            metavar="N|auto|none", help="Pixels along each side, before binning; auto: those with signal; none: all."
        ),
    ] = "auto"
    bin: Annotated[int, typer.Option("--bin", help="Pixels that are added up along each axis.")] = 1
    centre: Annotated[
        str | None,
        typer.Option(metavar="ROW,COLUMN", help="Zero frequency; determined from the patterns if not given."),
    ] = None
    pixels: Annotated[
        Literal["mask", "interpolate", "none"],
        typer.Option(help="Mask bad pixels, or also interpolate them; none: do not search for them."),
    ] = "mask"
    background: Annotated[
        Literal["model", "subtract", "none"],
        typer.Option(help="Store the background for the model, or subtract it from the counts."),
    ] = "model"
    dark: Annotated[
        str | None, typer.Option(metavar="FILE[:DATASET]", help="Dark frames that replace those of IN: HDF5 or .npy.")
    ] = None
    positions: Annotated[
        Literal["check", "none"], typer.Option(help="Leave out frames whose position is impossible.")
    ] = "check"
    monitor: Annotated[
        str | None, typer.Option(metavar="FILE[:DATASET]", help="Intensity of the beam in each frame: HDF5 or .npy.")
    ] = None
    optics: Annotated[
        str | None,
        typer.Option(
            metavar="LENS",
            help="Optics of the starting probe: 26-ID, 2-ID-D, zone-plate:diameter=160um,outermost_zone=30nm,"
            "central_stop=80um,defocus=280um, or mirrors:aperture=0.3mm/0.3mm,focal_length=300mm/200mm (y/x).",
        ),
    ] = None


@verb(order=70, opens_files=True)
def prepare(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A scan in a CXI file; it is not changed.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The CXI file to write.")],
    steps: Steps,
    assignments: Set = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Clean, centre, crop and bin a scan into a new file.

    The frames are read and written in blocks, so the scan may be larger than the memory. The new file contains a record
    of all steps, and the frames that are left out with the reasons.
    """
    from exitwave.cli.console import Console, print_findings

    check_output(out, file, overwrite=overwrite)
    begin = time.perf_counter()
    scan, prepared = _prepare(file, out, steps, assignments, overwrite=overwrite)
    looked = time.perf_counter()
    findings = tuple(each for each in prepared.findings if each not in scan.findings)
    findings += _write(prepared, out, overwrite=overwrite)
    print_findings(Console(stderr=True), findings)
    seconds = {"look": looked - begin, "write": time.perf_counter() - looked}
    console = Console(stderr=as_json)
    for step in prepared.preparation[len(scan.preparation) :]:
        console.print(f"{step.heading:<11}{step.name}: {step.why}")
    _print_frames(console, prepared)
    console.print(f"Saved {out} ({size_of(out)}).\nNext: exitwave reconstruct {out}")
    if as_json:
        document = _document(file, out, prepared) | {"seconds": seconds}
        print_json(document | {"findings": [finding.as_dict() for finding in findings]})


def _prepare(
    file: Path, out: Path, steps: Steps, assignments: list[str] | None, *, overwrite: bool
) -> tuple["Scan", "Scan"]:
    """Return the scan of a file, and the prepared scan, whose frames are not read yet."""
    import exitwave
    from exitwave.cli.arrays import read_array
    from exitwave.cli.console import Console, print_findings
    from exitwave.cli.lens import parse_optics
    from exitwave.cli.progress import counting
    from exitwave.cli.settings import parse_settings
    from exitwave.dialects.detect import read
    from exitwave.scan import scan_in

    scan = scan_in(read(file, parse_settings(assignments)))
    check_output(out, scan.path, scan.patterns.path, overwrite=overwrite)
    settings: dict[str, Any] = {"crop": _size(steps.crop), "bin": steps.bin, "centre": _point(steps.centre)}
    settings |= {"pixels": steps.pixels, "background": steps.background, "positions": steps.positions == "check"}
    settings |= {"dark": steps.dark and read_array(steps.dark), "monitor": steps.monitor and read_array(steps.monitor)}
    settings |= {"optics": steps.optics and parse_optics(steps.optics)}
    console = Console(stderr=True)
    print_findings(console, scan.findings)
    with counting(console, "reading") as progress:
        return scan, exitwave.prepare(scan, progress=progress, **settings)


def _write(scan: "Scan", out: Path, *, overwrite: bool) -> tuple[Finding, ...]:
    """Write the prepared scan, and return the findings of the writer."""
    from exitwave.cli.console import Console
    from exitwave.cli.progress import counting
    from exitwave.cxi.write import write_scan

    with counting(Console(stderr=True), "writing") as progress:
        return write_scan(scan, out, overwrite=overwrite, progress=progress)


def _size(crop: str) -> "Size":
    """Return the value of ``--crop``."""
    if crop in ("auto", "none"):
        return "auto" if crop == "auto" else None
    if not crop.isdecimal() or int(crop) < 2:
        raise InputError("Not a size", where="--crop", found=repr(crop), remedy="Give a number of pixels, auto or none")
    return int(crop)


def _point(text: str | None) -> tuple[float, float] | None:
    """Return the value of ``--centre``, (row, column)."""
    if text is None:
        return None
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        remedy = "Give row and column, such as --centre 127.5,130"
        raise InputError("Not a point", where="--centre", found=repr(text), remedy=remedy) from None
    return row, column


def _print_frames(console: "Console", scan: "Scan") -> None:
    """Print how many frames are used, and which are left out for which reason."""
    from exitwave.analysis.frame_accounting import USED, account_for_frames, format_ranges

    accounts = account_for_frames(scan)
    console.print(f"Frames to reconstruct: {len(accounts.pop(USED))} of {len(scan.patterns)}.")
    for reason, frames in accounts.items():
        console.print(f"Left out, {reason}: {len(frames)} ({format_ranges(frames)}).")


def _document(file: Path, out: Path, scan: "Scan") -> dict[str, Any]:
    """Return what was done, for ``--json``."""
    from exitwave.analysis.frame_accounting import account_for_frames

    return {
        "input": file,
        "output": out,
        "frames": len(scan.patterns),
        "detector": list(scan.patterns.shape[1:]),
        "object_pixel": scan.object_pixel,
        "preparation": scan.preparation,
        "ledger": {account: frames.tolist() for account, frames in account_for_frames(scan).items()},
    }
