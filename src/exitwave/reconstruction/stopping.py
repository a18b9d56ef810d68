"""When a stage ends, and what is left when it goes wrong."""

import math

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.arrays import copy
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.state import State
from exitwave.errors import Finding
from exitwave.findings import finding

DECAY = 0.4
"""Last part of a stage, in which its algorithm settles: it trades speed for less noise."""
IMPROVEMENT = 1e-3
"""Relative decrease of the held-out error that counts as an improvement."""
REMEDY = "Take smaller steps (object_update.step, probe_update.step), another algorithm or another starting probe"
"""What to do when a reconstruction diverges."""
EXPLOSION = 4.0
"""An error so many times the least one is a divergence."""


class Watch:
    """Watch the errors of one stage.

    Parameters
    ----------
    recipe : Recipe
        Its time and patience.
    stage : Stage
        Its number of iterations.
    state : State
        Where it starts; kept until something better is found.
    """

    def __init__(self, recipe: Recipe, stage: Stage, state: State) -> None:
        self._recipe, self._stage = recipe, stage
        self._decaying = "decay" not in ALGORITHMS.get(stage.algorithm).settings
        self._best = math.inf
        self._since = 0
        self._least = math.inf
        self._good = copy(state.object), copy(state.probe)
        self._own = state.model_arrays

    def decaying(self, iteration: int, seconds: float) -> bool:
        """Say whether the iteration belongs to the last part of the stage."""
        start = 1 - (DECAY if self._stage.decay is None else self._stage.decay)
        late = iteration >= start * self._stage.iterations
        time_runs_out = self._recipe.seconds is not None and seconds >= start * self._recipe.seconds
        if (late or time_runs_out) and not self._decaying:
            self._decaying, self._best, self._since = True, math.inf, 0
        return self._decaying

    def look(self, state: State, error: float, holdout: float, seconds: float) -> str:
        """Return why the stage ends after this iteration, or nothing.

        Returns
        -------
        str
            ``divergence``, ``seconds``, ``iterations``, ``patience``, or an empty string.
        """
        if not math.isfinite(error) or error > EXPLOSION * self._least:
            return "divergence"
        if error < self._least:
            self._least = error
            self._keep(state)
        if self._recipe.seconds is not None and seconds >= self._recipe.seconds:
            return "seconds"
        if state.iteration >= self._stage.iterations:
            return "iterations"
        return "patience" if self._exhausted(error if math.isnan(holdout) else holdout) else ""

    def restore(self, state: State) -> Finding:
        """Put the best object and probe of the stage back, and return what to tell the user."""
        state.object[:], state.probe[:] = self._good
        for name, value in self._own.items():
            setattr(state, name, value)
        found = f"the reconstruction diverged in iteration {state.iteration} of {self._stage.algorithm}"
        return finding("W235", "", found, "a falling error", f"The best iteration was kept. {REMEDY}")

    def _keep(self, state: State) -> None:
        self._good[0][:], self._good[1][:] = state.object, state.probe
        self._own = state.model_arrays  # never changed in place

    def _exhausted(self, error: float) -> bool:
        """Say whether the error has stopped falling for good; the first time only makes the stage settle."""
        if self._recipe.patience is None:
            return False
        if error < (1 - IMPROVEMENT) * self._best:
            self._best, self._since = error, 0
            return False
        self._since += 1
        if self._since < self._recipe.patience:
            return False
        if self._decaying:
            return True
        self._decaying, self._best, self._since = True, math.inf, 0
        return False
