"""The recipe of a reconstruction: all its settings, typed and frozen."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from exitwave.engine.algorithms.algorithm import OPTIONAL
from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.backends.device import DEVICE_NAMES, is_device_name
from exitwave.engine.model.detector import DetectorSettings
from exitwave.engine.model.fly_scan import FlyScan
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.registry import REFINEMENTS, in_order
from exitwave.engine.settings import RefinementSettings, Settings, accepted_values, group_in
from exitwave.engine.stage import StageSettings
from exitwave.errors import InputError, did_you_mean
from exitwave.units import parse

CONSTRAINTS = ("object_constraints", "probe_constraints")
"""Settings of a stage for the constraints on object and probe."""
MPIE_ITERATIONS, ML_ITERATIONS_PER_SLICE, MOST_ML_ITERATIONS = 15, 60, 240
"""Iterations of the default stages of a thick sample, for slices one depth of focus apart."""


class Stage(StageSettings):
    """One algorithm for some iterations.

    The settings of a refinement are given beside the others, under its name. ``algorithm`` may be an `Algorithm`, and
    ``refinements`` a list of `Refinement` objects; they are added to the registers and replaced by their names.
    """

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Resolve the names of algorithm and refinements, and set the default iterations of the algorithm."""
        if not isinstance(data, Mapping):
            return data
        settings = dict(data)
        settings["algorithm"] = _name(
            ALGORITHMS, settings.get("algorithm", StageSettings.model_fields["algorithm"].default)
        )
        if settings["algorithm"] in ALGORITHMS.all():
            settings.setdefault("iterations", ALGORITHMS.get(settings["algorithm"]).iterations)
        settings["refinements"] = _refinements(settings)
        return settings

    @field_validator("algorithm")
    @classmethod
    def _registered(cls, value: str) -> str:
        if value not in ALGORITHMS.all():
            raise ValueError(f"Unknown name {value}. {did_you_mean(value, ALGORITHMS.all())}")
        return value

    @field_validator(*CONSTRAINTS, mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        """Replace True by the default settings of the constraints, and False by None."""
        return ({} if value else None) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _supported(self) -> Self:
        algorithm = ALGORITHMS.get(self.algorithm)
        for key in sorted(self.model_fields_set & OPTIONAL - algorithm.settings):
            if getattr(self, key) is not None:
                raise ValueError(f"{self.algorithm} does not use {key}. Algorithms that do: {supporting(key)}")
        if algorithm.keeps_waves and self.refinement("position_update"):
            remedy = "Refine them with another algorithm, and continue from its result"
            raise ValueError(f"{self.algorithm} stores exit waves, so that positions cannot be refined. {remedy}")
        algorithm.check(self)
        if self.coarse > 1 and self.probe_constraints and self.probe_constraints.moves_object:
            raise ValueError("A coarse stage cannot centre the probe or remove a phase ramp")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Return the settings, with those of all refinements beside the others; None: the refinement is off.

        Without defaults, a group with its default settings is True; refinements that are off and the default
        iterations of the algorithm are left out.
        """
        settings: dict[str, Any] = handler(self)
        active = settings.pop("refinements", {})
        if not info.exclude_defaults:
            return settings | {refinement.name: active.get(refinement.name) for refinement in in_order()}
        if self.iterations == ALGORITHMS.get(self.algorithm).iterations:
            settings.pop("iterations", None)
        groups = {name: active.get(name) or True for name in self.refinements}
        groups |= {name: settings[name] or True for name in CONSTRAINTS if name in settings}
        return settings | groups


def _name(register: Any, value: Any) -> str:
    """Return the name of an item of a register; given is the item, or its name in upper or lower case."""
    if not isinstance(value, str):
        return str(register.add(value))
    return {name.lower(): name for name in register.all()}.get(value.lower(), value)


def _refinements(settings: dict[str, Any]) -> dict[str, RefinementSettings]:
    """Remove the settings of the refinements from those of a stage, and return them by name.

    True means the default settings of a refinement; False and None: it is off.
    """
    listed = settings.pop("refinements", {})
    if not isinstance(listed, Mapping | list | tuple):
        raise ValueError("refinements needs a list of names, or settings by name")
    given: dict[str, Any] = dict(listed) if isinstance(listed, Mapping) else {}
    for item in () if isinstance(listed, Mapping) else listed:
        given[REFINEMENTS.add(item) if isinstance(item, Refinement) else item] = True
    names = set(REFINEMENTS.all())
    given |= {name: settings.pop(name) for name in names & set(settings)}
    unknown = sorted(set(given) - names)
    if unknown:
        raise ValueError(f"Unknown refinement {unknown[0]}. {did_you_mean(unknown[0], sorted(names))}")
    return {
        name: _group(name, REFINEMENTS.get(name).settings, {} if value is True else value)
        for name, value in given.items()
        if value is not None and value is not False
    }


def _group(name: str, kind: type[RefinementSettings], value: Any) -> RefinementSettings:
    """Return the settings of one refinement; the location of an error starts with the name of the refinement."""
    if isinstance(value, kind):
        return value
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [
            {"type": found["type"], "loc": (name, *found["loc"]), "input": found["input"], "ctx": found.get("ctx", {})}
            for found in error.errors()
        ]
        raise ValidationError.from_exception_data("Stage", problems) from None  # type: ignore[arg-type]


def usual_stages(slices: int) -> tuple[Stage, ...]:
    """Return the default stages.

    For a thick sample mPIE approaches the solution fastest; then ML separates the coarse detail of the slices
    (`algorithms.lbfgs`).
    """
    if slices == 1:
        return (Stage(),)
    iterations = min(ML_ITERATIONS_PER_SLICE * slices, MOST_ML_ITERATIONS)
    return Stage(iterations=MPIE_ITERATIONS), Stage(algorithm="ML", noise="Poisson", iterations=iterations)


class Recipe(Settings):
    """The settings of one reconstruction. The defaults suit a far-field scan with usual overlap."""

    slices: int = Field(1, ge=1, le=64, description="number of slices of a thick sample, with free space between them")
    stages: tuple[Stage, ...] = Field(
        default_factory=lambda given: usual_stages(given.get("slices", 1)),
        min_length=1,
        description="stages, one after the other; each runs one algorithm",
    )
    modes: int | None = Field(
        None, ge=1, le=64, description="number of incoherent probe modes; None: those of the starting probe"
    )
    probe: Literal["auto", "file"] | None = Field(
        None, description="starting probe: from the scan (file) or from the patterns (auto); None: file if there is one"
    )
    geometry: Literal["far", "near"] | None = Field(
        None, description="far-field patterns or near-field images; None: as stored in the scan"
    )
    source_distance: float | None = Field(
        None,
        gt=0,
        description="near field in a cone beam: metres from source or focus to sample; None: as in the scan",
    )
    slice_spacing: float | None = Field(
        None, gt=0, description="distance from one slice to the next in metres; None: one depth of focus of the beam"
    )
    fly: FlyScan | None = Field(
        None, description="fly scan: the sample moves during the exposure of a frame; None: it does not"
    )
    detector: DetectorSettings = DetectorSettings()
    holdout: float = Field(
        0.05, ge=0, lt=0.5, description="fraction of the frames that are held out to judge the result"
    )
    seconds: float | None = Field(
        None, gt=0, description="time limit in seconds for loading, compiling and all iterations; None: no limit"
    )
    patience: int | None = Field(
        None,
        ge=2,
        description="end a stage after so many iterations in which the deviance of the held-out frames has not become "
        "lower by more than its noise, and keep its best iteration; None: never",
    )
    device: str = Field(
        "auto", description="cpu, cuda, or cuda:1 for the second GPU; auto: a GPU if there is one, otherwise cpu"
    )
    threads: int | None = Field(None, ge=1, description="number of threads; None: one for each core")
    tiles: Literal["auto", "yes", "no"] = Field(
        "auto", description="several processes: whether each holds only a tile of the object; auto: if a GPU needs it"
    )
    seed: int = Field(0, ge=0, description="seed of the random numbers")

    @field_validator("device")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_device_name(value):
            raise ValueError(f"Unknown name {value}. Use {DEVICE_NAMES}")
        return value

    @field_validator("tiles", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return ("yes" if value else "no") if isinstance(value, bool) else value  # YAML reads yes and no as booleans

    @field_validator("source_distance", "slice_spacing", mode="before")
    @classmethod
    def _metres(cls, value: Any) -> Any:
        return parse(value, "length") if isinstance(value, str) else value

    @property
    def updates_probe(self) -> bool:
        """Whether any stage updates the probe."""
        return any(stage.probe_update.enabled for stage in self.stages)

    @property
    def updates_object(self) -> bool:
        """Whether any stage updates the object."""
        return any(stage.object_update.enabled for stage in self.stages)

    @property
    def limits_object(self) -> bool:
        """Whether constraints on the object remove the ambiguity of a complex factor between object and probe."""
        constraints = [stage.object_constraints for stage in self.stages if stage.object_constraints is not None]
        return any(group.limits_amplitude or group.phase is not None for group in constraints)


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with changes applied; groups of settings are merged, not replaced."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


FORMER_NAMES = {
    "settle": "decay",
    "scale_update": "intensity_update",
    "variation_update": "opr_update",
    "tilt_update": "pointing_update",
}
"""Names of settings in results of version 0.1.0, and their current names."""


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe or a stage, with names of version 0.1.0 replaced by the current ones."""
    renamed = {FORMER_NAMES.get(key, key): value for key, value in settings.items()}
    if isinstance(stages := renamed.get("stages"), list | tuple):
        renamed["stages"] = [current_names(stage) if isinstance(stage, Mapping) else stage for stage in stages]
    return renamed


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the given settings.

    Parameters
    ----------
    settings : mapping
        Fields of `Recipe`. Fields of `Stage` may be given beside them; they define or change the only stage.

    Raises
    ------
    InputError
        For an unknown setting (with the most similar known ones) or a bad value (with the accepted ones).
    """
    settings = current_names(settings)
    single = {key: value for key, value in settings.items() if key in stage_settings()}
    others = {key: value for key, value in settings.items() if key not in single}
    stages = others.get("stages")
    if single and isinstance(stages, list | tuple) and len(stages) == 1 and isinstance(stages[0], Mapping):
        single = merge(stages[0], single)
    elif single and stages is not None:
        what = "Settings of a stage cannot be given beside several stages"
        raise InputError(what, found=", ".join(single), remedy="Give them in each of the stages")
    try:
        return Recipe(**others | ({"stages": (Stage(**single),)} if single else {}))
    except ValidationError as error:
        raise _refusal(error.errors()[0]) from None


def changes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a full recipe that differ from the defaults; `make_recipe` returns the same recipe.

    Parameters
    ----------
    settings : mapping
        A full recipe, as in `exitwave.scan.Result.recipe`.

    Returns
    -------
    dict
        Values are ready for JSON and YAML. A recipe of another version that cannot be read is returned unchanged.
    """
    try:
        recipe = make_recipe(settings)
    except InputError:
        unchanged = dict(settings)
        single = len(unchanged.get("stages") or ()) == 1
        return unchanged | dict(unchanged.pop("stages")[0]) if single else unchanged
    changed = recipe.model_dump(mode="json", exclude_defaults=True)
    stages = changed.pop("stages", [{}])
    if recipe.stages == usual_stages(recipe.slices):
        return changed
    return changed | (stages[0] if len(stages) == 1 and stages != [{}] else {"stages": stages})


def _refusal(problem: Any) -> InputError:
    """Return the error for the first problem that pydantic has found."""
    path, kind, limits = setting_at(problem["loc"])
    place = ".".join(path)
    if problem["type"] == "value_error":
        return InputError(str(problem["ctx"]["error"]), where=place)
    if problem["type"] != "extra_forbidden":
        remedy = f"Give {accepted_values(kind, limits)}"
        return InputError(f"Bad value of the setting {place}", found=repr(problem["input"]), remedy=remedy)
    group, name = group_in(kind), str(problem["loc"][-1])
    names = list(group.model_fields) if group and group is not Stage else [*Recipe.model_fields, *stage_settings()]
    close = difflib.get_close_matches(name, names, n=3)
    near = " or ".join(".".join([*path, similar]) for similar in close)
    remedy = f"Did you mean {near}" if close else f"Known settings: {', '.join(names)}"
    return InputError("Unknown setting", found=".".join([*path, name]), remedy=remedy)


def setting_at(location: Sequence[str | int]) -> tuple[list[str], Any, Sequence[Any]]:
    """Return the path of a setting, its type and its limits.

    Parameters
    ----------
    location : sequence of str or int
        Names and indices from a recipe or a stage to the setting, as in an error of pydantic. Unknown names are left
        out: those of unknown settings, and those that pydantic adds for the options of a union.
    """
    path: list[str] = []
    kind: Any = Any
    limits: Sequence[Any] = ()
    fields = Recipe.model_fields | Stage.model_fields
    for part in location:
        if part in REFINEMENTS.all() and (not path or path[0] == "stages"):
            kind, limits = bool | REFINEMENTS.get(str(part)).settings, ()
        elif part in fields:
            kind, limits = fields[part].annotation, fields[part].metadata
            kind = bool | kind if part in CONSTRAINTS else kind
        elif not isinstance(part, int):
            continue
        path.append(str(part))
        group = group_in(kind)
        fields = group.model_fields if group else {}
    return path, kind, limits


def stage_settings() -> list[str]:
    """Return the names of all settings of a stage, with those of the refinements."""
    own = [name for name in Stage.model_fields if name != "refinements"]
    return [*own, *(refinement.name for refinement in in_order()), "refinements"]
