"""Run the iterations of a stage: the algorithm, then the refinements, then the constraints."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.algorithm import Algorithm, Runner
from exitwave.engine.backend import Backend, Misfit, Sums
from exitwave.engine.model import object_constraints, probe_constraints
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.registry import in_order
from exitwave.engine.model.responses import RecordingBackend, Responses
from exitwave.engine.problem import Problem
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State, arrays_on_host

Active = list[tuple[Refinement[Any], Any, Memory]]
"""Refinements with their settings and memories."""


class StageRunner:
    """Runs the iterations of one stage.

    Parameters
    ----------
    algorithm : Algorithm
        The algorithm.
    stage : StageSettings
        The settings of the stage.
    state : State
        The state. Its counters are set to 0, and the refinements add the arrays that it lacks.
    problem : Problem
        The problem.

    Raises
    ------
    InputError
        If a refinement or a constraint does not support the problem.
    """

    def __init__(self, algorithm: Algorithm[Any], stage: StageSettings, state: State, problem: Problem) -> None:
        state.iteration, state.decaying, state.decay_start, state.restarts = 0, False, None, 0
        self._algorithm, self._stage, self._runner = algorithm, stage, Runner(algorithm, stage)
        self._refinements: Active = [
            (refinement, settings, refinement.memory())
            for refinement in in_order()
            if (settings := stage.refinement(refinement.name)) is not None
        ]
        self._constraint_memory = probe_constraints.ConstraintMemory()
        self._restarts = 0
        if stage.probe_constraints is not None:
            probe_constraints.check(problem, stage.probe_constraints)
        for refinement, settings, _ in self._refinements:
            refinement.initialise(state, problem, settings)

    def iterate(self, state: State, backend: Backend) -> Misfit:
        """Do one iteration, run the refinements and impose the constraints; return the misfit before it."""
        if state.restarts != self._restarts:
            self._restarts = state.restarts
            for *_, memory in self._refinements:
                memory.restart()
        active = self._active(state.iteration)
        if any(refinement.needs_responses for refinement, *_ in active):
            misfit, responses = self._iterate_and_record(state, backend, active)
        else:
            misfit, responses = self._runner.iterate(state, backend), None
        if active:
            with arrays_on_host(state):
                for refinement, settings, memory in active:
                    refinement.update(state, responses, settings, backend.problem, memory)
        if self._stage.object_constraints or self._stage.probe_constraints:
            with arrays_on_host(state):
                self._constrain(state, backend.problem)
        return misfit

    def snapshot(self) -> dict[str, Any]:
        """Return what the next iteration depends on beside the state, for a checkpoint."""
        return {
            "runner": self._runner.snapshot(),
            "refinements": {refinement.name: vars(memory) for refinement, _, memory in self._refinements},
            "constraints": vars(self._constraint_memory),
            "restarts": self._restarts,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._runner.restore(snapshot["runner"])
        for refinement, _, memory in self._refinements:
            vars(memory).update(snapshot["refinements"][refinement.name])
        vars(self._constraint_memory).update(snapshot["constraints"])
        self._restarts = snapshot["restarts"]

    def _active(self, iteration: int) -> Active:
        """Return the refinements of an iteration, without that of positions if the algorithm refines them itself."""
        excluded = "position_update" if self._algorithm.refines_positions else ""
        return [
            (refinement, settings, memory)
            for refinement, settings, memory in self._refinements
            if settings.schedule.active(iteration) and refinement.name != excluded
        ]

    def _iterate_and_record(self, state: State, backend: Backend, active: Active) -> tuple[Misfit, Responses]:
        """Do one iteration, and return its misfit and the responses of the frames."""

        def after_pass(frames: NDArray[np.int64], sums: Sums) -> None:
            for refinement, settings, _ in active:
                if refinement.after_pass is not None:
                    refinement.after_pass(state, frames, sums, settings, backend.problem)

        gradients = any(refinement.needs_gradients for refinement, *_ in active)
        recording = RecordingBackend(backend, state, gradients, after_pass)
        misfit = self._runner.iterate(state, recording)
        return misfit, recording.complete(state)

    def _constrain(self, state: State, problem: Problem) -> None:
        """Impose the constraints on the quantities that the iteration has updated."""
        updated, stage = self._stage.updated(state.iteration), self._stage
        of_object, of_probe = stage.object_constraints, stage.probe_constraints
        if "probe" in updated and of_probe is not None and of_probe.schedule.active(state.iteration):
            both = "object" in updated
            probe_constraints.constrain(state, problem, of_probe, self._constraint_memory, with_object=both)
        if "object" in updated and of_object is not None and of_object.schedule.active(state.iteration):
            object_constraints.constrain(state, problem, of_object)
