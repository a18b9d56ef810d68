import pytest

from exitwave.engine.recipe import changes, make_recipe

CHOSEN = [
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


@pytest.mark.parametrize("chosen", CHOSEN)
def test_changes_are_the_chosen_settings_and_make_the_same_recipe(chosen):
    recipe = make_recipe(chosen)
    found = changes(recipe.model_dump(mode="json"))
    assert found == chosen
    assert make_recipe(found) == recipe


def test_a_default_that_is_given_explicitly_is_no_change():
    assert changes(make_recipe({"algorithm": "mPIE", "iterations": 40}).model_dump(mode="json")) == {}


def test_a_recipe_of_another_version_is_returned_as_it_is():
    assert changes({"stages": [{"algorithm": "magic", "wand": 3}]}) == {"algorithm": "magic", "wand": 3}
