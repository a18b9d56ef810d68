"""``exitwave prepare``: from a raw scan to one that is ready to be reconstructed, in a new file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite, Set, parse_settings
from exitwave.cli.outputs import size_of
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.preparation.crop import Size
    from exitwave.scan import Scan


def prepare(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A scan in a CXI file; it is never changed.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The CXI file to write.")],
    crop: Annotated[
        str, typer.Option(metavar="N|auto|none", help="Pixels to keep along a side, before binning; auto: with signal.")
    ] = "auto",
    bin: Annotated[int, typer.Option("--bin", help="Pixels that are summed along each axis.")] = 1,
    centre: Annotated[
        str | None, typer.Option(metavar="ROW,COLUMN", help="Zero frequency; found in the data if not given.")
    ] = None,
    pixels: Annotated[
        Literal["mask", "interpolate", "none"], typer.Option(help="What happens to bad pixels; none: none are sought.")
    ] = "mask",
    background: Annotated[
        Literal["model", "subtract", "none"], typer.Option(help="Keep it for the model, or take it off the counts.")
    ] = "model",
    dark: Annotated[
        str | None, typer.Option(metavar="FILE[:DATASET]", help="Dark frames in place of those of IN: HDF5 or .npy.")
    ] = None,
    positions: Annotated[
        Literal["check", "none"], typer.Option(help="Leave out frames whose position cannot be right.")
    ] = "check",
    monitor: Annotated[
        str | None, typer.Option(metavar="FILE[:DATASET]", help="Intensity of the beam in every frame: HDF5 or .npy.")
    ] = None,
    optics: Annotated[
        str | None,
        typer.Option(
            metavar="LENS",
            help="Starting probe: 26-ID, 2-ID-D, zone-plate:diameter=160um,outermost_zone=30nm,central_stop=80um,"
            "defocus=280um, or mirrors:aperture=0.3mm/0.3mm,focal_length=300mm/200mm (y/x).",
        ),
    ] = None,
    pairs: Set = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Clean, centre, crop and bin a scan into a new file.

    The frames stream from file to file. What was done is in the new file, and which frames are not to be used, and why.
    """
    import exitwave
    from exitwave.cli.arrays import read_array
    from exitwave.cli.console import Console, print_findings
    from exitwave.cli.lens import parse_optics
    from exitwave.cli.progress import counting
    from exitwave.cxi.write import write_scan
    from exitwave.scan import scan_in

    check_output(out, file, overwrite=overwrite)
    begin = time.perf_counter()
    data = exitwave.open(file, **parse_settings(pairs))
    scan = scan_in(data)
    check_output(out, scan.path, scan.patterns.path, overwrite=overwrite)
    settings: dict[str, Any] = {"crop": _size(crop), "bin": bin, "centre": _point(centre), "pixels": pixels}
    settings |= {"background": background, "positions": positions == "check"}
    settings |= {"dark": dark and read_array(dark), "monitor": monitor and read_array(monitor)}
    settings |= {"optics": optics and parse_optics(optics)}
    words, err = Console(stderr=as_json), Console(stderr=True)
    print_findings(err, scan.findings)
    with counting(err, "looking at") as progress:
        done = exitwave.prepare(scan, progress=progress, **settings)
    looked = time.perf_counter()
    with counting(err, "writing") as progress:
        found = write_scan(done, out, overwrite=overwrite, progress=progress)
    print_findings(err, found)
    seconds = {"look": looked - begin, "write": time.perf_counter() - looked}
    for step in done.preparation[len(scan.preparation) :]:
        words.print(f"{step.heading:<11}{step.name}: {step.why}")
    _print_ledger(words, done)
    words.print(f"Saved {out} ({size_of(out)}).\nNext: exitwave reconstruct {out}")
    if as_json:
        print_json(_document(file, out, done) | {"seconds": seconds, "findings": [each.as_dict() for each in found]})


def _size(crop: str) -> "Size":
    if crop in ("auto", "none"):
        return "auto" if crop == "auto" else None
    if not crop.isdecimal() or int(crop) < 2:
        raise InputError("Not a size", where="--crop", found=repr(crop), remedy="Give a number of pixels, auto or none")
    return int(crop)


def _point(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        remedy = "Write row and column, such as --centre 127.5,130"
        raise InputError("Not a point", where="--centre", found=repr(text), remedy=remedy) from None
    return row, column


def _print_ledger(words: Any, done: "Scan") -> None:
    from exitwave.analysis.frame_accounting import USED, account_for_frames, format_ranges

    accounts = account_for_frames(done)
    words.print(f"{len(accounts.pop(USED))} of {len(done.patterns)} frames are to be used.")
    for why, frames in accounts.items():
        words.print(f"Left out, {why}: {len(frames)} ({format_ranges(frames)}).")


def _document(file: Path, out: Path, done: "Scan") -> dict[str, Any]:
    from exitwave.analysis.frame_accounting import account_for_frames

    return {
        "input": file,
        "output": out,
        "frames": len(done.patterns),
        "detector": list(done.patterns.shape[1:]),
        "object_pixel": done.object_pixel,
        "preparation": done.preparation,
        "ledger": {account: frames.tolist() for account, frames in account_for_frames(done).items()},
    }
