"""What of a full recipe somebody has chosen: all that is not a default."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from exitwave.engine.recipe import Recipe, Stage, current_names, group_of, usual_stages


def changes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a recipe differs from the defaults; given to `exitwave.reconstruct`, it makes the same recipe.

    Parameters
    ----------
    settings : mapping
        A full recipe, as `exitwave.scan.Result.recipe` has it.

    Returns
    -------
    dict
        Ready for JSON and YAML. The default number of iterations is that of the algorithm.
    """
    settings = current_names(settings)
    stages = settings.get("stages")
    own = {key: value for key, value in settings.items() if key != "stages"}
    found = _differing(own, _plain(Recipe()))
    if not isinstance(stages, list | tuple):
        return found
    told = [_stage(stage) for stage in stages]
    if told == [_stage(_plain(stage)) for stage in usual_stages(settings.get("slices") or 1)]:
        return found
    return found | (told[0] if len(told) == 1 and told != [{}] else {"stages": told})


def _stage(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the defaults of the algorithm of a stage, and which algorithm it is if not the first."""
    algorithm = settings.get("algorithm")
    try:
        usual = _plain(Stage(algorithm=algorithm) if algorithm else Stage())
    except ValidationError:  # an algorithm of another version
        usual = _plain(Stage())
    found = _differing(settings, usual)
    return found if algorithm in (None, Stage().algorithm) else {"algorithm": algorithm, **found}


def _plain(settings: BaseModel) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _differing(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not as usual."""
    told = {key: _told(key, value, usual.get(key)) for key, value in settings.items()}
    return {key: value for key, value in told.items() if key not in usual or settings[key] != usual[key]}


def _told(key: str, value: Any, usual: Any) -> Any:
    """Return a setting; of a group only what is not as usual, and ``true`` for one that is off by default."""
    group = group_of(key)
    if not isinstance(value, Mapping) or group is None:
        return value
    on = usual is None
    try:
        return _differing(value, _plain(group()) if on else usual) or on
    except ValidationError:  # a group that has no defaults
        return dict(value)
