"""Automatic choices, and the orientation of the detector."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.engine.recipe import make_recipe
from exitwave.frames import Frames, View
from exitwave.preparation import apply_view
from exitwave.reconstruction import auto
from exitwave.reconstruction.auto import leaves_open
from exitwave.reconstruction.orientation import CLEARLY_BETTER, Orientation, rank_orientations

WRONG = View(transpose=True, flip_rows=True)


@pytest.fixture(scope="module")
def scan():
    made = exitwave.simulate(frames=70, detector=128, photons=5e6, modes=1, position_error=1e-8, seed=3)
    return replace(made, patterns=Frames(made.patterns[:]), probe=None)


@pytest.fixture(scope="module")
def chosen(scan):
    return exitwave.choose(apply_view(scan, WRONG), threads=2)


def choice(chosen, heading):
    return next(step for step in chosen.choices if step.heading == heading)


def test_the_right_orientation_has_a_clearly_smaller_error(scan):
    best, second, *_ = rank_orientations(scan, threads=2)
    assert best.view == View()
    assert best.error < CLEARLY_BETTER * second.error


def test_exchanged_axes_of_rectangular_frames_are_found(scan):
    narrow = apply_view(scan, View(rows=(16, 112)))
    best, second, *_ = rank_orientations(apply_view(narrow, View(transpose=True)), threads=1)
    assert best.view == View(transpose=True)
    assert best.error < CLEARLY_BETTER * second.error


def test_a_wrong_orientation_is_corrected_with_a_finding(chosen, scan):
    assert "W246" in [finding.code for finding in chosen.scan.findings]
    middle = slice(32, 96), slice(32, 96)
    right, found = scan.patterns[0][middle], chosen.scan.patterns[0][middle]
    assert max(np.corrcoef(right.ravel(), each.ravel())[0, 1] for each in (found, found[::-1, ::-1])) > 0.5


def test_each_choice_has_a_reason(chosen):
    headings = [step.heading for step in chosen.choices]
    assert headings == ["orientation", "probe", "positions", "modes", "prior", "algorithm"]
    assert all(step.why for step in chosen.choices)
    assert chosen.recipe.modes == choice(chosen, "modes").settings["modes"]


def test_wrong_positions_are_refined(chosen):
    assert choice(chosen, "positions").name == "refined"
    assert [stage.algorithm for stage in chosen.recipe.stages] == ["mPIE", "ML"]
    assert all(stage.refinement("position_update") for stage in chosen.recipe.stages)


def test_given_settings_are_not_chosen(scan, monkeypatch):
    ranking = [Orientation(View(), 0.1, np.ones((2, 2), np.complex64))]
    monkeypatch.setattr(auto, "rank_orientations", lambda *_, **__: ranking)
    found = exitwave.choose(scan, threads=2, modes=2, position_update=False)
    assert found.recipe.modes == 2
    assert [step.heading for step in found.choices] == ["orientation", "probe", "prior", "algorithm"]


def test_the_result_stores_the_choices(chosen, tmp_path):
    recipe = chosen.recipe.model_copy(
        update={"stages": tuple(each.model_copy(update={"iterations": 1}) for each in chosen.recipe.stages)}
    )
    result = exitwave.reconstruct(chosen.scan, recipe, choices=chosen.choices)
    result.save(tmp_path / "result.cxi", embed=True)
    again = exitwave.open(tmp_path / "result.cxi")
    assert [step.name for step in again.choices] == [step.name for step in chosen.choices]


def test_settings_of_the_algorithm_leave_nothing_to_choose():
    assert leaves_open({"threads": 2, "modes": 3})
    assert not leaves_open({"iterations": 5})
    assert not leaves_open({"stages": []})


def test_slices_get_the_stages_that_separate_them():
    scan = exitwave.simulate(detector=128, frames=30, slices=2, photons=1e6)
    chosen = exitwave.choose(scan, slices=2, threads=1)
    assert chosen.recipe.stages == make_recipe({"slices": 2}).stages
    refined = exitwave.choose(scan, slices=2, threads=1, position_update=True).recipe.stages
    assert [stage.refinement("position_update") is not None for stage in refined] == [True, False]


def test_a_quick_choice_does_no_trials(scan, monkeypatch):
    monkeypatch.setattr(auto.Trials, "run", None)
    monkeypatch.setattr(auto, "rank_orientations", None)
    found = exitwave.choose(scan, quick=True, threads=2)
    assert choice(found, "orientation").why == "not tested in a quick run"
    assert found.recipe.modes == auto.QUICK_MODES
    assert [stage.iterations for stage in found.recipe.stages] == list(auto.QUICK_ITERATIONS)
    assert all(stage.refinement("position_update") for stage in found.recipe.stages)


def test_trials_are_not_started_late(scan, monkeypatch):
    monkeypatch.setattr(auto, "SHARE", 0.0)
    monkeypatch.setattr(auto, "EXPLAINED", -1.0)
    found = exitwave.choose(scan, threads=2, seconds=30)
    assert choice(found, "modes").why == "not tried for lack of time"
    assert [stage.iterations for stage in found.recipe.stages] == list(auto.ITERATIONS)


def test_further_modes_are_used_only_if_they_help(chosen):
    one = exitwave.simulate(detector=128, frames=70, photons=1e7, modes=1, seed=7)
    found = exitwave.choose(one, threads=2)
    assert found.recipe.modes == 1
    assert "with 1, " in choice(found, "modes").why


def test_right_axes_are_not_searched(monkeypatch):
    monkeypatch.setattr(auto, "rank_orientations", None)
    found = exitwave.choose(exitwave.simulate(detector=128, frames=70, photons=1e6, seed=7), threads=2)
    assert choice(found, "orientation").name == "as in the file"
    assert "explains" in choice(found, "orientation").why
