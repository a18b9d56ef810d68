"""The examples of docs/dialects.md run as printed: the map, and a dialect of another package."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import InputError
from exitwave.scan import Scan

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dialects.md"
COUNTS = np.random.default_rng(3).poisson(9, (5, 8, 10)).astype(np.uint16)
POSITIONS = np.random.default_rng(4).normal(size=(2, 5))


def _example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_map_of_the_page(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["exchange/data"], file["stage/samx"], file["stage/samy"] = COUNTS, *POSITIONS
        file["detector/z"], file["mask"], file["dark"] = 1900.0, np.ones((8, 10), bool), np.zeros((8, 10))
        file["probe"] = np.ones((2, 8, 10), np.complex64)
    (tmp_path / "scan.yaml").write_text(_example("yaml"), encoding="utf-8")
    scan = exitwave.open(tmp_path / "scan.yaml")
    assert isinstance(scan, Scan)
    assert scan.positions[:, :2] == pytest.approx(POSITIONS.T * [-1e-6, 1e-6])
    assert (scan.detector.distance, scan.name) == (pytest.approx(1.9), "a star")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the example of the page as a package and write a scan for it; return the path of the scan."""
    (tmp_path / "beamline42.py").write_text(_example("python"), encoding="utf-8")
    about = tmp_path / "beamline42-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: beamline42\nVersion: 1.0\n", encoding="utf-8")
    words = _example("toml").replace("project.entry-points.", "").replace('"', "")
    (about / "entry_points.txt").write_text(words, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(DIALECTS, "_items", {})  # the entry points are read again
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["counts"], file["stage/x"], file["stage/y"], file["energy"] = COUNTS, *POSITIONS, 9.1
    yield tmp_path / "scan.h5"
    sys.modules.pop("beamline42", None)


def test_a_dialect_of_another_package(installed: Path) -> None:
    scan = exitwave.open(installed)
    assert isinstance(scan, Scan)
    assert "beamline42: counts and stage" in scan.findings[0].found
    assert scan.energy == pytest.approx(9100)
    assert scan.positions[:, :2] == pytest.approx(1e-6 * POSITIONS.T)
    assert "beamline42" in CliRunner().invoke(app, ["formats"]).stdout


def test_the_error_for_a_broken_entry_point_names_it(installed: Path) -> None:
    (installed.parent / "beamline42.py").write_text("DIALECT = 7", encoding="utf-8")
    with pytest.raises(InputError, match=r"beamline42:DIALECT.*entry point"):
        exitwave.open(installed)
