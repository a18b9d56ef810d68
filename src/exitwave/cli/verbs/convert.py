"""``exitwave convert``: convert a file of any known format to another format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite
from exitwave.cli.outputs import size_of
from exitwave.cli.register import verb
from exitwave.cli.settings import parse_settings
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.dialects.dialect import Dialect
    from exitwave.scan import Result, Scan

SetValue = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the file, or add one that its format lacks: energy=8.8keV, distance=2m, "
        "pixel_size=75um, positions=um, mask=inverted, and those that exitwave formats NAME lists. May be repeated.",
    ),
]


@verb(order=50, opens_files=True)
def convert(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A file of any known format; it is never changed.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="The file format to write; see exitwave formats.")],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|auto", help="The file format of IN; auto: detected from the content.")
    ] = "auto",
    assignments: SetValue = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert a file to another format."""
    from exitwave.cli.console import Console, print_findings
    from exitwave.dialects.detect import read
    from exitwave.scan import Result, scan_in, with_unreadable_frames

    target_format = _writable(to)
    check_output(out, file, overwrite=overwrite)
    data = read(file, parse_settings(assignments), source)
    scan = scan_in(data)
    assert target_format.write is not None
    written = target_format.write(data, out, overwrite)
    findings = tuple(dict.fromkeys((*with_unreadable_frames(scan).findings, *written.findings)))
    print_findings(Console(stderr=True), findings)
    console = Console(stderr=as_json)
    console.print(_words(data))
    for saved in written.files:
        console.print(f"Saved {saved} ({size_of(saved)}).")
    if as_json:
        kind = "result" if isinstance(data, Result) else "scan"
        document = {"input": file, "to": to, "kind": kind, "files": written.files}
        print_json(document | {"findings": [finding.as_dict() for finding in findings]})


def _writable(name: str) -> "Dialect":
    """Return the file format of a name, which must be one that can be written."""
    from exitwave.dialects.registry import DIALECTS

    chosen = DIALECTS.get(name)
    if chosen.write is None:
        writable = ", ".join(name for name, each in DIALECTS.all().items() if each.write)
        raise InputError("This file format can only be read", found=name, remedy=f"Use one of {writable}")
    return chosen


def _words(data: "Scan | Result") -> str:
    """Return what was converted, in one sentence."""
    from exitwave.scan import Result, scan_in

    scan = scan_in(data)
    frames, ny, nx = scan.patterns.shape
    kind = "result" if isinstance(data, Result) else "scan"
    return f"Converted a {kind} with {frames} frames of {ny} x {nx} pixels."
