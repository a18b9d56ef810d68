"""Options that several verbs share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from exitwave.errors import InputError

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
    """
    import yaml

    from exitwave.engine.recipe import Recipe

    overrides, recipe = {}, dict[str, Any]()
    for key, value in settings.items():
        *groups, name = key.split(".")
        if (groups or [name])[0] not in Recipe.model_fields:
            overrides[key] = value
            continue
        place = recipe
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = yaml.safe_load(value)
    return overrides, recipe
