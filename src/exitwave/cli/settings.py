"""The settings of a reconstruction from the options of the command line."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exitwave.cli.options import RunOptions
from exitwave.errors import InputError, did_you_mean

RECIPE_OPTIONS = ("algorithm", "iterations", "modes", "holdout", "seconds", "threads", "seed")
"""Fields of `RunOptions` that are settings of the recipe with the same name."""


@dataclass(frozen=True)
class Settings:
    """The settings of a reconstruction."""

    overrides: dict[str, str]
    """Values that replace those in the file."""
    recipe: dict[str, Any]
    """Settings of the recipe."""


def settings_of(options: RunOptions, **more: Any) -> Settings:
    """Return the settings that options define.

    Parameters
    ----------
    options : RunOptions
        Options of the command line.
    **more
        Further settings of the recipe; those that are None are ignored.

    Raises
    ------
    InputError
        If the recipe file cannot be used, or ``--set`` has an unknown key or a value that cannot be read.
    """
    from exitwave.engine.recipe import merge

    overrides, recipe = split_settings(parse_settings(options.assignments))
    given = {name: getattr(options, name) for name in RECIPE_OPTIONS} | more
    recipe |= {name: value for name, value in given.items() if value is not None}
    if options.recipe is not None:
        recipe = merge(read_recipe(options.recipe), recipe)
    return Settings(overrides, _with_refined_positions(recipe) if options.refine_positions else recipe)


def _with_refined_positions(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings that refine the positions in every stage that does not define it."""
    on = {"position_update": True}
    if "stages" not in settings:
        return on | settings
    stages = [on | {name: value for name, value in stage.items() if value is not None} for stage in settings["stages"]]
    return settings | {"stages": stages}


def parse_settings(assignments: Iterable[str] | None) -> dict[str, str]:
    """Return ``["energy=8.8keV"]`` as ``{"energy": "8.8keV"}``.

    Raises
    ------
    InputError
        If an assignment has no key, no value or no ``=``.
    """
    settings = {}
    for assignment in assignments or ():
        key, _, value = (part.strip() for part in assignment.partition("="))
        if not (key and value):
            remedy = "Write KEY=VALUE, such as --set energy=8.8keV"
            raise InputError("Not a setting", where="--set", found=repr(assignment), remedy=remedy)
        settings[key] = value
    return settings


def split_settings(settings: dict[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Split settings into those of the file and those of the recipe; the latter are nested and typed.

    Example: ``{"energy": "9keV", "object_update.step": "0.5"}`` gives ``{"energy": "9keV"}`` and
    ``{"object_update": {"step": 0.5}}``.

    Raises
    ------
    InputError
        If a key is neither a value of the file nor a setting of the recipe, or its value cannot be read.
    """
    of_file, of_recipe = _known_keys()
    known = [*sorted(of_file), *of_recipe]
    overrides, recipe = dict[str, str](), dict[str, Any]()
    for key, value in settings.items():
        top = key.split(".")[0]
        if top not in known and key not in known:
            remedy = did_you_mean(key if top == "frames" else top, known)
            raise InputError("Unknown setting", where="--set", found=key, remedy=remedy)
        if top in of_file or key in of_file:
            overrides[key] = value
        else:
            _assign(recipe, key, value)
    return overrides, recipe


def _known_keys() -> tuple[set[str], list[str]]:
    """Return the keys that replace a value of a file, and the settings of the recipe."""
    from exitwave.cxi.frame_settings import FRAME_SETTINGS
    from exitwave.cxi.read import OVERRIDES
    from exitwave.dialects.registry import DIALECTS
    from exitwave.engine.recipe import Recipe, stage_settings

    of_recipe = [*Recipe.model_fields, *stage_settings()]
    of_dialects = (key for dialect in DIALECTS.all().values() for key in dialect.settings)
    return {*OVERRIDES, *FRAME_SETTINGS, *of_dialects} - {*of_recipe}, of_recipe


def _assign(recipe: dict[str, Any], key: str, text: str) -> None:
    """Set the value of a key such as ``object_update.step`` in the nested settings of a recipe."""
    from exitwave.documents import parse_yaml

    *groups, name = key.split(".")
    target = recipe
    for group in groups:
        target = target.setdefault(group, {})
        if not isinstance(target, dict):
            remedy = f"Give either {group}=... or {key}=..., not both"
            raise InputError("Two settings contradict each other", where="--set", found=key, remedy=remedy)
    try:
        target[name] = parse_yaml(text)
    except ValueError:
        remedy = "Give a number, true, false or a word, such as object_update.step=0.5"
        raise InputError("Not a value", where=f"--set {key}", found=repr(text), remedy=remedy) from None


def read_recipe(file: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, or the settings of a result.

    Raises
    ------
    InputError
        If there is no such file, or it is neither a YAML mapping nor a result.
    """
    import h5py

    import exitwave
    from exitwave.documents import parse_yaml, read_text
    from exitwave.scan import Result

    remedy = "Give a YAML file of settings, or a result of exitwave reconstruct"
    if not file.is_file():
        raise InputError("The recipe does not exist", where=file, remedy=remedy)
    if h5py.is_hdf5(file):
        result = exitwave.open(file)
        if isinstance(result, Result) and result.recipe:
            return result.recipe
        raise InputError("The file contains no recipe", where=file, found="a CXI file without one", remedy=remedy)
    try:
        settings = parse_yaml(read_text(file))
    except ValueError as error:
        raise InputError("Not a recipe", where=file, found=error, remedy=remedy) from None
    if not isinstance(settings, dict):
        raise InputError("Not a recipe", where=file, found=type(settings).__name__, remedy=remedy)
    return settings
