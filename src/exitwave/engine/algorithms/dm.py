"""The difference map, with exit waves of their own for every frame.

    psi <- psi_F + alpha (psi - Pi_O psi),   psi_F = Pi_F [ Pi_O psi - alpha (psi - Pi_O psi) ]

Pi_O psi = P O is the nearest wave that one object and one probe explain, Pi_F sets the measured amplitudes. The wave
that the overlap rejects, psi - Pi_O psi, is taken off before the amplitudes are set, and put back after. alpha = 1 is
the difference map of P. Thibault et al., Science 321, 379 (2008) and Ultramicroscopy 109, 338 (2009),

    psi <- psi + Pi_F (2 Pi_O psi - psi) - Pi_O psi = [ R_F R_O + 1 ] / 2 psi,   R = 2 Pi - 1,

and alpha = 0 alternating projections, Pi_F Pi_O. With noise no wave satisfies both, and at alpha = 1 the waves drift
away along the gap, without end; below 1 the rejected wave comes to at most alpha / (1 - alpha) times the gap.

Collected, psi <- alpha psi - alpha Pi_O psi + Pi_F [(1 + alpha) Pi_O psi - alpha psi]: the `Weights` below.
"""

from exitwave.engine.algorithms import projections
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.backend import Backend, Misfit, ProjectionWeights
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import State

ALPHA = 0.9
"""Relaxation, where the stage does not say."""


def step(state: State, backend: Backend, stage: StageSettings, memory: projections.ExitWaves) -> Misfit:
    """Do one iteration in place and return its misfit."""
    alpha = ALPHA if stage.relaxation is None else stage.relaxation
    return projections.iterate(state, backend, stage, memory, weights(alpha))


def weights(alpha: float) -> ProjectionWeights:
    """Return the difference map as a `Weights`."""
    return ProjectionWeights(-alpha, 1.0, 1.0 + alpha)


ALGORITHM = Algorithm(
    "DM",
    step,
    settings=frozenset({"relaxation", "decay"}),
    memory=projections.ExitWaves,
    keeps_waves=True,
)
