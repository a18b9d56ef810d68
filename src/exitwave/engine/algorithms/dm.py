"""DM: the difference map, with stored exit waves for every frame.

    psi <- psi_F + alpha (psi - Pi_O psi),   psi_F = Pi_F [ Pi_O psi - alpha (psi - Pi_O psi) ]

Pi_O psi = P O is the nearest wave that is a product of one object and one probe, and Pi_F sets the measured amplitudes.
The part of the wave that violates the overlap, psi - Pi_O psi, is subtracted before the amplitudes are set, and added
again afterwards. alpha = 1 is the difference map of P. Thibault et al., Science 321, 379 (2008) and Ultramicroscopy
109, 338 (2009),

    psi <- psi + Pi_F (2 Pi_O psi - psi) - Pi_O psi = [ R_F R_O + 1 ] / 2 psi,   R = 2 Pi - 1,

and alpha = 0 is alternating projections, Pi_F Pi_O. With noise no wave satisfies both constraints. Then the waves at
alpha = 1 drift along the gap between them without limit; below 1 the part that violates the overlap grows to at most
alpha / (1 - alpha) times the gap.

Collected, psi <- alpha psi - alpha Pi_O psi + Pi_F [(1 + alpha) Pi_O psi - alpha psi]; `weights` has these factors.
"""

from exitwave.engine.algorithms import projections
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.backend import Backend, Misfit, ProjectionWeights
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import State

ALPHA = 0.9
"""Default of the relaxation."""


def step(state: State, backend: Backend, stage: StageSettings, memory: projections.ExitWaves) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    alpha = ALPHA if stage.relaxation is None else stage.relaxation
    return projections.iterate(state, backend, stage, memory, weights(alpha))


def weights(alpha: float) -> ProjectionWeights:
    """Return the projection step of the difference map."""
    return ProjectionWeights(-alpha, 1.0, 1.0 + alpha)


ALGORITHM = Algorithm(
    "DM",
    step,
    settings=frozenset({"relaxation", "decay"}),
    memory=projections.ExitWaves,
    keeps_waves=True,
)
