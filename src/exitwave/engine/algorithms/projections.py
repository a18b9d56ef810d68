"""What the projection algorithms share: exit waves of their own for every frame, and two projections between them.

An iteration takes the waves one step with the algorithm's `Weights`, and then projects them on the overlap: object and
probe become those whose product comes closest to the waves, first the object and then, with it, the probe,

    O   <- O   + step_O * sum_jk conj(P_k) (psi_jk - P_k O_j) / D_O
    P_k <- P_k + step_P * sum_j  conj(O_j) (psi_jk - P_k O_j) / D_P

    D_O = (1 - alpha_O) sum_jk |P_k|^2 + alpha_O max sum_jk |P_k|^2,  and D_P the same with sum_j |O_j|^2

A step of 1 is (sum conj(P) psi + iota O) / (sum |P|^2 + iota), with an inertia iota = alpha (max - sum |P|^2) that acts
where the beam hardly was. Written with differences it leaves exact waves exactly alone, at sub-pixel positions too.
(Further turns of object and probe in an iteration were tried, and changed nothing.)

Noise leaves a gap between the two sets of waves, and reflections settle at a distance of several gaps from both: their
object is noisy, whatever the number of iterations, and an average over the last of them is no better, for they do not
differ. So the last iterations are alternating projections, psi <- Pi_F Pi_O psi, which go on to the object and probe
of least error nearby.
"""

from dataclasses import dataclass
from typing import Any

from exitwave.engine.algorithms.epie import choose
from exitwave.engine.backend import Backend, Misfit, ProjectionWeights, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import Memory, State

OBJECT, PROBE = Step(1.0, 0.01), Step(1.0, 0.01)
"""Length and alpha of the steps of the overlap projection, where the stage does not say."""
ALTERNATING = ProjectionWeights(0.0, 1.0, 1.0)
"""psi <- Pi_F Pi_O psi."""


@dataclass
class ExitWaves(Memory):
    """The exit waves of all frames, shape (frames, modes, ny, nx), from the first iteration on."""

    waves: Any = None


def iterate(
    state: State, backend: Backend, stage: StageSettings, memory: ExitWaves, weights: ProjectionWeights
) -> Misfit:
    """Take the exit waves one step, project them on the overlap, and return the misfit that the model had before."""
    frames = backend.problem.used
    if state.decaying:
        weights = ALTERNATING
    if memory.waves is None:
        memory.waves = backend.allocate_waves((len(frames), *state.probe.shape))
        # the same step from psi = P O, where Pi_O psi = psi, needs no waves yet
        weights = ProjectionWeights(1 - weights.b, weights.b, 1.0)
    waves = memory.waves
    object_step = choose(stage.object_update, OBJECT, state.iteration)
    probe_step = choose(stage.probe_update, PROBE, state.iteration)
    # the sums for the first of the two updates cost no pass of their own
    probe_first = object_step is None and probe_step is not None
    sums = backend.project(state, frames, waves, weights, object=object_step is not None, probe=probe_first)
    misfit = sums.misfit
    if object_step:
        backend.descend(state.object, sums.object, sums.probe_density, object_step)
    if object_step and probe_step:
        sums = backend.project(state, frames, waves, None, object=False)
    if probe_step:
        backend.descend(state.probe, sums.probe, sums.object_density, probe_step)
    return misfit
