"""RAAR: relaxed averaged alternating reflections, with stored exit waves for every frame.

    psi <- [ beta (R_F R_O + 1) / 2 + (1 - beta) Pi_O ] psi,   R = 2 Pi - 1

Pi_O psi = P O is the nearest wave that is a product of one object and one probe, and Pi_F sets the measured amplitudes.
D. R. Luke, Inverse Problems 21, 37 (2005); for ptychography S. Marchesini et al., J. Appl. Cryst. 49, 1245 (2016),
where the two projections are exchanged. In full, with R_O psi = 2 Pi_O psi - psi,

    R_F R_O psi           = 2 Pi_F R_O psi - 2 Pi_O psi + psi
    (R_F R_O + 1) / 2 psi =   Pi_F R_O psi -   Pi_O psi + psi
    psi                  <- beta psi + (1 - 2 beta) Pi_O psi + beta Pi_F (2 Pi_O psi - psi)

and `weights` has these factors. Pi_F is not linear; it is applied only to R_O psi.
"""

from exitwave.engine.algorithms import projections
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.backend import Backend, Misfit, ProjectionWeights
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import State

BETA = 0.9
"""Default of the relaxation. The usual 0.75 needs about twice as many iterations."""


def step(state: State, backend: Backend, stage: StageSettings, memory: projections.ExitWaves) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    beta = BETA if stage.relaxation is None else stage.relaxation
    return projections.iterate(state, backend, stage, memory, weights(beta))


def weights(beta: float) -> ProjectionWeights:
    """Return the projection step of the relaxed averaged reflections."""
    return ProjectionWeights(1.0 - 2.0 * beta, beta, 2.0)


ALGORITHM = Algorithm(
    "RAAR",
    step,
    settings=frozenset({"relaxation", "decay"}),
    memory=projections.ExitWaves,
    keeps_waves=True,
)
