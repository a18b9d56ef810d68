"""When a stage ends, and which of its iterations is kept.

With `Recipe.patience` a stage ends when the score of the held-out frames (`score`) has stopped improving; without
held-out frames, when the error metric has. The last iteration is kept, unless the score of an earlier one is clearly
better. Without patience a stage has its fixed number of iterations, and its last iteration is kept, unless it
diverges.
"""

import math
from dataclasses import dataclass
from typing import Any

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.arrays import copy
from exitwave.engine.backend import Backend
from exitwave.engine.recipe import Recipe, Stage
from exitwave.engine.state import MODEL_FIELDS, State
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.reconstruction.score import Score, Scorer

DECAY = 0.4
"""Default last fraction of a stage in which the steps decay to reduce noise."""
IMPROVEMENT = 0.04
"""Relative decrease of the excess deviance that counts as an improvement: the error of the object, whose square is
proportional to it, decreases by 2 %."""
LEAST_DECREASE = 1e-3
"""Relative decrease of the error metric that counts as an improvement if no frame is held out."""
LEAST_EXCESS = 0.002
"""Smallest excess deviance relative to the deviance, so that differences far below the noise do not count."""
REMEDY = "Use smaller steps (object_update.step, probe_update.step), another algorithm or another starting probe"
"""Advice after a divergence."""
DIVERGED = 4.0
"""A reconstruction has diverged if its error is this many times the lowest one."""


@dataclass
class Kept:
    """A copy of object, probe and refined parameters of a state."""

    object: Any
    probe: Any
    model: dict[str, Any]

    @classmethod
    def copy_of(cls, state: State) -> "Kept":
        """Return a copy of a state."""
        return cls(copy(state.object), copy(state.probe), state.model_arrays)

    def replace_by(self, state: State) -> None:
        """Keep another state."""
        self.object[:], self.probe[:] = state.object, state.probe
        self.model = state.model_arrays  # these arrays are never changed in place

    def restore(self, state: State) -> None:
        """Write the copy into a state."""
        state.object[:], state.probe[:] = self.object, self.probe
        for name in MODEL_FIELDS:
            setattr(state, name, self.model.get(name))


class StopCriterion:
    """Decide from errors and scores of one stage when it ends, and keep its best iteration.

    Parameters
    ----------
    recipe : Recipe
        Limit of the time, and patience.
    stage : Stage
        Number of iterations, and decay.
    state : State
        State at the start of the stage, which is kept until an iteration is better.
    scorer : Scorer
        Computes the scores.
    backend : Backend
        The backend of the stage.
    """

    _GIVEN = ("_recipe", "_stage", "_scorer", "_backend")

    def __init__(self, recipe: Recipe, stage: Stage, state: State, scorer: Scorer, backend: Backend) -> None:
        self._recipe, self._stage, self._scorer, self._backend = recipe, stage, scorer, backend
        self._decaying = "decay" not in ALGORITHMS.get(stage.algorithm).settings
        self._lowest, self._kept = math.inf, Kept.copy_of(state)
        self._best = scorer.score(state, backend) if recipe.patience else None
        self._reference: Score | None = None
        self._reference_error, self._excess, self._without_improvement = math.inf, 0.0, 0
        starts = [settings.schedule.start for settings in stage.refinements.values()]
        self._first = max((start + (recipe.patience or 0) for start in starts if start), default=0)

    def snapshot(self) -> dict[str, Any]:
        """Return what the next decision depends on, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name not in self._GIVEN}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        vars(self).update(snapshot)

    def decaying(self, iteration: int, seconds: float) -> bool:
        """Return whether an iteration belongs to the last part of the stage, in which steps decay."""
        start = 1 - (DECAY if self._stage.decay is None else self._stage.decay)
        late = iteration >= start * self._stage.iterations
        time_runs_out = self._recipe.seconds is not None and seconds >= start * self._recipe.seconds
        if (late or time_runs_out) and not self._decaying:
            self._start_decay()
        return self._decaying

    def reason_to_stop(self, state: State, error: float, score: Score, seconds: float) -> str:
        """Return why the stage ends after this iteration; an empty string: it does not end.

        Returns
        -------
        str
            ``divergence``, ``seconds``, ``iterations``, ``converged``, or an empty string.
        """
        if not math.isfinite(error) or error > DIVERGED * self._lowest:
            return "divergence"
        self._keep(state, error, score)
        if self._recipe.seconds is not None and seconds >= self._recipe.seconds:
            return "seconds"
        if state.iteration >= self._stage.iterations:
            return "iterations"
        return "converged" if self._recipe.patience and self._has_converged(state, error, score) else ""

    def restore_best(self, state: State, last: Score) -> Score:
        """Restore the iteration with the lowest score if the last one is clearly worse.

        Otherwise the last one is kept: it has converged further in what the held-out frames hardly determine. Returns
        the score of the state.
        """
        if self._best is None or math.isnan(last.value):
            return last
        if not self._best.is_below(last, IMPROVEMENT * self._excess):
            return last
        self._kept.restore(state)
        return self._best

    def undo_divergence(self, state: State) -> Finding:
        """Restore the best iteration of the stage after a divergence, and return the finding."""
        found = f"the reconstruction diverged in iteration {state.iteration} of {self._stage.algorithm}"
        self._kept.restore(state)
        return finding("W235", "", found, "a decreasing error", f"The best iteration was kept. {REMEDY}")

    def _keep(self, state: State, error: float, score: Score) -> None:
        """Keep the state if it is the best one: by its score, or by the error if there are no scores to judge it."""
        if self._best is None or math.isnan(score.value):
            better = error < self._lowest
        else:
            better = score.value < self._best.value
            self._best = score if better else self._best
        if better:
            self._kept.replace_by(state)
        self._lowest = min(self._lowest, error)

    def _has_converged(self, state: State, error: float, score: Score) -> bool:
        """Return whether the score has stopped decreasing; the first time this only starts the decay of the steps."""
        if self._has_improved(state, error, score) or state.iteration <= self._first:
            self._without_improvement = 0
            return False
        self._without_improvement += 1
        if self._without_improvement < (self._recipe.patience or 0):
            return False
        if self._decaying:
            return True
        self._start_decay()
        return False

    def _has_improved(self, state: State, error: float, score: Score) -> bool:
        """Return whether the score is lower than the reference by more than its noise; then it is the new reference."""
        if math.isnan(score.value):  # no frame is held out
            improved = error < (1 - LEAST_DECREASE) * self._reference_error
            self._reference_error = error if improved else self._reference_error
            return improved
        if self._reference is not None and not score.is_below(self._reference, IMPROVEMENT * self._excess):
            return False
        self._reference = score
        excess = score.value - self._scorer.used_deviance(state, self._backend)
        self._excess = max(excess, LEAST_EXCESS * score.value)
        return True

    def _start_decay(self) -> None:
        """Start the decay of the steps, with a new reference."""
        self._decaying, self._without_improvement = True, 0
        self._reference, self._reference_error = None, math.inf
