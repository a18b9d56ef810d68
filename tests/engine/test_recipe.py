"""Recipes: settings that differ from the defaults, and messages for unknown settings and bad values."""

import pytest

from exitwave.engine.algorithms.algorithm import OPTIONAL
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.recipe import changes, make_recipe
from exitwave.errors import InputError

GIVEN = [
    {},
    {"iterations": 7, "modes": 3},
    {"algorithm": "LSQ-ML", "object_update": {"step": 0.5}},
    {"position_update": True, "seed": 4},
    {"position_update": {"schedule": {"start": 5}}},
    {"stages": [{"algorithm": "DM", "iterations": 5}, {"algorithm": "ML"}, {}], "holdout": 0.1},
    {"slices": 2},
    {"slices": 2, "stages": [{}]},
    {"slices": 3, "iterations": 7},
]


@pytest.mark.parametrize("given", GIVEN)
def test_changes_are_the_chosen_settings_and_make_the_same_recipe(given):
    recipe = make_recipe(given)
    found = changes(recipe.model_dump(mode="json"))
    assert found == given
    assert make_recipe(found) == recipe


def test_an_explicit_default_is_no_change():
    assert changes(make_recipe({"algorithm": "mPIE", "iterations": 40}).model_dump(mode="json")) == {}


def test_a_recipe_of_another_version_is_returned_unchanged():
    assert changes({"stages": [{"algorithm": "magic", "wand": 3}]}) == {"algorithm": "magic", "wand": 3}


BAD_VALUES = [
    ({"iterations": 0}, r"setting iterations \(0\)\. Give a whole number of at least 1\.$"),
    ({"holdout": 0.7}, r"setting holdout \(0\.7\)\. Give a number of at least 0 and below 0\.5\.$"),
    ({"batching": "tight"}, r"setting batching \('tight'\)\. Give random, compact or sparse\.$"),
    ({"coarse": 3}, r"setting coarse \(3\)\. Give 1, 2 or 4\.$"),
    ({"object_update": {"step": 5}}, r"setting object_update\.step \(5\)\. Give a number above 0 and at most 2\.$"),
    ({"object_update": 3}, r"setting object_update \(3\)\. Give the settings enabled, step, alpha, schedule\.$"),
    ({"position_update": 3}, r"setting position_update \(3\)\. Give true, false or the settings schedule, step, "),
    ({"position_update": {"affine": {"pull": 3}}}, r"position_update\.affine\.pull \(3\)\. Give a number above 0 and "),
    ({"object_constraints": {"phase": 1}}, r"setting object_constraints\.phase \(1\)\. Give a list of 2 numbers\.$"),
    (
        {"probe_constraints": {"support": "x"}},
        r"probe_constraints\.support \('x'\)\. Give a number above 0 and at most ",
    ),
    ({"stages": [{}, {"batch": 0}]}, r"setting stages\.1\.batch \(0\)\. Give a whole number of at least 1\.$"),
    ({"stages": []}, r"setting stages \(\[\]\)\. Give a list of groups of settings\.$"),
    ({"algorithm": "magic"}, r"^algorithm: Unknown name magic\. Known: Adam, "),
    ({"refinements": ["magic"]}, r"^Unknown refinement magic\. Known: background_update, "),
    ({"refinements": 3}, r"^refinements needs a list"),
    ({"device": "tpu"}, r"^device: Unknown name tpu\. Use auto, "),
]


@pytest.mark.parametrize(("settings", "message"), BAD_VALUES, ids=lambda case: str(case)[:30])
def test_the_message_for_a_bad_value_names_the_accepted_values(settings, message):
    with pytest.raises(InputError, match=message):
        make_recipe(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algoritm": "rPIE"}, r"^Unknown setting \(algoritm\)\. Did you mean algorithm\.$"),
        ({"position_update": {"stp": 1}}, r"\(position_update\.stp\)\. Did you mean position_update\.step"),
        ({"stages": [{"itertions": 3}]}, r"\(stages\.0\.itertions\)\. Did you mean stages\.0\.iterations"),
        ({"object_update": {"zzz": 0}}, r"\(object_update\.zzz\)\. Known settings: enabled, step, alpha, schedule\.$"),
    ],
)
def test_the_message_for_an_unknown_setting_names_similar_ones(settings, message):
    with pytest.raises(InputError, match=message):
        make_recipe(settings)


VALUES = {"batch": 8, "batching": "sparse", "noise": "Poisson", "relaxation": 0.5, "decay": 0.2, "regularisation": 2.0}


@pytest.mark.parametrize("algorithm", ALGORITHMS.all())
def test_an_algorithm_accepts_the_settings_that_it_declares(algorithm):
    assert set(VALUES) == OPTIONAL
    for name, value in VALUES.items():
        settings = {"algorithm": algorithm, name: value}
        if name in ALGORITHMS.get(algorithm).settings:
            assert getattr(make_recipe(settings).stages[0], name) == value
        else:
            with pytest.raises(InputError, match=f"{algorithm} does not use {name}"):
                make_recipe(settings)
