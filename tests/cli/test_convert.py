"""``exitwave convert`` and ``exitwave formats``."""

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app
from exitwave.dialects.registry import DIALECTS

run = CliRunner().invoke


def test_convert_copies_a_scan(scan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.cxi"
    answer = run(app, ["convert", str(scan_file), str(out), "--to", "seed", "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["files"] == [str(out)]
    one, other = exitwave.open(scan_file), exitwave.open(out)
    assert np.array_equal(one.patterns[:], other.patterns[:])  # type: ignore[union-attr]


def test_convert_refuses_an_existing_output_and_an_unknown_format(scan_file: Path, tmp_path: Path) -> None:
    assert run(app, ["convert", str(scan_file), str(scan_file), "--to", "seed"]).exit_code == 2
    answer = run(app, ["convert", str(scan_file), str(tmp_path / "a"), "--to", "nobody"])
    assert answer.exit_code == 2
    assert "There is no such file format" in answer.stderr


def test_formats_lists_every_dialect() -> None:
    answer = run(app, ["formats", "--json"])
    assert [each["name"] for each in json.loads(answer.stdout)["formats"]] == list(DIALECTS.all())
    assert "energy" in run(app, ["formats", "seed"]).stdout


def test_validate_refuses_an_unknown_profile(scan_file: Path) -> None:
    answer = run(app, ["validate", str(scan_file), "--profile", "sed"])
    assert answer.exit_code == 2
    assert "Did you mean seed" in answer.stderr
