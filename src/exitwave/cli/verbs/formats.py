"""``exitwave formats``: list the file formats that can be read, written and checked."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.register import verb

if TYPE_CHECKING:
    from exitwave.dialects.dialect import Dialect

ACTIONS = ("read", "write", "check")


@verb(order=60)
def formats(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show the conventions of this format.")] = None,
    as_json: Json = False,
) -> None:
    """List the known file formats, or the conventions of one."""
    from exitwave.cli.console import Console, columns
    from exitwave.dialects.registry import DIALECTS

    documents = [_document(each) for each in ([DIALECTS.get(name)] if name else DIALECTS.all().values())]
    if as_json:
        print_json({"formats": documents})
        return
    out, table = Console(), columns()
    for document in documents:
        actions = " ".join(action if document[action] else "-" * len(action) for action in ACTIONS)
        table.add_row(document["name"], actions, document["title"])
        settings = ", ".join(f"{key}={value}" for key, value in document["settings"].items())
        for label, text in (document["conventions"] | {"--set": settings}).items() if name else ():
            table.add_row("", label, text or "-")
    out.lay_out(table)


def _document(dialect: "Dialect") -> dict[str, Any]:
    """Return what is known about a file format, for ``--json``."""
    from dataclasses import asdict

    document: dict[str, Any] = {"name": dialect.name, "title": dialect.title}
    document |= {action: getattr(dialect, action) is not None for action in ACTIONS}
    document |= {"conventions": asdict(dialect.conventions), "settings": dict(dialect.settings)}
    return document | {"suffix": dialect.suffix}
