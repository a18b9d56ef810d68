"""Every setting of a reconstruction, typed and frozen. Unknown keys are refused."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from exitwave.engine.algorithms.batches import Batching
from exitwave.engine.backend import Noise
from exitwave.engine.backends.device import NAMES, known
from exitwave.engine.model.background import BackgroundUpdate
from exitwave.engine.model.detector import DetectorSettings
from exitwave.engine.model.detector_distance import DistanceUpdate
from exitwave.engine.model.fly_scan import FlyScan
from exitwave.engine.model.intensities import IntensityUpdate
from exitwave.engine.model.object_constraints import ObjectConstraints
from exitwave.engine.model.opr import OprUpdate
from exitwave.engine.model.pointing import PointingUpdate
from exitwave.engine.model.positions import PositionUpdate
from exitwave.engine.model.probe_constraints import ProbeConstraints
from exitwave.engine.model.registry import CONSTRAINTS, REFINEMENTS
from exitwave.engine.model.slice_smoothing import SliceSmoothing
from exitwave.engine.model.slice_spacing import SpacingUpdate
from exitwave.engine.settings import Schedule, Settings, Update
from exitwave.errors import InputError
from exitwave.units import parse

Algorithm = Literal["rPIE", "ePIE", "LSQ-ML", "ML", "Adam", "PIE", "mPIE", "DM", "RAAR"]
USES: dict[str, frozenset[str]] = {
    "rPIE": frozenset({"batch", "batching", "decay"}),
    "ePIE": frozenset({"decay"}),
    "LSQ-ML": frozenset({"batch", "batching", "decay"}),
    "ML": frozenset({"noise"}),
    "Adam": frozenset({"batch", "batching", "noise"}),
    "PIE": frozenset({"batch", "batching", "decay"}),
    "mPIE": frozenset({"batch", "batching", "decay"}),
    "DM": frozenset({"relaxation", "decay"}),
    "RAAR": frozenset({"relaxation", "decay"}),
}
"""The settings, of those that not every algorithm has, that an algorithm uses."""
ITERATIONS: dict[str, int] = {
    "rPIE": 100,
    "ePIE": 100,
    "LSQ-ML": 60,
    "ML": 60,
    "Adam": 60,
    "PIE": 150,
    "mPIE": 40,
    "DM": 100,
    "RAAR": 100,
}
"""Iterations that an algorithm takes to converge on a scan with decent overlap, from a probe 15 % off in defocus."""


KEEP_WAVES = ("DM", "RAAR")
"""The algorithms that keep exit waves, and so cannot refine where these are."""
SLICED = (15, 60, 240)
"""Iterations that slices a depth of focus apart take: of mPIE, then of ML for every slice, and of ML at most."""


class Stage(Settings):
    """One algorithm for some iterations."""

    algorithm: Algorithm = Field("mPIE", description="the update rule, a file of engine/algorithms")
    iterations: int = Field(
        default_factory=lambda known: ITERATIONS[known.get("algorithm", "mPIE")],
        ge=1,
        description="passes over all frames, at most; the algorithm's own number where not given",
    )
    coarse: Literal[1, 2, 4] = Field(
        1, description="crop the diffraction by this factor, so that object pixels are larger and passes cheaper"
    )
    batch: int | None = Field(None, ge=1, description="frames that share an update; None: chosen from the scan")
    batching: Batching | None = Field(None, description="how frames are grouped; None: the algorithm's own")
    noise: Noise | None = Field(None, description="what the counts scatter like; None: the algorithm's own")
    relaxation: float | None = Field(
        None, gt=0, le=1, description="alpha of DM, beta of RAAR: how far to reflect; None: the algorithm's own"
    )
    decay: float | None = Field(
        None, ge=0, le=1, description="last part of the iterations, which trades speed for less noise; None: 0.4"
    )
    object_update: Update = Update()
    probe_update: Update = Update()
    position_update: PositionUpdate | None = Field(None, description="refine the positions; None: do not")
    distance_update: DistanceUpdate | None = Field(
        None, description="refine the distance of the detector in the far field; None: do not"
    )
    intensity_update: IntensityUpdate | None = Field(
        None, description="refine the intensity of every frame; None: do not"
    )
    opr_update: OprUpdate | None = Field(
        None, description="refine a variation of the probe from frame to frame; None: there is none"
    )
    spacing_update: SpacingUpdate | None = Field(None, description="refine the distance between slices; None: do not")
    slice_smoothing: SliceSmoothing | None = Field(
        None, description="share what cannot be told apart between slices; None: do not"
    )
    background_update: BackgroundUpdate | None = Field(
        None, description="learn the counts that are there without the beam; None: do not"
    )
    object_constraints: ObjectConstraints | None = Field(None, description="what is known of the object; None: nothing")
    probe_constraints: ProbeConstraints | None = Field(None, description="what is known of the probe; None: nothing")
    pointing_update: PointingUpdate | None = Field(None, description="refine the pointing of the beam; None: do not")

    @field_validator("algorithm", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return {name.lower(): name for name in USES}.get(str(value).lower(), value)

    @field_validator(*REFINEMENTS, *CONSTRAINTS, mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        """Take ``true`` for the group's own settings, and ``false`` for none."""
        return ({} if value else None) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _only_what_is_used(self) -> Self:
        optional = frozenset().union(*USES.values())
        for key in sorted(self.model_fields_set & optional - USES[self.algorithm]):
            if getattr(self, key) is not None:
                users = ", ".join(name for name, used in USES.items() if key in used)
                raise ValueError(f"{self.algorithm} does not use {key}; it is a setting of {users}")
        if self.algorithm == "LSQ-ML" and self.batching == "compact" and self.decay is not None:
            raise ValueError("LSQ-ML with compact batches does not use decay; its steps are accelerated to the end")
        if self.algorithm in KEEP_WAVES and self.position_update:
            remedy = "refine positions with another algorithm, and continue from its result"
            raise ValueError(f"{self.algorithm} keeps the waves of the old positions, and cannot refine them; {remedy}")
        if self.algorithm == "ML" and self.position_update:
            unknown = sorted(self.position_update.model_fields_set - {"schedule", "largest"})
            if unknown:
                raise ValueError(f"ML refines positions without position_update.{unknown[0]}; it finds its own steps")
        if self.coarse > 1 and self.probe_constraints and self.probe_constraints.moves_object:
            raise ValueError("a coarse stage cannot centre the probe or take a ramp: it hands on small changes only")
        return self


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
        if not known(value):
            raise ValueError(f"there is no such device; write {NAMES}")
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
    single = {key: value for key, value in settings.items() if key in Stage.model_fields}
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


def _refusal(problem: Any) -> InputError:
    """Say what is wrong with a setting, from pydantic's words."""
    path = [str(part) for part in problem["loc"]]
    known = [*Recipe.model_fields, *Stage.model_fields]
    if problem["type"] != "extra_forbidden":
        what = f"Bad value of the setting {'.'.join(path)}: {problem['msg']}"
        return InputError(what, found=repr(problem["input"]), remedy=f"Known settings: {', '.join(known)}")
    inner = next((group for part in reversed(path[:-1]) if (group := group_of(part))), None)
    names = list(inner.model_fields) if inner else known
    close = difflib.get_close_matches(path[-1], names, n=1)
    prefix = "".join(f"{part}." for part in path[:-1])
    remedy = f"Did you mean {prefix}{close[0]}" if close else f"Known settings: {', '.join(names)}"
    return InputError("Unknown setting", found=".".join(path), remedy=remedy)


def group_of(name: str) -> type[BaseModel] | None:
    """Return the group of settings that a field of a stage or a recipe is, if it is one."""
    if name == "schedule":
        return Schedule
    fields = Stage.model_fields | Recipe.model_fields
    kind = fields[name].annotation if name in fields else None
    return next((k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, Settings)), None)
