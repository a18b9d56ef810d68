"""The names of outputs; an impossible output is refused before any work."""

from pathlib import Path

import pytest

from exitwave.cli import outputs
from exitwave.cli.settings import parse_settings, split_settings
from exitwave.engine.model.registry import REFINEMENTS
from exitwave.errors import InputError, OutputError
from exitwave.outputs import check_output


@pytest.fixture
def read_only(monkeypatch):
    """Make every folder read-only, also for root."""
    monkeypatch.setattr(outputs.os, "access", lambda path, mode: False)


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("scan.cxi", "scan_result.cxi"),
        ("scan.h5", "scan_result.cxi"),
        ("scan_result.cxi", "scan_result_2.cxi"),
        ("scan_result_2.cxi", "scan_result_3.cxi"),
        ("my_results.cxi", "my_results_result.cxi"),
    ],
)
def test_a_result_is_beside_its_input_and_is_not_the_input(tmp_path, name, result):
    assert outputs.result_path(tmp_path / name) == tmp_path / result


@pytest.mark.usefixtures("read_only")
def test_a_result_is_in_the_current_folder_if_that_of_the_input_is_read_only(tmp_path):
    assert outputs.result_path(tmp_path / "scan.cxi") == Path("scan_result.cxi")


def test_a_new_file_in_a_writable_folder_is_accepted(tmp_path):
    check_output(tmp_path / "new.cxi", tmp_path / "scan.cxi", overwrite=False)


def test_an_existing_file_needs_overwrite(tmp_path):
    old = tmp_path / "old.cxi"
    old.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        check_output(old, overwrite=False)
    check_output(old, overwrite=True)
    assert old.read_text() == "old"


def test_an_input_is_refused_as_output_under_any_name(tmp_path):
    scan, link = tmp_path / "scan.cxi", tmp_path / "link.cxi"
    scan.write_text("scan")
    link.symlink_to(scan)
    for target in (scan, link):
        with pytest.raises(OutputError, match="is an input"):
            check_output(target, tmp_path / "other.cxi", scan, overwrite=True)


def test_a_folder_or_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "missing" / "new.cxi", overwrite=False)


@pytest.mark.usefixtures("read_only")
def test_a_read_only_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="not writable"):
        check_output(tmp_path / "new.cxi", overwrite=False)
    with pytest.raises(OutputError, match="not writable"):
        outputs.make_folder(tmp_path)


def test_a_folder_is_created_with_its_parents_unless_a_file_has_its_name(tmp_path):
    assert outputs.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be created"):
        outputs.make_folder(tmp_path / "file" / "c")


def test_settings_are_pairs():
    assert parse_settings(["energy=8.8 keV", " mask = none "]) == {"energy": "8.8 keV", "mask": "none"}
    assert parse_settings(None) == {}


@pytest.mark.parametrize("pair", ["energy", "energy=", "=8keV"])
def test_half_a_setting_is_refused(pair):
    with pytest.raises(InputError, match="Not a setting"):
        parse_settings([pair])


def test_settings_of_the_recipe_are_typed_and_nested_and_separate_from_those_of_the_file():
    pairs = {"energy": "9keV", "object_update.step": "0.5", "object_update.schedule.start": "3", "batch": "8"}
    overrides, recipe = split_settings(pairs)
    assert overrides == {"energy": "9keV"}
    assert recipe == {"object_update": {"step": 0.5, "schedule": {"start": 3}}, "batch": 8}


def test_every_registered_refinement_is_a_setting():
    pairs = dict.fromkeys(REFINEMENTS.all(), "true")
    assert "position_update" in pairs
    assert split_settings(pairs) == ({}, dict.fromkeys(REFINEMENTS.all(), True))
