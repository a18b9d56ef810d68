"""ePIE: the extended ptychographic iterative engine, with an update after every frame.

For every frame j, in random order, with the correction chi_jk = psi'_jk - psi_jk of the exit wave:

    O_j <- O_j + step_O * sum_k conj(P_k) chi_jk / max sum_k |P_k|^2
    P_k <- P_k + step_P * conj(O_j) chi_jk       / max |O_j|^2

A. M. Maiden and J. M. Rodenburg, Ultramicroscopy 109, 1256 (2009). With alpha below 1 the denominators become those of
rPIE, (1 - alpha) |P|^2 + alpha max |P|^2; see `rpie`.
"""

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.step_decay import shortened
from exitwave.engine.algorithms.steps import active_step, per_slice
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.8, 1.0), Step(0.1, 1.0)
"""Default length and alpha of the steps. The object diverges from a length of 2 on. The probe is updated by every
frame, so that with long steps it would follow the noise of the last frame."""


def step(state: State, backend: Backend, stage: StageSettings, memory: Memory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    order = state.rng.permutation(backend.problem.used)
    object_step = active_step(stage.object_update, per_slice(OBJECT, backend), state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    return backend.sequential(state, order, shortened(object_step, state), shortened(probe_step, state))


ALGORITHM = Algorithm(
    "ePIE",
    step,
    settings=frozenset({"decay"}),
    slices=True,
    processes=False,
)
