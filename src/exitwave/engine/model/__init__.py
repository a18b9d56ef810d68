"""The model of the real experiment: what is wrong or unknown beside object and probe, a module for each part.

A module has its settings, a `Refinement`, and two functions:

- ``prepare(state, problem, settings)`` gives a state what it has not got of the part, before a stage begins;
- ``update(state, told, settings, problem)`` refines it after an iteration, from what the frames have told;

and where once in an iteration is not enough, ``follow(state, frames, sums, settings, problem)``, after every pass.

An algorithm knows nothing of them. While it passes over the frames, `listen.Listening` writes down what these tell.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from exitwave.engine.model import scales, variations

REFINEMENTS: dict[str, ModuleType] = {"scale_update": scales, "variation_update": variations}
"""The modules by the setting of a stage that turns them on, in the order in which they refine."""


def refinements(stage: Any, iteration: int | None = None) -> Iterator[tuple[ModuleType, Any]]:
    """Yield the modules that a stage uses, or uses in one iteration, each with its settings."""
    for name, module in REFINEMENTS.items():
        settings = getattr(stage, name)
        if settings is not None and (iteration is None or settings.schedule.active(iteration)):
            yield module, settings
