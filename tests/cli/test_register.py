"""The register of verbs: the order of the list, options grouped in dataclasses, and names in the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app, register
from exitwave.cli.group import VerbCommand
from exitwave.engine.algorithms.registry import ALGORITHMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"


@dataclass(frozen=True)
class Size:
    rows: int
    columns: Annotated[int, typer.Option("--columns", min=1, help="Number of columns.")] = 3


def test_fields_of_a_dataclass_are_options():
    received = []

    def verb(name: str, size: Size, double: bool = False) -> None:
        """Do something."""
        received.append((name, size, double))

    single = typer.Typer(rich_markup_mode=None)
    single.command(cls=VerbCommand)(register.flat(verb))
    assert CliRunner().invoke(single, ["abc", "2", "--columns", "5", "--double"]).exit_code == 0
    assert CliRunner().invoke(single, ["abc", "2"]).exit_code == 0
    assert received == [("abc", Size(2, 5), True), ("abc", Size(2, 3), False)]
    assert CliRunner().invoke(single, ["abc", "2", "--columns", "0"]).exit_code == 2
    shown = CliRunner().invoke(single, ["--help"]).stdout
    assert "Number of columns." in shown
    assert "Do something." in shown


def test_verbs_are_in_the_order_that_their_files_define(monkeypatch):
    monkeypatch.setattr(register, "_VERBS", dict(register._VERBS))

    @register.verb(order=75)
    def new_verb() -> None:
        """Do something new."""

    names = [verb.name for verb in register.verbs()]
    assert names.index("prepare") + 1 == names.index("new-verb") == names.index("reconstruct") - 1


def test_the_help_lists_the_registered_algorithms():
    shown = CliRunner().invoke(app, ["reconstruct", "--help"]).stdout
    assert all(name in shown for name in ALGORITHMS.all())
    assert "{algorithms}" not in shown


def test_the_verb_in_the_documentation_runs_as_printed(scan_file, monkeypatch):
    monkeypatch.setattr(register, "_VERBS", {})
    exec(PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0], {"__name__": "photons"})
    single = typer.Typer(rich_markup_mode=None)
    single.command(cls=VerbCommand)(register._VERBS["photons"].function)
    done = CliRunner().invoke(single, [str(scan_file)])
    assert done.exit_code == 0
    mean = exitwave.open(scan_file).patterns[:].sum(axis=(1, 2)).mean()
    assert done.stdout == f"Photons per frame: {mean:.3g}\n"
