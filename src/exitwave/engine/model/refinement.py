"""Interface of a refinement: a part of the forward model, besides object and probe, that is refined from the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings
from exitwave.engine.state import Memory, State

M = TypeVar("M", bound=Memory)


@dataclass(frozen=True)
class Refinement(Generic[M]):
    """A refinement. Each file of `exitwave.engine.model` with ``REFINEMENT`` and each plug-in defines one."""

    name: str
    """Name of the setting of a stage that turns it on."""
    settings: type[RefinementSettings]
    """Class of its settings."""
    initialise: Callable[[State, Problem, Any], None]
    """Adds the arrays of the refinement to a state that lacks them, before the first iteration of a stage. Called with
    the state, the problem and the settings. Raises `InputError` if the refinement does not support the problem."""
    update: Callable[[State, Any, Any, Problem, M], None]
    """Refines after an iteration. Called with the state (object and probe are NumPy arrays), the `Responses` of the
    iteration (None without ``needs_responses``), the settings, the problem and the memory."""
    description: str = ""
    """One line for the list of settings."""
    memory: Callable[[], M] = Memory  # type: ignore[assignment]
    """Returns a new memory, at the start of a stage: what is kept from one iteration to the next."""
    after_pass: Callable[..., None] | None = None
    """Called after every pass over frames that are not held out, with the state, the frames, their `Sums`, the settings
    and the problem. For refinements that need more than one update in an iteration."""
    order: int = 100
    """The refinements run in ascending order after an iteration."""
    needs_responses: bool = True
    """Whether it needs the responses of the frames."""
    needs_gradients: bool = False
    """Whether it needs the responses that contain the object's gradients."""
