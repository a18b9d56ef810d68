"""The step decay at the end of a stage, which reduces the noise of object and probe.

The k-th iteration of the decay takes steps of

    length / (1 + k),   k = 1, 2, ...

With steps of constant length, object and probe follow the noise of the last few frames in every iteration. Lengths
whose sum is infinite and whose sum of squares is finite converge to the mean over all frames: H. Robbins and S. Monro,
Ann. Math. Stat. 22, 400 (1951). With 1 / k a pixel becomes the running mean of the corrections of all frames, so that
nothing need be stored or averaged; cf. B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30, 838 (1992).

rPIE and PIE increase alpha of the object instead. A small alpha converges fast, but keeps the noise of the last
batches; a large alpha averages over many batches.
"""

from exitwave.engine.backend import Step
from exitwave.engine.state import State

DECAY_ALPHA = 0.5
"""Default of the object's alpha during the decay of rPIE and PIE."""


def shortened(step: Step | None, state: State) -> Step | None:
    """Return the step of this iteration, which is shorter in every further iteration of the decay."""
    if step is None or not state.decaying:
        return step
    if state.decay_start is None:
        state.decay_start = state.iteration
    return step._replace(length=step.length / (2 + state.iteration - state.decay_start))


def with_larger_alpha(step: Step, state: State) -> Step:
    """Return the default step of the object, with `DECAY_ALPHA` during the decay."""
    return step._replace(alpha=DECAY_ALPHA) if state.decaying else step
