from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from known import known_result
from PIL import Image

from exitwave.cxi.read import read
from exitwave.errors import InputError, OutputError
from exitwave.figures import plot_all, positions_figure
from exitwave.figures.registry import Subject, plots_of
from exitwave.figures.style import save
from exitwave.frames import Frames
from exitwave.scan import Result

COLUMNS = {"positions": 85, "errors": 85, "frc": 85, "patterns": 170, "object": 170, "comparison": 170, "probe": 170}
COLUMNS |= {"coverage": 85}


def drawn(result: Result) -> list[str]:
    """Draw all plots that a folder gets, and return their names."""
    plots = [plot for plot in plots_of(Subject(result)) if plot.name is not None]
    assert all(plot.draw() for plot in plots)
    return [plot.name for plot in plots]


@pytest.fixture(scope="module")
def result() -> Result:
    made = known_result(modes=2)
    frames = np.random.default_rng(0).poisson(2.0, made.scan.patterns.shape).astype(np.uint16)
    return replace(made, scan=replace(made.scan, patterns=Frames(frames)))


def test_result_with_truth_has_every_figure_at_column_width(result, tmp_path):
    before = dict(mpl.rcParams)
    written = plot_all(result, tmp_path / "new" / "folder")
    assert {path.stem for path in written} == set(COLUMNS)
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {f"{name}.png" for name in COLUMNS}
    for path in written:
        with Image.open(path) as image:
            assert image.width == pytest.approx(COLUMNS[path.stem] / 25.4 * 300, abs=1)
    assert dict(mpl.rcParams) == before


def test_refined_positions_have_a_figure(result):
    moved = replace(result, positions=result.positions + 1e-9 * np.arange(result.positions.size).reshape(-1, 3))
    assert drawn(moved)[:2] == ["positions", "displacements"]


def test_scan_has_figures_of_positions_patterns_and_probe(result, tmp_path):
    written = plot_all(result.scan, tmp_path, formats=("svg",))
    assert [path.name for path in written] == ["positions.svg", "patterns.svg", "probe.svg"]
    assert all(path.read_text(encoding="utf-8").lstrip().startswith("<?xml") for path in written)
    bare = plot_all(replace(result.scan, probe=None), tmp_path / "bare", formats=("svg",))
    assert [path.stem for path in bare] == ["positions", "patterns"]


def test_no_comparison_without_truth_on_the_same_pixels(result):
    other = replace(result.scan.truth, x=2 * result.x, y=2 * result.y)
    for truth in (None, other):
        names = drawn(replace(result, scan=replace(result.scan, truth=truth)))
        assert names == ["positions", "patterns", "object", "probe", "coverage", "errors"]


def test_figure_is_written_completely_or_not_at_all(result, tmp_path, monkeypatch):
    figure = positions_figure(result.positions)
    path = save(figure, tmp_path / "old.png")
    before = path.read_bytes()

    def break_off(target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", break_off)
    with pytest.raises(OutputError, match="The disk is full"):
        save(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder_and_unknown_format_are_refused(result, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="folder for the figures cannot be created"):
        plot_all(result, tmp_path / "file")
    with pytest.raises(InputError, match="gif"):
        plot_all(result, tmp_path / "other", formats=("png", "gif"))
    assert not (tmp_path / "other").exists()


def test_measured_siemens_star_can_be_drawn(measured, tmp_path):
    written = plot_all(read(measured / "velociprobe_siemens_star.cxi"), tmp_path)
    assert [path.stem for path in written] == ["positions", "patterns", "probe"]
    with Image.open(tmp_path / "patterns.png") as image:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 200
