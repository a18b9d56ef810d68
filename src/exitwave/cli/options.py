"""Options that several verbs share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from exitwave.errors import InputError, did_you_mean

Input = Annotated[Path, typer.Argument(metavar="FILE", help="A CXI file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; all words go to stderr.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Read the file with this value instead of its own: energy=8.8keV, distance=2m, pixel_size=75um, "
        "positions=um, mask=inverted. May be repeated.",
    ),
]


SetAny = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value that replaces the file's (energy=8.8keV, distance=2m, pixel_size=75um, positions=um, "
        "mask=inverted), or any setting of the recipe (object_update.step=0.5). May be repeated.",
    ),
]


def parse_settings(pairs: Iterable[str] | None) -> dict[str, str]:
    """Return ``["energy=8.8keV"]`` as ``{"energy": "8.8keV"}``.

    Raises
    ------
    InputError
        If a pair has no key, no value or no ``=``.
    """
    settings = {}
    for pair in pairs or ():
        key, _, value = (part.strip() for part in pair.partition("="))
        if not (key and value):
            raise InputError("Not a setting", where="--set", found=repr(pair), remedy="Write it as --set energy=8.8keV")
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
    import yaml

    from exitwave.cxi.read import OVERRIDES
    from exitwave.dialects.registry import known as dialects
    from exitwave.engine.recipe import Recipe, Stage

    overrides, recipe = {}, dict[str, Any]()
    of_recipe = [*Recipe.model_fields, *Stage.model_fields]
    of_file = {*OVERRIDES, *(key for each in dialects().values() for key in each.settings)} - {*of_recipe}
    known = [*sorted(of_file), *of_recipe]
    for key, value in settings.items():
        *groups, name = key.split(".")
        top = (groups or [name])[0]
        if top not in known:
            raise InputError(
                "There is nothing of this name to set", where="--set", found=key, remedy=did_you_mean(top, known)
            )
        if top in of_file:
            overrides[key] = value
            continue
        place = recipe
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                remedy = f"Give either {group}=... or {key}=..., not both"
                raise InputError("Two settings contradict each other", where="--set", found=key, remedy=remedy)
        try:
            place[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            remedy = "Write a number, true, false or a word, such as object_update.step=0.5"
            raise InputError("Not a value", where=f"--set {key}", found=repr(value), remedy=remedy) from None
    return overrides, recipe


def read_recipe(file: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, or those that made a result.

    Raises
    ------
    InputError
        If there is no such file, or it is neither a YAML mapping nor a result.
    """
    import h5py
    import yaml

    import exitwave
    from exitwave.scan import Result

    remedy = "Give a YAML file of settings, or a result of exitwave reconstruct"
    if not file.is_file():
        raise InputError("There is no such recipe", where=file, remedy=remedy)
    if h5py.is_hdf5(file):
        result = exitwave.open(file)
        if isinstance(result, Result) and result.recipe:
            return result.recipe
        raise InputError("The file holds no recipe", where=file, found="a CXI file without one", remedy=remedy)
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("Not a recipe", where=file, found=" ".join(str(error).split()), remedy=remedy) from None
    if not isinstance(settings, dict):
        raise InputError("Not a recipe", where=file, found=type(settings).__name__, remedy=remedy)
    return settings
