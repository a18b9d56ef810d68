"""Links that lead outside the folder of a file are reported; with ``--confine`` they are refused by every verb."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from samples import small_result, small_scan
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app
from exitwave.cxi.schema import path
from exitwave.errors import InputError
from exitwave.frames.confine import VARIABLE, confining, is_confined
from exitwave.scan import scan_in


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """Return a folder with a scan, beside another one with the same scan and its frames as raw data."""
    (tmp_path / "other").mkdir()
    (tmp_path / "own").mkdir()
    scan = small_scan(12, 16)
    for folder in ("other", "own"):
        scan.save(tmp_path / folder / "scan.cxi")
    (tmp_path / "other" / "raw.bin").write_bytes(scan.patterns[:].tobytes())
    return tmp_path / "own"


def _replaced(file: Path, put: Callable[[h5py.File, str], None]) -> Path:
    with h5py.File(file, "r+") as opened:
        del opened[path("frames")]
        put(opened, path("frames"))
    return file


def _external(name: str) -> Callable[[h5py.File, str], None]:
    def put(file: h5py.File, place: str) -> None:
        file[place] = h5py.ExternalLink(name, place)

    return put


def _virtual(name: str) -> Callable[[h5py.File, str], None]:
    def put(file: h5py.File, place: str) -> None:
        layout = h5py.VirtualLayout((12, 16, 16), "f4")
        layout[...] = h5py.VirtualSource(name, place, (12, 16, 16))
        file.create_virtual_dataset(place, layout)

    return put


def _raw(name: str) -> Callable[[h5py.File, str], None]:
    def put(file: h5py.File, place: str) -> None:
        file.create_dataset(place, (12, 16, 16), "f4", external=[(name, 0, 12 * 16 * 16 * 4)])

    return put


OUTSIDE = {
    "an external link": _external("../other/scan.cxi"),
    "a virtual dataset": _virtual("../other/scan.cxi"),
    "external storage": _raw("../other/raw.bin"),
    "a link through a symbolic link": _external("inside.cxi"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_link_that_leads_outside_is_reported_and_refused_on_request(
    name: str, inner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inner)  # HDF5 finds external storage from the current folder
    (inner / "inside.cxi").symlink_to(inner.parent / "other" / "scan.cxi")
    file = _replaced(inner / "scan.cxi", OUTSIDE[name])
    scan = scan_in(exitwave.open(file))
    assert scan.patterns[3].shape == (16, 16)
    assert [finding.code for finding in scan.findings].count("I310") == 1
    with pytest.raises(InputError, match="leads outside the folder"):
        exitwave.open(file, confine=True)
    assert not is_confined()


def test_links_inside_the_folder_are_followed_without_a_word(inner: Path) -> None:
    small_result(exitwave.open(inner / "scan.cxi")).save(inner / "result.cxi")  # type: ignore[arg-type]
    (inner / "results").mkdir()
    result = exitwave.open(inner / "result.cxi", confine=True)
    assert scan_in(result).patterns[3].shape == (16, 16)
    assert "I310" not in {finding.code for finding in scan_in(result).findings}
    result.save(inner / "results" / "result.cxi")
    moved = exitwave.open(inner / "results" / "result.cxi")
    assert "I310" in {finding.code for finding in scan_in(moved).findings}


def test_links_that_are_not_used_and_links_of_linked_files_are_refused_too(inner: Path) -> None:
    with h5py.File(inner / "scan.cxi", "r+") as file:
        file["notes/deep/secret"] = h5py.ExternalLink("/etc/hostname", "/")
    assert "I310" not in {finding.code for finding in scan_in(exitwave.open(inner / "scan.cxi")).findings}
    with pytest.raises(InputError, match="secret: A link leads outside"):
        exitwave.open(inner / "scan.cxi", confine=True)
    shutil.copy(inner.parent / "other" / "scan.cxi", inner / "main.cxi")
    _replaced(inner / "main.cxi", _external("scan.cxi"))
    with pytest.raises(InputError, match="secret: A link leads outside"):
        exitwave.open(inner / "main.cxi", confine=True)


VERBS = (
    ("inspect", "scan.cxi"),
    ("validate", "scan.cxi"),
    ("plot", "scan.cxi"),
    ("report", "scan.cxi"),
    ("compare", "scan.cxi"),
    ("convert", "scan.cxi", "out.cxi", "--to", "seed"),
    ("prepare", "scan.cxi", "out.cxi"),
    ("reconstruct", "scan.cxi", "-o", "out.cxi"),
    ("reconstruct", "good.cxi", "-o", "out.cxi", "--probe", "scan.cxi"),
    ("reconstruct", "good.cxi", "-o", "out.cxi", "--recipe", "scan.cxi"),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_refuses_with_confine(words: tuple[str, ...], inner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inner)
    shutil.copy("scan.cxi", "good.cxi")
    _replaced(inner / "scan.cxi", _external("../other/scan.cxi"))
    before = sorted(os.listdir("."))
    run = CliRunner().invoke(app, [*words, "--confine"])
    assert run.exit_code == 2, run.output
    assert "leads outside the folder" in run.output
    assert sorted(os.listdir(".")) == before


def test_the_limit_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    with confining(True):
        assert is_confined()
        with confining(True):
            pass
        assert is_confined()
    assert not is_confined()
    monkeypatch.setenv(VARIABLE, "1")
    with confining(False):
        assert is_confined()
