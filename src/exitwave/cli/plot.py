"""``exitwave plot``: the figures of a scan or a result."""

from pathlib import Path
from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Input, Json
from exitwave.cli.outputs import beside, make_folder


def plot(
    path: Input,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder; NAME_figures beside FILE if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw positions, patterns, object, probe and errors."""
    import exitwave
    from exitwave import figures
    from exitwave.cli.console import Console, print_findings
    from exitwave.scan import Result

    data = exitwave.open(path)
    print_findings(Console(stderr=True), data.scan.findings if isinstance(data, Result) else data.findings)
    folder = make_folder(folder or beside(path, f"{path.stem}_figures"))
    written = figures.plot_all(data, folder)
    out = Console(stderr=as_json)
    for figure in written:
        out.print(f"Saved {figure}")
    if as_json:
        print_json({"file": path, "folder": folder, "figures": written})
