"""``exitwave verify``: check files by the digests that were stored when they were written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.register import verb

if TYPE_CHECKING:
    from exitwave.cxi.verify import Item, Verification


@verb(order=45, opens_files=True)
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Scans and results; with a result, its input is verified too."),
    ],
    as_json: Json = False,
) -> None:
    """Check whether files are intact, changed or damaged.

    Compares every dataset, every frame and all attributes with the digests in the file, and the frames to which a
    result links with the digests in the result. Prints one line for each file, and what is not intact. A file without
    digests is unverifiable, which is no error, unless a result that was made from it is given too. Ends with exit code
    1 if anything has changed or is damaged.
    """
    from exitwave.cli.console import Console
    from exitwave.cxi.verify_input import verify_files

    found = verify_files(paths)
    out = Console(stderr=as_json)
    for each in found:
        out.print(_line(each))
        for item in each.items:
            if item.status != "intact":
                out.print(f"  {item.path}: {item.status}: {item.detail}")
    if as_json:
        print_json({"files": [_document(each) for each in found], "intact": all(each.intact for each in found)})
    raise typer.Exit(0 if all(each.intact for each in found) else 1)


def _line(found: "Verification") -> str:
    """Return file, status and numbers of items in one line."""
    counts = {status: len(found.with_status(status)) for status in ("intact", "changed", "damaged", "unverifiable")}
    listed = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    repacked = any(item.detail.startswith("repacked") for item in found.items)
    status = f"{found.status}{' (repacked)' if repacked and found.status == 'intact' else ''}"
    return f"{found.file}: {status}: {'; '.join(part for part in (listed, found.detail) if part)}"


def _document(found: "Verification") -> dict[str, Any]:
    """Return what was found in a file, ready for JSON."""
    document = {"file": found.file, "status": found.status, "detail": found.detail}
    return document | {"items": [_item(item) for item in found.items]}


def _item(item: "Item") -> dict[str, Any]:
    frames = {"changed_frames": list(item.changed), "damaged_frames": list(item.damaged)}
    shown = {"path": item.path, "status": item.status, "detail": item.detail}
    return shown | {key: value for key, value in frames.items() if value}
