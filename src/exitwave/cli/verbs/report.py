"""``exitwave report``: write one HTML page about a scan or a result."""

from pathlib import Path
from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import ChangedInput, Input, Json, Overwrite
from exitwave.cli.outputs import beside, size_of
from exitwave.cli.register import verb
from exitwave.outputs import check_output


@verb(order=130, opens_files=True)
def report(
    path: Input,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="HTML", help="NAME_report.html beside FILE if not given.")
    ] = None,
    changed_input: ChangedInput = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a report about a scan or a result as one HTML file.

    The file contains its figures, needs no other file, and can be printed.
    """
    target = output or beside(path, f"{path.stem}_report.html")
    check_output(target, path, overwrite=overwrite)

    import exitwave
    from exitwave.cli.console import Console, print_findings
    from exitwave.cxi.changed import require_unchanged_input
    from exitwave.figures.report import write_report
    from exitwave.scan import scan_in

    data = exitwave.open(path)
    require_unchanged_input(data, path, changed_input)
    print_findings(Console(stderr=True), scan_in(data).findings)
    write_report(data, target, file=path, overwrite=overwrite)
    Console(stderr=as_json).print(f"Saved {target} ({size_of(target)}).")
    if as_json:
        print_json({"file": path, "output": target, "size": target.stat().st_size})
