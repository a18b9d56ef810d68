"""``exitwave formats``: whose files can be read, written and checked."""

from typing import Annotated

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json


def formats(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A dialect, to see its conventions.")] = None,
    as_json: Json = False,
) -> None:
    """List the known formats of files, or the conventions of one."""
    from dataclasses import asdict

    from rich.table import Table

    from exitwave.cli.console import Console
    from exitwave.dialects.registry import dialect, known

    dialects = [dialect(name)] if name else list(known().values())
    verbs = ("read", "write", "check")
    documents = [
        {"name": each.name, "title": each.title}
        | {verb: getattr(each, verb) is not None for verb in verbs}
        | {"conventions": asdict(each.conventions), "settings": dict(each.settings), "suffix": each.suffix}
        for each in dialects
    ]
    if as_json:
        print_json({"formats": documents})
        return
    out, table = Console(), Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each, document in zip(dialects, documents, strict=True):
        table.add_row(each.name, " ".join(verb if document[verb] else "-" * len(verb) for verb in verbs), each.title)
        rows = asdict(each.conventions) | ({"--set": ", ".join(f"{k}={v}" for k, v in each.settings.items())})
        for label, words in rows.items() if name else ():
            table.add_row("", label, words or "-")
    out.lay_out(table)
