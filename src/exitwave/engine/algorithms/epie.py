"""ePIE, one frame after the other.

For every frame j, in random order, with chi_jk = psi'_jk - psi_jk the change that the measured amplitudes ask for:

    O_j <- O_j + step_O * sum_k conj(P_k) chi_jk / max sum_k |P_k|^2
    P_k <- P_k + step_P * conj(O_j) chi_jk       / max |O_j|^2

A. M. Maiden and J. M. Rodenburg, Ultramicroscopy 109, 1256 (2009). With alpha below 1 the denominators become those of
rPIE, (1 - alpha) |P|^2 + alpha max |P|^2; see `rpie`.
"""

from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.step_decay import decayed
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.settings import Update
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.8, 1.0), Step(0.1, 1.0)
"""Length and alpha of the steps, where the stage does not say. An object's step is too long from 2 on. The probe
sees every frame: a long step would follow the noise of the last one."""


def step(state: State, backend: Backend, stage: StageSettings, memory: Memory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    order = state.rng.permutation(backend.problem.used)
    return backend.sequential(
        state,
        order,
        decayed(choose(stage.object_update, shared(OBJECT, backend), state.iteration), state),
        decayed(choose(stage.probe_update, PROBE, state.iteration), state),
    )


def shared(step: Step, backend: Backend) -> Step:
    """Return the object's step, for several slices of a thick sample a part for each.

    They step at the same time from the same chi, and each alone could take all of it.
    """
    slices = backend.problem.slices
    return step._replace(length=step.length / slices.number) if slices else step


def choose(update: Update, default: Step, iteration: int) -> Step | None:
    """Return the step of this iteration, or None where the quantity is left alone."""
    if not update.active(iteration):
        return None
    length = default.length if update.step is None else update.step
    alpha = default.alpha if update.alpha is None else update.alpha
    return Step(length, alpha)


ALGORITHM = Algorithm(
    "ePIE",
    step,
    settings=frozenset({"decay"}),
    slices=True,
    processes=False,
)
