"""The YAML map of an HDF5 file: paths, units and order of its entries."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from exitwave.documents import parse_yaml, read_text
from exitwave.errors import InputError, did_you_mean


class MapPart(BaseModel):
    """A part of a map. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _from_path(value: Any) -> Any:
    """Return the part for its short form, a path."""
    return {"path": value} if isinstance(value, str) else value


def _from_path_or_value(value: Any) -> Any:
    """Return the part for its short form: a path, which starts with a slash, or a value."""
    if isinstance(value, str) and value.startswith("/"):
        return {"path": value}
    return {"value": str(value)} if isinstance(value, str | int | float) else value


class QuantityPart(MapPart):
    """A quantity: a value with its unit, or a path."""

    value: str | None = Field(None, description="a number with a unit, such as 8.8 keV")
    path: str | None = Field(None, description="or its path in the file")
    unit: str | None = Field(None, description="its unit in the file; default: @units of the dataset")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.path is None):
            raise ValueError("give either a value with its unit, or a path")
        return self


class FramesPart(MapPart):
    """Path and conventions of the patterns."""

    path: str = Field(description="a stack, or a group of data_000001, data_000002, ...")
    axes: tuple[Literal["frame", "y", "x"], ...] = Field(
        ("frame", "y", "x"), description="order of the stored axes; several axes named frame are merged into one"
    )
    values: Literal["intensity", "amplitude"] = Field("intensity", description="meaning of the stored values")
    zero_frequency: Literal["centre", "corner"] = Field("centre", description="its location: [n//2] or [0]")

    @model_validator(mode="after")
    def _valid_axes(self) -> Self:
        if self.axes.count("x") != 1 or self.axes.count("y") != 1 or "frame" not in self.axes:
            raise ValueError("name x and y once, and frame for every other axis")
        return self


class PositionsPart(MapPart):
    """Source and conventions of the positions."""

    path: str | None = Field(None, description="an array of columns (N, 2 or more) or of rows (2 or more, N)")
    x: str | None = Field(None, description="or an array of x, with an array of y")
    y: str | None = Field(None, description="an array of y")
    file: str | None = Field(None, description="or a text file in the folder of the map")
    columns: tuple[int | str, int | str] = Field((0, 1), description="columns of x and y, counted from 0 or by name")
    unit: str | None = Field(None, description="unit; default: @units of the dataset")
    negate: Literal["none", "x", "y", "xy"] = Field("none", description="axes to negate")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pair = (self.x is not None, self.y is not None)
        if (self.path is not None) + any(pair) + (self.file is not None) != 1 or pair[0] != pair[1]:
            raise ValueError("give one of path, file, or x and y together")
        return self


class MaskPart(MapPart):
    """Path and meaning of the mask."""

    path: str = Field(description="an array (y, x)")
    bad: Literal["nonzero", "zero", "nexus"] = Field("nonzero", description="values that mark a bad pixel")


Quantity = Annotated[QuantityPart, BeforeValidator(_from_path_or_value)]


class FileMap(MapPart):
    """A map of an HDF5 file."""

    file: str | None = Field(None, description="the HDF5 file, relative to the map; none in a map for many files")
    frames: Annotated[FramesPart, BeforeValidator(_from_path)]
    positions: Annotated[PositionsPart, BeforeValidator(_from_path)]
    energy: Quantity | None = None
    wavelength: Quantity | None = None
    distance: Quantity | None = None
    pixel_size: Quantity | None = None
    mask: Annotated[MaskPart, BeforeValidator(_from_path)] | None = None
    dark: str | None = Field(None, description="path of the mean dark frame (y, x)")
    probe: str | None = Field(None, description="path of a complex probe, (y, x) or (mode, y, x)")
    surplus: Literal["drop"] | None = Field(None, description="leave out surplus frames or positions at the end")
    name: str = Field("", description="name of the sample")


def read_map(file: Path) -> FileMap:
    """Read a map.

    Raises
    ------
    InputError
        If there is no such file, if it is not YAML, or if a key or value is not valid; with the nearest known key.
    """
    if not file.is_file():
        raise InputError("There is no such map", found=file, remedy="Check the path")
    try:
        stored = parse_yaml(read_text(file))
    except (ValueError, OSError) as error:
        raise _not_a_map(file, str(error), "See the example in docs/dialects.md") from None
    if not isinstance(stored, dict):
        raise _not_a_map(file, type(stored).__name__, _keys(FileMap))
    try:
        return FileMap(**{str(key): value for key, value in stored.items()})
    except ValidationError as error:
        raise _invalid(file, error.errors()[0]) from None


def _not_a_map(file: Path, found: str, remedy: str) -> InputError:
    return InputError("The file is not a YAML map", where=file, found=found, remedy=remedy)


def _invalid(file: Path, problem: Any) -> InputError:
    """Return the error for a problem of a map that pydantic reports."""
    location = [str(part) for part in problem["loc"]]
    key, model = ".".join(location), _innermost(location[:-1])
    if problem["type"] == "extra_forbidden":
        remedy = did_you_mean(location[-1], _names(model))
        return InputError("Unknown key in the map", where=file, found=key, remedy=remedy)
    if problem["type"] == "missing":
        return InputError(f"The map lacks {key}", where=file, remedy=_keys(model))
    what = f"Invalid value of {key} in the map: {problem['msg'].removeprefix('Value error, ')}"
    return InputError(what, where=file, found=repr(problem["input"])[:200], remedy=_keys(_innermost(location)))


def _innermost(location: list[str]) -> type[MapPart]:
    """Return the class of the innermost part of a map on a location."""
    model: type[MapPart] = FileMap
    for name in location:
        model = _class_of(model, name) or model
    return model


def _class_of(model: type[MapPart], name: str) -> type[MapPart] | None:
    """Return the class of a part by the name of its field, or None if the field is no part."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    outer = get_args(annotation)
    classes = [annotation, *outer, *(inner for argument in outer for inner in get_args(argument))]
    return next((each for each in classes if isinstance(each, type) and issubclass(each, MapPart)), None)


def _names(model: type[MapPart]) -> list[str]:
    return list(model.model_fields)


def _keys(model: type[MapPart]) -> str:
    return f"Known keys: {', '.join(_names(model))}"
