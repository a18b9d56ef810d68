"""rPIE: the regularised ptychographic iterative engine, with an update after every mini-batch.

For every batch B of frames, with all corrections taken at the same object and probe:

    O   <- O   + step_O * sum_jk conj(P_k) chi_jk / ((1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2)
    P_k <- P_k + step_P * sum_j  conj(O_j) chi_jk / ((1 - alpha_P) sum_j  |O_j|^2 + alpha_P max sum_j  |O_j|^2)

chi_jk = psi'_jk - psi_jk is the correction of the exit wave; each term of the sums over j is placed at the position of
its frame. With batches of one frame this is rPIE as in A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), table
1. alpha = 1 is ePIE, and alpha -> 0 is the least-squares solution of the batch.
"""

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches, default_batch_size
from exitwave.engine.algorithms.momentum import NO_MOMENTA, Momenta, velocity_of
from exitwave.engine.algorithms.step_decay import with_larger_alpha
from exitwave.engine.algorithms.steps import active_step, per_slice
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.02), Step(1.0, 1.0)
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
        misfit = update(state, backend, batch, object_step, probe_step)
        difference, signal = difference + misfit.difference, signal + misfit.signal
    return Misfit(difference, signal)


def update(
    state: State,
    backend: Backend,
    batch: NDArray[np.int64],
    object_step: Step | None,
    probe_step: Step | None,
    momenta: Momenta = NO_MOMENTA,
) -> Misfit:
    """Update object and probe in place from one batch, add the steps to the momenta, and return the batch's misfit."""
    sums = backend.gather(state, batch, object=object_step is not None, probe=probe_step is not None)
    if object_step:
        backend.descend(state.object, sums.object, sums.probe_density, object_step, velocity_of(momenta.object))
    if probe_step:
        backend.descend(state.probe, sums.probe, sums.object_density, probe_step, velocity_of(momenta.probe))
    return sums.misfit


ALGORITHM = Algorithm(
    "rPIE",
    step,
    settings=frozenset({"batch", "batching", "decay"}),
    slices=True,
    fly_scan=True,
)
