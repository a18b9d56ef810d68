"""The algorithms by the names that a stage has for them."""

from collections.abc import Callable

from exitwave.engine.algorithms import adam, dm, epie, lsqml, ml, mpie, pie, raar, rpie
from exitwave.engine.backend import Backend, Misfit
from exitwave.engine.recipe import Stage
from exitwave.engine.state import State

Step = Callable[[State, Backend, Stage], Misfit]
ALGORITHMS: dict[str, Step] = {
    "rPIE": rpie.step,
    "ePIE": epie.step,
    "LSQ-ML": lsqml.step,
    "ML": ml.step,
    "Adam": adam.step,
    "PIE": pie.step,
    "mPIE": mpie.step,
    "DM": dm.step,
    "RAAR": raar.step,
}
