"""PNG: two images of a result and one of a scan."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import small_result, small_scan
from typer.testing import CliRunner

from exitwave.cli import app
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import OutputError
from exitwave.scan import Result, Scan


def _write(data: Scan | Result, target: Path) -> list[Path]:
    write = DIALECTS.all()["png"].write
    assert write is not None
    return list(write(data, target, False).files)


def test_result_gives_two_images_and_a_scan_one(tmp_path: Path) -> None:
    scan = small_scan()
    files = _write(small_result(scan), tmp_path / "star.png")
    assert [file.name for file in files] == ["star_amplitude.png", "star_phase.png"]
    files += _write(scan, tmp_path / "scan.png")
    for file in files:
        with Image.open(file) as image:
            assert min(image.size) > 500
            assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_both_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "star_phase.png").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        _write(small_result(small_scan()), tmp_path / "star.png")
    assert [file.name for file in tmp_path.iterdir()] == ["star_phase.png"]


def test_convert_writes_images(result_file: Path, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["convert", str(result_file), str(tmp_path / "star.png"), "--to", "png"])
    assert answer.exit_code == 0, answer.output
    assert "star_phase.png" in answer.stdout
