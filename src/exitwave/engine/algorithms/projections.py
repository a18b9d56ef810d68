"""The iteration that DM and RAAR share: stored exit waves for every frame, and two projections.

An iteration first advances the exit waves by one step with the `ProjectionWeights` of the algorithm. Then it projects
them onto the overlap constraint: object and probe become those whose product is closest to the waves, first the object
and then, with the new object, the probe,

    O   <- O   + step_O * sum_jk conj(P_k) (psi_jk - P_k O_j) / D_O
    P_k <- P_k + step_P * sum_j  conj(O_j) (psi_jk - P_k O_j) / D_P

    D_O = (1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2,  and D_P the same with sum_j |O_j|^2

A step of length 1 is (sum conj(P) psi + iota O) / (sum |P|^2 + iota), with an inertia iota = alpha (max - sum |P|^2)
that acts where the illumination is weak. In the form with differences, exact waves are a fixed point at sub-pixel
positions too. (More than one update of object and probe in an iteration was tried, and did not change the result.)

With noise no wave satisfies both constraints: there is a gap between the two sets, and reflections converge to waves at
a distance of several gaps from both. Their object is noisy for any number of iterations, and an average over the last
iterations does not help, because these do not differ. So the step decay of a stage uses alternating projections,
psi <- Pi_F Pi_O psi, which converge to the nearest object and probe of least error.
"""

from dataclasses import dataclass
from typing import Any

from exitwave.engine.algorithms.steps import active_step
from exitwave.engine.backend import Backend, Misfit, ProjectionWeights, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.01), Step(1.0, 0.01)
"""Default length and alpha of the steps of the overlap projection."""
ALTERNATING = ProjectionWeights(0.0, 1.0, 1.0)
"""psi <- Pi_F Pi_O psi."""


@dataclass
class ExitWaves(Memory):
    """The memory of an algorithm that stores exit waves."""

    waves: Any = None
    """Exit waves of all used frames, shape (frames, modes, ny, nx), see `Backend.project`; None: before the first
    iteration."""


def iterate(
    state: State, backend: Backend, stage: StageSettings, memory: ExitWaves, weights: ProjectionWeights
) -> Misfit:
    """Advance the exit waves by one step, project them onto the overlap, and return the misfit before it.

    Parameters
    ----------
    state : State
        The state; object and probe are updated in place.
    backend : Backend
        The passes over frames.
    stage : StageSettings
        The settings of the stage.
    memory : ExitWaves
        The stored exit waves.
    weights : ProjectionWeights
        The step of the algorithm; not used during the step decay.
    """
    frames = backend.problem.used
    if state.decaying:
        weights = ALTERNATING
    if memory.waves is None:
        memory.waves = backend.allocate_waves((len(frames), *state.probe.shape))
        # the same step from psi = P O: there Pi_O psi = psi, so that no stored waves are needed
        weights = ProjectionWeights(1 - weights.b, weights.b, 1.0)
    object_step = active_step(stage.object_update, OBJECT, state.iteration)
    probe_step = active_step(stage.probe_update, PROBE, state.iteration)
    # the pass that advances the waves also sums for the first of the two updates
    probe_first = object_step is None and probe_step is not None
    sums = backend.project(state, frames, memory.waves, weights, object=object_step is not None, probe=probe_first)
    misfit = sums.misfit
    if object_step:
        backend.descend(state.object, sums.object, sums.probe_density, object_step)
    if object_step and probe_step:
        sums = backend.project(state, frames, memory.waves, None, object=False)
    if probe_step:
        backend.descend(state.probe, sums.probe, sums.object_density, probe_step)
    return misfit
