"""Words for people, with rich. Imported by a verb only when it has something to say."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from exitwave.errors import Finding

if TYPE_CHECKING:
    from exitwave.analysis.diagnosis import Diagnosis

UNWRAPPED = 10_000
"""Characters of a line in a pipe or a file."""
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


class Console(RichConsole):
    """A console that prints text as it is, and leaves a broken pipe to the group of verbs.

    Lines are wrapped for a terminal only: ``exitwave inspect FILE | grep`` finds whole lines.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = UNWRAPPED

    def lay_out(self, thing: Table | Tree) -> None:
        """Print a table or tree, without blanks at the ends of its lines where nobody sees its columns."""
        if self.is_terminal:
            self.print(thing, soft_wrap=False)
            return
        with self.capture() as caught:
            self.print(thing, soft_wrap=False)
        self.print("\n".join(line.rstrip() for line in caught.get().splitlines()))

    def on_broken_pipe(self) -> NoReturn:
        """Let the exception that is being handled pass."""
        raise BrokenPipeError


def print_findings(out: Console, findings: Iterable[Finding]) -> None:
    """Print findings, the serious ones first: where, what was found and expected, what to do."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for finding in sorted(findings, key=lambda item: list(_STYLES).index(item.level)):
        lines = (finding.path, f"{finding.found}; expected {finding.expected}", finding.remedy)
        label = Text(f"{finding.level} {finding.code}", style=_STYLES[finding.level])
        table.add_row(label, Text("\n".join(line for line in lines if line)))
    if table.row_count:
        out.lay_out(table)


def print_diagnoses(out: Console, diagnoses: Iterable["Diagnosis"]) -> None:
    """Print diagnoses: what is wrong and how that is known, what follows, what to do."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in diagnoses:
        what = f"{each.what[0].upper()}{each.what[1:]}. {each.evidence}"
        label = Text(f"{each.level} {each.code}", style=_STYLES[each.level])
        table.add_row(label, Text("\n".join((what, each.consequence, each.remedy))))
    if table.row_count:
        out.lay_out(table)


def print_facts(out: Console, facts: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(value))
    out.lay_out(table)
