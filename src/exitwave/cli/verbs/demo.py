"""``exitwave demo``: all steps on a simulated scan, for new users."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.outputs import make_folder
from exitwave.cli.register import verb
from exitwave.errors import RunError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.jobs.outcome import Outcome
    from exitwave.scan import Scan

GOOD = 0.08
"""Largest difference from the truth, relative to the contrast, of a working installation."""
FRAMES = 400
"""Frames of the scan."""


@verb(order=10)
def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder; files of an earlier demo are replaced.")
    ] = Path("exitwave-demo"),
    as_json: Json = False,
) -> None:
    """Run all steps on a simulated scan, to try Exitwave.

    Simulates a scan of beamline 26-ID, validates the file, reconstructs it, compares the object with the truth, draws
    the figures and writes the report. Ends with exit code 1 if the object differs too much from the truth.
    """
    import exitwave
    from exitwave import figures
    from exitwave.cli.console import Console, print_summary
    from exitwave.cli.summary import describe, summary
    from exitwave.figures.report import write_report

    begin = time.perf_counter()
    out = Console(stderr=as_json)
    scan_file, result_file = make_folder(folder) / "scan.cxi", folder / "scan_result.cxi"
    for file in (scan_file, result_file):
        check_output(file, overwrite=True)
    scan = _simulate(scan_file, out)
    out.print("\n3. Reconstruct")
    outcome = _reconstruct(scan, scan_file, result_file, context.meta["command"])
    print_summary(out, describe(outcome))
    if outcome.stopped_by == "interrupted":
        raise typer.Exit(130)
    out.print("\n4. Compare with the truth")
    comparison = exitwave.compare(outcome.result, scan.truth)
    good = comparison.error <= GOOD
    out.print(comparison.sentence())
    out.print("\n5. Draw the figures and write the report")
    written = figures.plot_all(outcome.result, make_folder(folder / "figures"))
    out.print(f"Saved {len(written)} figures in {folder / 'figures'}.")
    page = write_report(outcome.result, folder / "scan_report.html", file=result_file, overwrite=True)
    out.print(f"Saved {page}.")
    seconds = time.perf_counter() - begin
    out.print(f"\nDone in {seconds:.0f} s. {_conclusion(good)} Next: open {page}")
    if as_json:
        document: dict[str, Any] = {"folder": folder, "scan": scan_file, "reconstruct": summary(outcome)}
        document |= {"compare": comparison.as_dict(), "good": good, "figures": written, "report": page}
        print_json(document | {"seconds": seconds})
    raise typer.Exit(0 if good else 1)


def _reconstruct(scan: "Scan", scan_file: Path, result_file: Path, command: str) -> "Outcome":
    """Reconstruct the scan with the default settings, and print the progress."""
    from exitwave.cli.console import Console
    from exitwave.cli.progress import reporting
    from exitwave.cli.signals import stopping
    from exitwave.jobs.job import Inputs, Job
    from exitwave.jobs.run import run

    job = Job((scan_file,), (result_file,), as_is=True, overwrite=True, command=command)
    with reporting(Console(stderr=True)) as reporter, stopping(reporter.announce) as stop:
        (outcome,) = run(job, Inputs((scan,), {}, 0.0), reporter, stop)
    return outcome


def _simulate(file: Path, out: "Console") -> "Scan":
    """Write the simulated scan, validate the file and open it."""
    import exitwave
    from exitwave.cxi.validate import validate
    from exitwave.scan import Scan
    from exitwave.units import show

    out.print(f"1. Simulate a scan of beamline 26-ID: {FRAMES} frames of 128 x 128 pixels, 2 million photons each")
    exitwave.simulate("26-ID", frames=FRAMES, detector=128, photons=2e6).save(file, overwrite=True)
    scan = exitwave.open(file)
    assert isinstance(scan, Scan)
    out.print(f"Saved {file}: photon energy {show(scan.energy, 'eV')}, object pixel {show(scan.object_pixel[0], 'm')}.")
    out.print("\n2. Validate the file")
    findings = validate(file)
    if findings:
        raise RunError("The simulated scan is not valid", where=file, found=findings[0], remedy="Report it as a bug")
    out.print("valid: no findings")
    return scan


def _conclusion(good: bool) -> str:
    if good:
        return f"The object differs from the truth by less than {GOOD:.0%}: the installation works."
    return f"The object differs from the truth by more than {GOOD:.0%}: the installation does not work. Report it."
