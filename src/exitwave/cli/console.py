"""Text for people, printed with rich. A verb imports this module only when it prints something."""

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
_GRADES = {"GOOD": "bold green", "CHECK": "bold yellow", "BAD": "bold red"}


class Console(RichConsole):
    """A console that prints text unchanged, and leaves a broken pipe to the group of verbs.

    Lines are wrapped only on a terminal, so that ``exitwave inspect FILE | grep`` finds complete lines.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = UNWRAPPED

    def lay_out(self, thing: Table | Tree) -> None:
        """Print a table or tree; outside of a terminal without blanks at the ends of lines."""
        if self.is_terminal:
            self.print(thing, soft_wrap=False)
            return
        with self.capture() as captured:
            self.print(thing, soft_wrap=False)
        self.print("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def on_broken_pipe(self) -> NoReturn:
        """Raise BrokenPipeError again, which rich would replace by an exit."""
        raise BrokenPipeError


def columns() -> Table:
    """Return an empty table without lines or head."""
    return Table(box=None, show_header=False, padding=(0, 2, 0, 0))


def print_summary(out: Console, text: str) -> None:
    """Print the summary of a reconstruction, with the grade of its verdict in colour on a terminal."""
    for line in text.splitlines():
        grade, colon, rest = line.partition(":")
        style = _GRADES.get(grade, "") if colon else ""
        out.print(Text.assemble((grade, style), colon, rest) if style else line)


def print_findings(out: Console, findings: Iterable[Finding]) -> None:
    """Print findings, errors first: the path, what was found and expected, what to do."""
    table = columns()
    for finding in sorted(findings, key=lambda item: list(_STYLES).index(item.level)):
        lines = (finding.path, f"{finding.found}; expected {finding.expected}", finding.remedy)
        label = Text(f"{finding.level} {finding.code}", style=_STYLES[finding.level])
        table.add_row(label, Text("\n".join(line for line in lines if line)))
    if table.row_count:
        out.lay_out(table)


def print_diagnoses(out: Console, diagnoses: Iterable["Diagnosis"]) -> None:
    """Print diagnoses: what is wrong, the evidence, the consequence, what to do."""
    table = columns()
    for diagnosis in diagnoses:
        what = f"{diagnosis.what[0].upper()}{diagnosis.what[1:]}. {diagnosis.evidence}"
        label = Text(f"{diagnosis.level} {diagnosis.code}", style=_STYLES[diagnosis.level])
        table.add_row(label, Text("\n".join((what, diagnosis.consequence, diagnosis.remedy))))
    if table.row_count:
        out.lay_out(table)


def print_facts(out: Console, facts: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    table = columns()
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(value))
    out.lay_out(table)
