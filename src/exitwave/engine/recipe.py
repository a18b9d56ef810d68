"""The recipe of a reconstruction: all its settings, typed and frozen. Unknown settings are refused."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
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
from exitwave.engine.settings import RefinementSettings, Schedule, Settings
from exitwave.engine.stage import StageSettings
from exitwave.errors import InputError
from exitwave.units import parse

CONSTRAINTS = ("object_constraints", "probe_constraints")
"""The settings of a stage that constrain object and probe."""
SLICED = (15, 60, 240)
"""Iterations for slices that are a depth of focus apart: of mPIE, then of ML for each slice, and of ML at most."""


class Stage(StageSettings):
    """One algorithm for some iterations.

    The settings of a refinement stand beside the others, under its name. An `Algorithm` or a list of `Refinement`
    objects (``refinements=[...]``) is added to the registers and replaced by its name.
    """

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Resolve names of algorithm and refinements, and take the iterations of the algorithm where none are given."""
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
            names = ", ".join(ALGORITHMS.all())
            raise ValueError(f"there is no such algorithm; known are {names}")
        return value

    @field_validator(*CONSTRAINTS, mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        """Replace ``true`` by the default settings of the group, and ``false`` by None."""
        return ({} if value else None) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _supported(self) -> Self:
        algorithm = ALGORITHMS.get(self.algorithm)
        for key in sorted(self.model_fields_set & OPTIONAL - algorithm.settings):
            if getattr(self, key) is not None:
                raise ValueError(f"{self.algorithm} does not use {key}; it is a setting of {supporting(key)}")
        if algorithm.keeps_waves and self.refinement("position_update"):
            remedy = "refine positions with another algorithm, and continue from its result"
            raise ValueError(f"{self.algorithm} keeps the waves of the old positions, and cannot refine them; {remedy}")
        algorithm.check(self)
        if self.coarse > 1 and self.probe_constraints and self.probe_constraints.moves_object:
            raise ValueError("a coarse stage cannot centre the probe or remove a phase ramp")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Return the settings with those of all refinements beside the others; None: the refinement is off.

        Without defaults, a refinement with its default settings is ``true``, and the iterations of the algorithm and
        refinements that are off are left out.
        """
        settings: dict[str, Any] = handler(self)
        on = settings.pop("refinements", {})
        if not info.exclude_defaults:
            return settings | {each.name: on.get(each.name) for each in in_order()}
        if self.iterations == ALGORITHMS.get(self.algorithm).iterations:
            settings.pop("iterations", None)
        groups = {name: on.get(name) or True for name in self.refinements}
        groups |= {name: settings[name] or True for name in CONSTRAINTS if name in settings}
        return settings | groups


def _name(register: Any, value: Any) -> str:
    """Return the name of an item of a register, which may be given as an object or in any case."""
    if not isinstance(value, str):
        return str(register.add(value))
    return {name.lower(): name for name in register.all()}.get(value.lower(), value)


def _refinements(settings: dict[str, Any]) -> dict[str, RefinementSettings]:
    """Take the settings of the refinements out of those of a stage; ``true`` means their default settings."""
    given = settings.pop("refinements", {})
    found: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    for each in () if isinstance(given, Mapping) else given:
        found[REFINEMENTS.add(each) if isinstance(each, Refinement) else each] = True
    names = set(REFINEMENTS.all())
    found |= {name: settings.pop(name) for name in names & set(settings)}
    unknown = sorted(set(found) - names)
    if unknown:
        raise ValueError(f"there is no refinement {unknown[0]}; known are {', '.join(sorted(names))}")
    return {
        name: _group(name, REFINEMENTS.get(name).settings, {} if value is True else value)
        for name, value in found.items()
        if value is not None and value is not False
    }


def _group(name: str, kind: type[RefinementSettings], value: Any) -> RefinementSettings:
    """Return the settings of one refinement; an error names the refinement as its place."""
    if isinstance(value, kind):
        return value
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [
            {"type": each["type"], "loc": (name, *each["loc"]), "input": each["input"], "ctx": each.get("ctx", {})}
            for each in error.errors()
        ]
        raise ValidationError.from_exception_data("Stage", problems) from None  # type: ignore[arg-type]


def usual_stages(slices: int) -> tuple[Stage, ...]:
    """Return the stages where nothing is said.

    mPIE comes near the solution soonest; from there ML tells apart what slices have of coarse detail (`lbfgs`).
    """
    if slices == 1:
        return (Stage(),)
    first, each, most = SLICED
    return Stage(iterations=first), Stage(algorithm="ML", noise="Poisson", iterations=min(each * slices, most))


class Recipe(Settings):
    """The settings of one reconstruction. The defaults suit a far-field scan with decent overlap."""

    slices: int = Field(1, ge=1, le=64, description="slices of a thick sample, with free space between them")
    stages: tuple[Stage, ...] = Field(
        default_factory=lambda known: usual_stages(known.get("slices", 1)),
        min_length=1,
        description="algorithms, one after the other",
    )
    modes: int | None = Field(
        None, ge=1, le=64, description="incoherent probe modes; None: those of the starting probe"
    )
    probe: Literal["auto", "file"] | None = Field(
        None, description="start from the scan's probe (file) or from the data (auto); None: file where there is one"
    )
    geometry: Literal["far", "near"] | None = Field(
        None, description="whether frames are far-field patterns or near-field images; None: what the scan says"
    )
    source_distance: float | None = Field(
        None, gt=0, description="metres from source or focus to sample, for a near field in a cone beam; None: as above"
    )
    slice_spacing: float | None = Field(
        None, gt=0, description="from one slice to the next in metres; None: one depth of focus of the beam"
    )
    fly: FlyScan | None = Field(None, description="the sample moved while a frame was counted; None: it did not")
    detector: DetectorSettings = DetectorSettings()
    holdout: float = Field(0.05, ge=0, lt=0.5, description="fraction of the frames held out to judge the result")
    seconds: float | None = Field(None, gt=0, description="time for all iterations; None: as long as they take")
    patience: int | None = Field(
        None,
        ge=2,
        description="a stage ends when the held-out error has not improved for so many iterations; None: never",
    )
    device: str = Field("auto", description="where to run: cpu, cuda, cuda:1; auto: a GPU where there is one, else cpu")
    threads: int | None = Field(None, ge=1, description="threads; None: one for each core")
    tiles: Literal["auto", "yes", "no"] = Field(
        "auto", description="whether each of several processes holds a tile of the object; auto: where a GPU needs it"
    )
    seed: int = Field(0, ge=0, description="seed of everything random")

    @field_validator("device")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_device_name(value):
            raise ValueError(f"there is no such device; write {DEVICE_NAMES}")
        return value

    @field_validator("tiles", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return ("yes" if value else "no") if isinstance(value, bool) else value  # as YAML has them

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
        """Whether limits of the object settle the scale and the phase that it shares with the probe."""
        known = [stage.object_constraints for stage in self.stages if stage.object_constraints is not None]
        return any(each.limits_amplitude or each.phase is not None for each in known)


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with changes on top; groups of settings are merged, not replaced."""
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
"""Names of settings in results of version 0.1.0 that have another name now."""


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a recipe or a stage, with names of version 0.1.0 replaced by the current ones."""
    renamed = {FORMER_NAMES.get(key, key): value for key, value in settings.items()}
    if isinstance(stages := renamed.get("stages"), list | tuple):
        renamed["stages"] = [current_names(stage) if isinstance(stage, Mapping) else stage for stage in stages]
    return renamed


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the given settings.

    Parameters
    ----------
    settings : mapping
        Fields of `Recipe`. Fields of `Stage` may be given beside them; they make the only stage, or change it.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one) or a value out of its range.
    """
    settings = current_names(settings)
    single = {key: value for key, value in settings.items() if key in stage_settings()}
    others = {key: value for key, value in settings.items() if key not in single}
    stages = others.get("stages")
    if single and isinstance(stages, list | tuple) and len(stages) == 1 and isinstance(stages[0], Mapping):
        single = merge(stages[0], single)
    elif single and stages is not None:
        remedy = "Write them into each of the stages"
        raise InputError(
            "A recipe of several stages has no settings beside them", found=", ".join(single), remedy=remedy
        )
    try:
        return Recipe(**others | ({"stages": (Stage(**single),)} if single else {}))
    except ValidationError as error:
        raise _refusal(error.errors()[0]) from None


def changes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a full recipe that are not defaults; `make_recipe` makes the same recipe from them.

    Parameters
    ----------
    settings : mapping
        A full recipe, as in `exitwave.scan.Result.recipe`.

    Returns
    -------
    dict
        Ready for JSON and YAML. A recipe of another version, which cannot be read, is returned as it is.
    """
    try:
        recipe = make_recipe(settings)
    except InputError:
        found = dict(settings)
        single = len(found.get("stages") or ()) == 1
        return found | dict(found.pop("stages")[0]) if single else found
    found = recipe.model_dump(mode="json", exclude_defaults=True)
    stages = found.pop("stages", [{}])
    if recipe.stages == usual_stages(recipe.slices):
        return found
    return found | (stages[0] if len(stages) == 1 and stages != [{}] else {"stages": stages})


def _refusal(problem: Any) -> InputError:
    """Say what is wrong with a setting, from pydantic's words."""
    path = [str(part) for part in problem["loc"]]
    known = [*Recipe.model_fields, *stage_settings()]
    if problem["type"] != "extra_forbidden":
        what = f"Bad value of the setting {'.'.join(path)}: {problem['msg']}"
        return InputError(what, found=repr(problem["input"]), remedy=f"Known settings: {', '.join(known)}")
    inner = next((group for part in reversed(path[:-1]) if (group := group_of(part))), None)
    names = list(inner.model_fields) if inner else known
    close = difflib.get_close_matches(path[-1], names, n=1)
    prefix = "".join(f"{part}." for part in path[:-1])
    remedy = f"Did you mean {prefix}{close[0]}" if close else f"Known settings: {', '.join(names)}"
    return InputError("Unknown setting", found=".".join(path), remedy=remedy)


def stage_settings() -> list[str]:
    """Return the names of all settings of a stage, those of the refinements among them."""
    own = [name for name in Stage.model_fields if name != "refinements"]
    return [*own, *(each.name for each in in_order()), "refinements"]


def describe_settings() -> dict[str, str]:
    """Return one line on each setting of a stage and of a recipe, by name."""
    fields = Stage.model_fields | Recipe.model_fields
    own = {name: field.description or "" for name, field in fields.items() if name != "refinements"}
    return own | {each.name: each.description for each in in_order()}


def group_of(name: str) -> type[BaseModel] | None:
    """Return the class of a group of settings by the name of its field in a stage or a recipe, or None."""
    if name == "schedule":
        return Schedule
    if name in REFINEMENTS.all():
        return REFINEMENTS.get(name).settings
    fields = Stage.model_fields | Recipe.model_fields
    kind = fields[name].annotation if name in fields else None
    return next((k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, Settings)), None)
