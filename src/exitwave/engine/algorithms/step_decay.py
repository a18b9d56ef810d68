"""How steps shrink while a stage settles.

The k-th settling iteration takes steps of

    length / (1 + k),   k = 1, 2, ...

With steps of one length, object and probe go on following the noise of the last few frames for ever. Lengths whose sum
is infinite and whose squares' sum is not reach the mean over all frames: H. Robbins and S. Monro, Ann. Math. Stat. 22,
400 (1951). With 1 / k a pixel becomes the running mean of all that the frames have asked for, so that nothing need be
kept or averaged; cf. B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30, 838 (1992).
"""

from exitwave.engine.backend import Step
from exitwave.engine.state import State


def decayed(step: Step | None, state: State) -> Step | None:
    """Return the step, shorter in every iteration of the part in which the stage settles."""
    if step is None or not state.decaying:
        return step
    if state.decay_start is None:
        state.decay_start = state.iteration
    return step._replace(length=step.length / (2 + state.iteration - state.decay_start))
