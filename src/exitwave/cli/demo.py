"""``exitwave demo``: the whole way on a simulated scan, which is what a newcomer runs."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.outputs import make_folder
from exitwave.errors import RunError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.scan import Scan

GOOD = 0.08
"""Difference from the truth, relative to the contrast, that a working installation stays below on such a scan."""
FRAMES = 400
"""Frames of the scan."""


def demo(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder; what an earlier demo left is replaced.")
    ] = Path("exitwave-demo"),
    as_json: Json = False,
) -> None:
    """Do all of it on a simulated scan: what a newcomer runs.

    Simulates a scan as of beamline 26-ID, validates the file, reconstructs it, compares the image with the truth,
    draws the figures and writes the report. Ends with exit code 1 if the image is too far from the truth.
    """
    import exitwave
    from exitwave import figures
    from exitwave.cli.console import Console
    from exitwave.cli.work import describe, summary, work
    from exitwave.figures.report import write_report

    begin = time.perf_counter()
    say = Console(stderr=as_json)
    scan_file, result_file = make_folder(folder) / "scan.cxi", folder / "scan_result.cxi"
    for file in (scan_file, result_file):
        check_output(file, overwrite=True)
    scan = _simulate(scan_file, say)
    say.print("\n3. Reconstruct")
    done = work(scan, {}, result_file, overwrite=True, embed=False, opened=0.0)
    say.print(describe(done))
    if done.stopped_by == "interrupted":
        raise typer.Exit(130)
    say.print("\n4. Compare with the truth, which only a simulation knows")
    comparison = exitwave.compare(done.result, scan.truth)
    good = comparison.error <= GOOD
    say.print(comparison.sentence())
    say.print("\n5. Draw and report")
    written = figures.plot_all(done.result, make_folder(folder / "figures"))
    say.print(f"{len(written)} figures in {folder / 'figures'}")
    page = write_report(done.result, folder / "scan_report.html", file=result_file, overwrite=True)
    say.print(f"All of it in one page: {page}")
    seconds = time.perf_counter() - begin
    say.print(f"\nDone in {seconds:.0f} s. {_conclusion(good)} Look at {page} first.")
    if as_json:
        document: dict[str, Any] = {"folder": folder, "scan": scan_file, "reconstruct": summary(done)}
        document |= {"compare": comparison.as_dict(), "good": good, "figures": written, "report": page}
        print_json(document | {"seconds": seconds})
    raise typer.Exit(0 if good else 1)


def _simulate(file: Path, say: "Console") -> "Scan":
    """Write the simulated scan, validate the file and open it as any other."""
    import exitwave
    from exitwave.cxi.validate import validate
    from exitwave.scan import Scan
    from exitwave.simulation import simulate as make_scan
    from exitwave.units import show

    say.print(f"1. Simulate a scan as of beamline 26-ID: {FRAMES} frames of 128 x 128 pixels, 2 million photons each")
    make_scan("26-ID", frames=FRAMES, detector=128, photons=2e6).save(file, overwrite=True)
    scan = exitwave.open(file)
    assert isinstance(scan, Scan)
    say.print(f"Saved {file}; {show(scan.energy, 'eV')}, object pixel {show(scan.object_pixel[0], 'm')}.")
    say.print("\n2. Validate the file")
    findings = validate(file)
    if findings:
        raise RunError("The simulated scan is not valid", where=file, found=findings[0], remedy="Please report it")
    say.print("valid: no findings")
    return scan


def _conclusion(good: bool) -> str:
    if good:
        return f"The image is within {GOOD:.0%} of the truth: your installation works."
    return f"The image is more than {GOOD:.0%} away from the truth: something is wrong; please report it."
