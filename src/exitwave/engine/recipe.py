"""Every setting of a reconstruction, typed and frozen. Unknown keys are refused."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from exitwave.engine.algorithms.batches import Batching
from exitwave.engine.sweeps import Noise
from exitwave.errors import InputError

Algorithm = Literal["rPIE", "ePIE", "LSQ-ML", "ML", "Adam", "PIE", "mPIE", "DM", "RAAR"]
USES: dict[str, frozenset[str]] = {
    "rPIE": frozenset({"batch", "batching"}),
    "ePIE": frozenset(),
    "LSQ-ML": frozenset({"batch", "batching"}),
    "ML": frozenset({"noise"}),
    "Adam": frozenset({"batch", "batching", "noise"}),
    "PIE": frozenset({"batch", "batching"}),
    "mPIE": frozenset({"batch", "batching"}),
    "DM": frozenset({"relaxation", "settle"}),
    "RAAR": frozenset({"relaxation", "settle"}),
}
"""The settings, of those that not every algorithm has, that an algorithm uses."""


class Schedule(BaseModel):
    """In which iterations a quantity is updated, counted from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(0, ge=0, description="first iteration with an update")
    stop: int | None = Field(None, ge=0, description="first iteration without one again; None: never")
    every: int = Field(1, ge=1, description="update in every n-th iteration only")

    def active(self, iteration: int) -> bool:
        """Say whether the quantity is updated in this iteration."""
        stopped = self.stop is not None and iteration >= self.stop
        return iteration >= self.start and not stopped and (iteration - self.start) % self.every == 0


class Update(BaseModel):
    """How one quantity (object or probe) is updated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="False leaves the quantity exactly as it is")
    step: float | None = Field(None, gt=0, le=2, description="length of the step; None: the algorithm's own")
    alpha: float | None = Field(None, ge=0, le=1, description="regularisation of rPIE; None: the algorithm's own")
    schedule: Schedule = Schedule()

    def active(self, iteration: int) -> bool:
        """Say whether the quantity is updated in this iteration."""
        return self.enabled and self.schedule.active(iteration)


class Recipe(BaseModel):
    """The settings of one reconstruction. The defaults suit a far-field scan with decent overlap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Algorithm = Field("rPIE", description="the update rule, a file of engine/algorithms")
    iterations: int = Field(100, ge=1, description="passes over all frames")
    batch: int | None = Field(None, ge=1, description="frames that share an update; None: chosen from the scan")
    batching: Batching | None = Field(None, description="how frames are grouped; None: the algorithm's own")
    noise: Noise | None = Field(None, description="what the counts scatter like; None: the algorithm's own")
    modes: int | None = Field(
        None, ge=1, le=64, description="incoherent probe modes; None: those of the starting probe"
    )
    probe: Literal["auto", "file"] | None = Field(
        None, description="start from the scan's probe (file) or from the data (auto); None: file where there is one"
    )
    relaxation: float | None = Field(
        None, gt=0, le=1, description="alpha of DM, beta of RAAR: how far to reflect; None: the algorithm's own"
    )
    settle: float | None = Field(
        None, ge=0, le=1, description="last part of the iterations, alternating projections; None: the algorithm's own"
    )
    object_update: Update = Update()
    probe_update: Update = Update()
    holdout: float = Field(0.05, ge=0, lt=0.5, description="fraction of the frames held out to judge the result")
    threads: int | None = Field(None, ge=1, description="threads; None: one for each core")
    seed: int = Field(0, ge=0, description="seed of everything random")

    @field_validator("algorithm", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return {name.lower(): name for name in USES}.get(str(value).lower(), value)

    @model_validator(mode="after")
    def _only_what_is_used(self) -> Self:
        optional = frozenset().union(*USES.values())
        for key in sorted(self.model_fields_set & optional - USES[self.algorithm]):
            if getattr(self, key) is not None:
                users = ", ".join(name for name, used in USES.items() if key in used)
                raise ValueError(f"{self.algorithm} does not use {key}; it is a setting of {users}")
        return self


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the given settings.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one) or a value out of its range.
    """
    try:
        return Recipe(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = list(Recipe.model_fields) + [f"object_update.{k}" for k in Update.model_fields]
        close = difflib.get_close_matches(key, known, n=1)
        unknown = first["type"] == "extra_forbidden"
        remedy = (
            f"Did you mean {close[0]}" if close and unknown else f"Known settings: {', '.join(Recipe.model_fields)}"
        )
        what = "Unknown setting" if unknown else f"Bad value of the setting {key}: {first['msg']}"
        raise InputError(what, found=key if unknown else repr(first["input"]), remedy=remedy) from None
