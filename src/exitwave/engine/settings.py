"""Base classes of settings, the settings that several groups share, and the values that a setting accepts."""

from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A group of settings. It is frozen and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(Settings):
    """The iterations of a stage in which a quantity is updated, counted from 0."""

    start: int = Field(0, ge=0, description="first iteration with an update")
    stop: int | None = Field(None, ge=0, description="first iteration after the last update; None: no end")
    every: int = Field(1, ge=1, description="update in every n-th iteration only")

    def active(self, iteration: int) -> bool:
        """Return whether the quantity is updated in an iteration."""
        stopped = self.stop is not None and iteration >= self.stop
        return iteration >= self.start and not stopped and (iteration - self.start) % self.every == 0


class Update(Settings):
    """Settings of the update of one quantity, object or probe."""

    enabled: bool = Field(True, description="False: the quantity does not change")
    step: float | None = Field(None, gt=0, le=2, description="length of the step; None: the algorithm's default")
    alpha: float | None = Field(None, ge=0, le=1, description="regularisation of rPIE; None: the algorithm's default")
    schedule: Schedule = Schedule()

    def active(self, iteration: int) -> bool:
        """Return whether the quantity is updated in an iteration."""
        return self.enabled and self.schedule.active(iteration)


class ScheduledSettings(Settings):
    """Settings of a refinement or a constraint, with the iterations in which it is active."""

    schedule: Schedule = Schedule()


class RefinementSettings(ScheduledSettings):
    """Settings of a refinement, a part of the forward model that is refined after an iteration."""


_KINDS = {int: "a whole number", float: "a number", str: "a word"}
_LIMITS = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}


def accepted_values(kind: Any, limits: Iterable[Any] = ()) -> str:
    """Return the values that a setting accepts, for a message, e.g. ``a number above 0 and at most 2``.

    Parameters
    ----------
    kind : type
        Annotation of the setting.
    limits : iterable
        Its limits, as pydantic stores them in the metadata of a field.
    """
    *others, last = _options(kind, limits)
    return f"{', '.join(others)} or {last}" if others else last


def _options(kind: Any, limits: Iterable[Any]) -> list[str]:
    """Return the alternatives that a setting accepts."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _options(arguments[0], arguments[1].metadata)
    if origin in (Union, UnionType):
        return [text for option in arguments if option is not NoneType for text in _options(option, limits)]
    if origin is Literal:
        return [str(value) for value in arguments]
    if origin is tuple:
        return ["a list of groups of settings" if group_in(kind) else f"a list of {len(arguments)} numbers"]
    if kind is bool:
        return ["true", "false"]
    if group := group_in(kind):
        return [f"the settings {', '.join(group.model_fields)}"]
    bounds = [
        f"{words} {getattr(limit, name):g}"
        for limit in limits
        for name, words in _LIMITS.items()
        if hasattr(limit, name)
    ]
    return [f"{_KINDS.get(kind, 'a value')} {' and '.join(bounds)}".strip()]


def group_in(kind: Any) -> type[Settings] | None:
    """Return the class of settings in an annotation such as ``Update``, ``Affine | None`` or ``tuple[Stage, ...]``."""
    options = (kind, *get_args(kind))
    return next((option for option in options if isinstance(option, type) and issubclass(option, Settings)), None)
