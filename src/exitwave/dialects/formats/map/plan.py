"""What a YAML map may say: where an HDF5 file of any program has its parts, in which units and order."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from exitwave.errors import InputError, did_you_mean

LONGEST = 2**14
"""Characters of a map."""
DEEPEST = 8
"""Levels of brackets and indents in a map."""


class Part(BaseModel):
    """A part of a map; it refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _path(value: Any) -> Any:
    """Take a path alone for a part that has only that."""
    return {"path": value} if isinstance(value, str) else value


def _path_or_value(value: Any) -> Any:
    """Take a path for where a quantity lies, and other words or a number for the quantity itself."""
    if isinstance(value, str) and value.startswith("/"):
        return {"path": value}
    return {"value": str(value)} if isinstance(value, str | int | float) else value


class QuantityPart(Part):
    """A quantity, or where it lies."""

    value: str | None = Field(None, description="a number with a unit, such as 8.8 keV")
    path: str | None = Field(None, description="or where it lies in the file")
    unit: str | None = Field(None, description="its unit there; without it, the dataset's @units")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.path is None):
            raise ValueError("give either a value with its unit, or a path")
        return self


class FramesPart(Part):
    """Where the frames lie, and how."""

    path: str = Field(description="a stack, or a group of data_000001, data_000002, ...")
    axes: tuple[Literal["frame", "y", "x"], ...] = Field(
        ("frame", "y", "x"), description="order of the stored axes; several of frames become one"
    )
    values: Literal["intensity", "amplitude"] = Field("intensity", description="what is stored")
    zero_frequency: Literal["centre", "corner"] = Field("centre", description="where it lies: [n//2] or [0]")

    @model_validator(mode="after")
    def _each_axis(self) -> Self:
        if self.axes.count("x") != 1 or self.axes.count("y") != 1 or "frame" not in self.axes:
            raise ValueError("name x and y once, and frame for every other axis")
        return self


class PositionsPart(Part):
    """Where the positions lie, and how."""

    path: str | None = Field(None, description="an array of columns (N, 2 or more) or of rows (2 or more, N)")
    x: str | None = Field(None, description="or an array of x, with one of y")
    y: str | None = Field(None, description="an array of y")
    file: str | None = Field(None, description="or a text file beside the map")
    columns: tuple[int | str, int | str] = Field((0, 1), description="those of x and y, counted from 0 or by name")
    unit: str | None = Field(None, description="unit; without it, the dataset's @units")
    negate: Literal["none", "x", "y", "xy"] = Field("none", description="axes whose sign is the stage's")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pair = (self.x is not None, self.y is not None)
        if (self.path is not None) + any(pair) + (self.file is not None) != 1 or pair[0] != pair[1]:
            raise ValueError("give one of path, file, or x and y together")
        return self


class MaskPart(Part):
    """Where the mask lies, and what it means."""

    path: str = Field(description="an array (y, x)")
    bad: Literal["nonzero", "zero", "nexus"] = Field("nonzero", description="what marks a bad pixel")


Quantity = Annotated[QuantityPart, BeforeValidator(_path_or_value)]


class Plan(Part):
    """A map of a file."""

    file: str | None = Field(None, description="the HDF5 file, beside the map; left out in a map for many files")
    frames: Annotated[FramesPart, BeforeValidator(_path)]
    positions: Annotated[PositionsPart, BeforeValidator(_path)]
    energy: Quantity | None = None
    wavelength: Quantity | None = None
    distance: Quantity | None = None
    pixel_size: Quantity | None = None
    mask: Annotated[MaskPart, BeforeValidator(_path)] | None = None
    dark: str | None = Field(None, description="path of the mean dark frame (y, x)")
    probe: str | None = Field(None, description="path of a complex probe, (y, x) or (mode, y, x)")
    surplus: Literal["drop"] | None = Field(None, description="leave out frames without position, and the reverse")
    name: str = Field("", description="name of the sample")


def read_plan(file: Path) -> Plan:
    """Read a map.

    Raises
    ------
    InputError
        If there is no such file, it is not YAML, or it says what a map cannot say; with the nearest known key.
    """
    if not file.is_file():
        raise InputError("There is no such map", found=file, remedy="Check the path")
    try:
        with file.open(encoding="utf-8") as stream:
            words = stream.read(LONGEST + 1)
        _check_size(words)
        stored = yaml.safe_load(words)
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        found = " ".join(str(error).split())[:200]
        raise InputError(
            "This is not a YAML map", where=file, found=found, remedy="docs/dialects.md has an example"
        ) from None
    if not isinstance(stored, dict):
        raise InputError("This is not a YAML map", where=file, found=type(stored).__name__, remedy=_keys(Plan))
    try:
        return Plan(**{str(key): value for key, value in stored.items()})
    except ValidationError as error:
        raise _refusal(file, error.errors()[0]) from None


def _check_size(words: str) -> None:
    """Refuse what would keep a parser of YAML busy: length, depth, and aliases."""
    depth = 0
    for event in yaml.parse(words) if len(words) <= LONGEST else ():
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise ValueError("too deep, or with aliases")
    if len(words) > LONGEST:
        raise ValueError("too long")


def _refusal(file: Path, problem: Any) -> InputError:
    """Say what is wrong with a map, from pydantic's words."""
    place = [str(part) for part in problem["loc"]]
    key, model = ".".join(place), _innermost(place[:-1])
    if problem["type"] == "extra_forbidden":
        return InputError("A map has no such key", where=file, found=key, remedy=did_you_mean(place[-1], _names(model)))
    if problem["type"] == "missing":
        return InputError(f"The map lacks {key}", where=file, remedy=_keys(model))
    what = f"The map's {key}: {problem['msg'].removeprefix('Value error, ')}"
    return InputError(what, where=file, found=repr(problem["input"])[:200], remedy=_keys(_innermost(place)))


def _innermost(place: list[str]) -> type[Part]:
    """Return the part of a map in which a place lies, as far as it is one."""
    model: type[Part] = Plan
    for name in place:
        model = _model_of(model, name) or model
    return model


def _model_of(model: type[Part], name: str) -> type[Part] | None:
    kind = model.model_fields[name].annotation if name in model.model_fields else None
    kinds = [kind, *get_args(kind), *(inner for each in get_args(kind) for inner in get_args(each))]
    return next((each for each in kinds if isinstance(each, type) and issubclass(each, Part)), None)


def _names(model: type[Part]) -> list[str]:
    return list(model.model_fields)


def _keys(model: type[Part]) -> str:
    return f"Known: {', '.join(_names(model))}"
