"""``exitwave convert``: from any known format of files to another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json, Overwrite, parse_settings
from exitwave.cli.outputs import size_of
from exitwave.errors import InputError
from exitwave.outputs import check_output

if TYPE_CHECKING:
    from exitwave.dialects.dialect import Dialect
    from exitwave.scan import Result, Scan

SetMore = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value that replaces the file's or that its format lacks: energy=8.8keV, distance=2m, pixel_size=75um, "
        "positions=um, mask=inverted, and what exitwave formats NAME lists. May be repeated.",
    ),
]


def convert(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A file of any known format; it is never changed.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[
        str, typer.Option("--to", metavar="NAME", help="Whose format to write; exitwave formats lists them.")
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|auto", help="Whose file IN is; auto: told from its content.")
    ] = "auto",
    pairs: SetMore = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Turn a file of one format into one of another."""
    from exitwave.cli.console import Console, print_findings
    from exitwave.dialects.detect import read
    from exitwave.scan import Result, scan_in

    target = _writable(to)
    check_output(out, file, overwrite=overwrite)
    data = read(file, parse_settings(pairs), source)
    scan = scan_in(data)
    assert target.write is not None
    written = target.write(data, out, overwrite)
    findings = (*scan.findings, *written.findings)
    print_findings(Console(stderr=True), findings)
    words = Console(stderr=as_json)
    words.print(_words(data))
    for each in written.files:
        words.print(f"Saved {each} ({size_of(each)}).")
    if as_json:
        print_json(
            {
                "input": file,
                "to": to,
                "kind": "result" if isinstance(data, Result) else "scan",
                "files": written.files,
                "findings": [each.as_dict() for each in findings],
            }
        )


def _writable(name: str) -> "Dialect":
    from exitwave.dialects.registry import dialect, known

    chosen = dialect(name)
    if chosen.write is None:
        writable = ", ".join(name for name, each in known().items() if each.write)
        raise InputError("Files of this dialect are only read", found=name, remedy=f"Writable: {writable}")
    return chosen


def _words(data: "Scan | Result") -> str:
    from exitwave.scan import Result, scan_in

    scan = scan_in(data)
    frames, ny, nx = scan.patterns.shape
    kind = "A result of" if isinstance(data, Result) else "A scan of"
    return f"{kind} {frames} frames of {ny} x {nx} pixels."
