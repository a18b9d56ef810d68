"""``exitwave plot``: draw the figures of a scan or a result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import ChangedInput, Input, Json
from exitwave.cli.outputs import beside, make_folder
from exitwave.cli.register import verb
from exitwave.errors import InputError

if TYPE_CHECKING:
    from exitwave.cli.console import Console
    from exitwave.scan import Scan


@verb(order=120, opens_files=True)
def plot(
    path: Input,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder; NAME_figures beside FILE if not given."),
    ] = None,
    orientations: Annotated[
        bool,
        typer.Option("--orientations", help="Draw the objects that each orientation of the detector gives instead."),
    ] = False,
    changed_input: ChangedInput = False,
    as_json: Json = False,
) -> None:
    """Draw positions, patterns, object, probe and errors."""
    import exitwave
    from exitwave import figures
    from exitwave.cli.console import Console, print_findings
    from exitwave.cxi.changed import require_unchanged_input
    from exitwave.scan import scan_in, with_unreadable_frames

    data = exitwave.open(path)
    require_unchanged_input(data, path, changed_input)
    scan = scan_in(data)
    print_findings(Console(stderr=True), scan.findings)
    folder = make_folder(folder or beside(path, f"{path.stem}_figures"))
    out = Console(stderr=as_json)
    document = _orientations(scan, folder, out) if orientations else {"figures": figures.plot_all(data, folder)}
    print_findings(Console(stderr=True), with_unreadable_frames(scan).findings[len(scan.findings) :])
    for figure in document["figures"]:
        out.print(f"Saved {figure}.")
    if as_json:
        print_json({"file": path, "folder": folder, **document})


def _orientations(scan: "Scan", folder: Path, out: "Console") -> dict[str, Any]:
    """Rank and draw the orientations of the detector, and diagnose that of the file."""
    from exitwave.analysis.diagnosis import diagnose
    from exitwave.cli.console import print_diagnoses
    from exitwave.figures.orientations import orientations_figure
    from exitwave.figures.style import save
    from exitwave.reconstruction.orientation import AS_IS, rank_orientations

    if scan.near:
        remedy = "In the near field the frames are images: compare their shifts with the positions of the scan"
        raise InputError("Orientations need far-field patterns", where=scan.path or "", remedy=remedy)
    ranking = rank_orientations(scan, announce=out.print)
    for orientation in ranking:
        out.print(f"error {orientation.error:<12.4g}{orientation.name}, or that turned by 180 degrees")
    errors = {each.name: each.error for each in sorted(ranking, key=lambda each: each.name != AS_IS)}
    found = [diagnosis for diagnosis in diagnose(scan, errors) if diagnosis.code == "D412"]
    print_diagnoses(out, found)
    figure = save(orientations_figure(ranking, scan.object_pixel), folder / "orientations.png")
    return {"figures": [figure], "orientations": errors, "diagnoses": found}
