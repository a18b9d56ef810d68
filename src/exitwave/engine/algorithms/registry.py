"""The algorithms by the names that a stage has for them."""

from collections.abc import Callable

from exitwave.engine.algorithms import adam, dm, epie, lsqml, ml, mpie, pie, raar, rpie
from exitwave.engine.recipe import Stage
from exitwave.engine.state import Misfit, State, Sweeps

Step = Callable[[State, Sweeps, Stage], Misfit]
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
