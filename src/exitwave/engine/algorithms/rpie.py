"""rPIE in mini-batches.

For every batch B of frames, all at the same object and probe:

    O   <- O   + step_O * sum_jk conj(P_k) chi_jk / ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2)
    P_k <- P_k + step_P * sum_j  conj(O_j) chi_jk / ((1 - alpha_P) sum_j  |O_j|^2 + alpha_P max sum_j  |O_j|^2)

with chi_jk = psi'_jk - psi_jk the change that the measured amplitudes ask for, each term placed at its position. With
batches of one frame this is rPIE as in A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), table 1; alpha = 1 is
ePIE, and alpha -> 0 the least-squares solution of the batch.
"""

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.epie import choose, shared
from exitwave.engine.algorithms.momentum import STILL, Moving, velocity
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.02), Step(1.0, 1.0)
"""Length and alpha of the steps, where the stage does not say."""
DECAY_ALPHA = 0.5
"""A small alpha of the object is quick but keeps the noise of the last batches, a large one averages over many: so this
one is taken when the stage settles, where the stage does not say."""
BATCH, FEWEST_BATCHES = 64, 8
"""Frames that share an update, and updates in an iteration, where the stage does not say."""


def step(state: State, backend: Backend, stage: StageSettings, memory: Memory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    object_step = choose(stage.object_update, decay(shared(OBJECT, backend), state), state.iteration)
    probe_step = choose(stage.probe_update, PROBE, state.iteration)
    difference = signal = 0.0
    frames = backend.problem.used
    size = stage.batch or batch_size(frames)
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        misfit = update(state, backend, batch, object_step, probe_step)
        difference, signal = difference + misfit.difference, signal + misfit.signal
    return Misfit(difference, signal)


def decay(step: Step, state: State) -> Step:
    """Return the object's step, with the larger alpha when the stage settles."""
    return step._replace(alpha=DECAY_ALPHA) if state.decaying else step


def batch_size(frames: NDArray[np.int64]) -> int:
    """Return how many of the frames share an update, where the stage does not say."""
    return min(BATCH, max(1, len(frames) // FEWEST_BATCHES))


def update(
    state: State,
    backend: Backend,
    batch: NDArray[np.int64],
    object_step: Step | None,
    probe_step: Step | None,
    pushed: Moving = STILL,
) -> Misfit:
    """Update object and probe in place from one batch, with the velocities of their momenta; return its misfit."""
    sums = backend.gather(state, batch, object=object_step is not None, probe=probe_step is not None)
    if object_step:
        backend.descend(state.object, sums.object, sums.probe_density, object_step, velocity(pushed.object))
    if probe_step:
        backend.descend(state.probe, sums.probe, sums.object_density, probe_step, velocity(pushed.probe))
    return sums.misfit


ALGORITHM = Algorithm(
    "rPIE",
    step,
    settings=frozenset({"batch", "batching", "decay"}),
    slices=True,
    fly_scan=True,
)
