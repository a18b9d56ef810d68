"""The model of the real experiment: what is wrong or unknown beside object and probe, a module for each part.

A module has its settings, a `Refinement`, and two functions:

- ``prepare(state, problem, settings)`` gives a state what it has not got of the part, before a stage begins;
- ``update(state, told, settings, problem)`` refines it after an iteration, from what the frames have told;

and where once in an iteration is not enough, ``follow(state, frames, sums, settings, problem)``, after every pass.

An algorithm knows nothing of them. While it passes over the frames, `listen.Listening` writes down what these tell; a
module that needs nothing told has ``ASKS = False``, and one that needs the object's derivatives ``SLOPES = True``.

Constraints are what is known beforehand of object and probe. They ask the frames nothing, and are imposed after an
iteration, last of all, on what it has updated.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from exitwave.engine.model import background, detector_distance, object_constraints, positions, probe_constraints
from exitwave.engine.model import intensities as probe_factors
from exitwave.engine.model import opr as opr_modes
from exitwave.engine.model import pointing as pointing
from exitwave.engine.model import slice_smoothing as smoothing
from exitwave.engine.model import slice_spacing as spacing
from exitwave.engine.problem import Problem
from exitwave.engine.state import State

REFINEMENTS: dict[str, ModuleType] = {
    "position_update": positions,
    "distance_update": detector_distance,
    "intensity_update": probe_factors,
    "opr_update": opr_modes,
    "pointing_update": pointing,
    "background_update": background,
    "spacing_update": spacing,
    "slice_smoothing": smoothing,
}
"""The modules by the setting of a stage that turns them on, in the order in which they refine."""
CONSTRAINTS = ("object_constraints", "probe_constraints")
"""The settings of a stage that constrain object and probe."""


def refinements(stage: Any, iteration: int | None = None) -> Iterator[tuple[ModuleType, Any]]:
    """Yield the modules that a stage uses, or uses after one iteration, each with its settings.

    ML refines the positions itself, together with object and probe.
    """
    for name, module in REFINEMENTS.items():
        settings = getattr(stage, name)
        if module is positions and stage.algorithm == "ML" and iteration is not None:
            continue
        if settings is not None and (iteration is None or settings.schedule.active(iteration)):
            yield module, settings


def check_constraints(problem: Problem, stage: Any) -> None:
    """Refuse what cannot be imposed on this problem."""
    if stage.probe_constraints is not None:
        probe_constraints.check(problem, stage.probe_constraints)


def constrain(state: State, problem: Problem, stage: Any) -> None:
    """Impose what a stage knows of object and probe after an iteration; a quantity that it did not update stays."""
    moved, lit = stage.object_update.active(state.iteration), stage.probe_update.active(state.iteration)
    of_object, of_probe = stage.object_constraints, stage.probe_constraints
    if lit and of_probe is not None and of_probe.schedule.active(state.iteration):
        probe_constraints.constrain(state, problem, of_probe, with_object=moved)
    if moved and of_object is not None and of_object.schedule.active(state.iteration):
        object_constraints.constrain(state, problem, of_object)
