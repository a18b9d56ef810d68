"""PIE: the ptychographic iterative engine, with an update after every mini-batch.

For every batch B of frames, with all corrections taken at the same object and probe:

    O   <- O   + step_O sqrt(W / max W) * sum_jk conj(P_k) chi_jk / (W + alpha_O max W),   W = sum_jk |P_k|^2
    P_k <- P_k + step_P sqrt(V / max V) * sum_j  conj(O_j) chi_jk / (V + alpha_P max V),   V = sum_j  |O_j|^2

chi_jk = psi'_jk - psi_jk is the correction of the exit wave. With batches of one frame and one mode the first line is
J. M. Rodenburg and H. M. L. Faulkner, Appl. Phys. Lett. 85, 4795 (2004), with the weight
|P| / max|P| * conj(P) / (|P|^2 + alpha max|P|^2). There the probe is known (``probe_update.enabled`` false); the second
line applies the same weight to an unknown probe.
"""

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches, default_batch_size
from exitwave.engine.algorithms.step_decay import with_larger_alpha
from exitwave.engine.algorithms.steps import active_step, per_slice
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.005), Step(1.0, 0.1)
"""Default length and alpha of the steps."""


def step(state: State, backend: Backend, stage: StageSettings, memory: Memory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    object_default = with_larger_alpha(per_slice(OBJECT, backend), state)
    object_step = active_step(stage.object_update, object_default, state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    difference = signal = 0.0
    frames = backend.problem.used
    size = stage.batch or default_batch_size(len(frames))
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        sums = backend.gather(state, batch, object=object_step is not None, probe=probe_step is not None)
        if object_step:
            descend(backend, state.object, sums.object, sums.probe_density, object_step)
        if probe_step:
            descend(backend, state.probe, sums.probe, sums.object_density, probe_step)
        difference, signal = difference + sums.misfit.difference, signal + sums.misfit.signal
    return Misfit(difference, signal)


def descend(
    backend: Backend,
    target: NDArray[np.complexfloating],
    numerator: NDArray[np.complexfloating],
    denominator: NDArray[np.floating],
    step: Step,
) -> None:
    """Add the step of PIE to the target in place.

    It is the step of `Backend.descend` with a weighted numerator and rescaled length and alpha.
    """
    weight = (denominator / backend.problem.tile.largest(denominator)) ** 0.5
    rescaled = Step(step.length / (1 + step.alpha), step.alpha / (1 + step.alpha))
    backend.descend(target, weight * numerator, denominator, rescaled)


ALGORITHM = Algorithm(
    "PIE",
    step,
    iterations=150,
    settings=frozenset({"batch", "batching", "decay"}),
    slices=True,
    fly_scan=True,
)
