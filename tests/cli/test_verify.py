"""`exitwave verify`, and results whose input has changed, as a user sees them."""

import json
import shutil
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner, Result

from exitwave.cli import app
from exitwave.cxi.schema import path

FRAMES = path("frames")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan and its result."""
    folder = tmp_path_factory.mktemp("verify")
    assert run("simulate", folder / "scan.cxi", "--frames", 20, "--detector", 128).exit_code == 0
    options = "--algorithm", "ePIE", "--iterations", 2, "--threads", 1
    assert run("reconstruct", folder / "scan.cxi", "-o", folder / "result.cxi", *options).exit_code == 0
    return folder


@pytest.fixture
def files(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the scan and its result."""
    scan, result = (Path(shutil.copy(made / name, tmp_path)) for name in ("scan.cxi", "result.cxi"))
    return scan, result


def reverse_frames(scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        file[FRAMES][:] = file[FRAMES][:][::-1]


def test_intact_files_need_one_line_each(files: tuple[Path, Path]) -> None:
    done = run("verify", *files)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [[str(file), "intact"] for file in files]


def test_changed_frames_are_listed_and_end_with_exit_code_1(files: tuple[Path, Path]) -> None:
    scan, result = files
    with h5py.File(scan, "r+") as file:
        file[FRAMES][7] += 1
    done = run("verify", scan, result, "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["intact"] is False
    for each, name in zip(document["files"], (FRAMES, f"{scan}:{FRAMES}"), strict=True):
        (item,) = (item for item in each["items"] if item["status"] != "intact")
        assert each["status"] == item["status"] == "changed"
        assert (item["path"], item["changed_frames"]) == (name, [7])
    assert "frame 7 changed" in done.stderr


def test_a_file_without_digests_ends_with_exit_code_0_and_says_so(files: tuple[Path, Path]) -> None:
    with h5py.File(files[0], "r+") as file:
        del file[path("digests")]
    done = run("verify", files[0])
    assert done.exit_code == 0
    assert "unverifiable: a file without digests" in done.stdout


@pytest.mark.parametrize("content", [None, b"no HDF5"])
def test_a_file_that_is_no_hdf5_ends_with_exit_code_2(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.cxi").write_bytes(content)
    assert run("verify", tmp_path / "a.cxi").exit_code == 2


def test_a_changed_input_is_refused_unless_it_is_allowed(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, result = files
    reverse_frames(scan)
    monkeypatch.setattr("exitwave.figures.report.write_report", lambda data, target, **_: target.touch())
    monkeypatch.setattr("exitwave.figures.plot_all", lambda data, folder: [])
    verbs = [
        ("report", result, "-o", tmp_path / "r.html"),
        ("plot", result, "-o", tmp_path / "figures"),
        ("compare", result),
        ("reconstruct", result, "-o", tmp_path / "again.cxi", "--iterations", 3, "--threads", 1),
    ]
    for verb in verbs:
        refused = run(*verb)
        assert refused.exit_code == 2, verb
        assert "The input of this result has changed since the reconstruction" in refused.stderr
        assert "--changed-input" in refused.stderr
    assert sorted(tmp_path.iterdir()) == [result, scan]
    for verb in verbs:
        allowed = run(*verb, "--changed-input")
        assert allowed.exit_code == 0, allowed.stderr
        assert "W262" in allowed.stderr, verb
    assert "W262" in run("inspect", result).stdout


def test_the_input_of_a_continued_result_is_the_file_that_was_loaded(files: tuple[Path, Path], tmp_path: Path) -> None:
    scan, result = files
    reverse_frames(scan)
    again = tmp_path / "again.cxi"
    options = "--iterations", 3, "--threads", 1, "--changed-input"
    assert run("reconstruct", result, "-o", again, *options).exit_code == 0
    assert run("verify", again).exit_code == 0
    assert run("verify", result).exit_code == 1


def test_validate_says_whether_it_has_read_all_frames(files: tuple[Path, Path]) -> None:
    assert "sample" not in run("validate", files[0]).stdout
    assert "only a sample of the frames was read" in run("validate", files[0], "--quick").stdout
    assert run("validate", files[0], "--quick", "--profile", "pynx").exit_code == 2
