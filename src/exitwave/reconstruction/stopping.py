"""When a stage ends, and which iteration is kept after a divergence."""

import math

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.arrays import copy
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.state import State
from exitwave.errors import Finding
from exitwave.findings import finding

DECAY = 0.4
"""Default last fraction of a stage in which the steps decay to reduce noise."""
IMPROVEMENT = 1e-3
"""Relative decrease of the held-out error that counts as an improvement."""
REMEDY = "Use smaller steps (object_update.step, probe_update.step), another algorithm or another starting probe"
"""Advice after a divergence."""
DIVERGED = 4.0
"""A reconstruction has diverged if its error is this many times the lowest one."""


class StopCriterion:
    """Decide from the errors of one stage when it ends, and keep its best iteration.

    Parameters
    ----------
    recipe : Recipe
        Limit of the time, and patience.
    stage : Stage
        Number of iterations, and decay.
    state : State
        State at the start of the stage, which is kept until an iteration is better.
    """

    def __init__(self, recipe: Recipe, stage: Stage, state: State) -> None:
        self._recipe, self._stage = recipe, stage
        self._decaying = "decay" not in ALGORITHMS.get(stage.algorithm).settings
        self._best_holdout = math.inf
        self._without_improvement = 0
        self._lowest = math.inf
        self._kept = copy(state.object), copy(state.probe)
        self._kept_model = state.model_arrays

    def decaying(self, iteration: int, seconds: float) -> bool:
        """Return whether an iteration belongs to the last part of the stage, in which steps decay."""
        start = 1 - (DECAY if self._stage.decay is None else self._stage.decay)
        late = iteration >= start * self._stage.iterations
        time_runs_out = self._recipe.seconds is not None and seconds >= start * self._recipe.seconds
        if (late or time_runs_out) and not self._decaying:
            self._start_decay()
        return self._decaying

    def reason_to_stop(self, state: State, error: float, holdout_error: float, seconds: float) -> str:
        """Return why the stage ends after this iteration; an empty string: it does not end.

        Returns
        -------
        str
            ``divergence``, ``seconds``, ``iterations``, ``patience``, or an empty string.
        """
        if not math.isfinite(error) or error > DIVERGED * self._lowest:
            return "divergence"
        if error < self._lowest:
            self._lowest = error
            self._keep(state)
        if self._recipe.seconds is not None and seconds >= self._recipe.seconds:
            return "seconds"
        if state.iteration >= self._stage.iterations:
            return "iterations"
        return "patience" if self._has_converged(error if math.isnan(holdout_error) else holdout_error) else ""

    def restore(self, state: State) -> Finding:
        """Restore the best iteration of the stage after a divergence, and return the finding."""
        state.object[:], state.probe[:] = self._kept
        for name, value in self._kept_model.items():
            setattr(state, name, value)
        found = f"the reconstruction diverged in iteration {state.iteration} of {self._stage.algorithm}"
        return finding("W235", "", found, "a decreasing error", f"The best iteration was kept. {REMEDY}")

    def _keep(self, state: State) -> None:
        """Keep the state as the best one."""
        self._kept[0][:], self._kept[1][:] = state.object, state.probe
        self._kept_model = state.model_arrays  # these arrays are never changed in place

    def _has_converged(self, error: float) -> bool:
        """Return whether the error has stopped decreasing; the first time this only starts the decay of the steps."""
        if self._recipe.patience is None:
            return False
        if error < (1 - IMPROVEMENT) * self._best_holdout:
            self._best_holdout, self._without_improvement = error, 0
            return False
        self._without_improvement += 1
        if self._without_improvement < self._recipe.patience:
            return False
        if self._decaying:
            return True
        self._start_decay()
        return False

    def _start_decay(self) -> None:
        """Start the decay of the steps, with a new count of iterations without improvement."""
        self._decaying, self._best_holdout, self._without_improvement = True, math.inf, 0
