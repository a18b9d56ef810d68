"""The steps of object and probe in one iteration, from the settings of the stage and the defaults of the algorithm."""

from exitwave.engine.backend import Backend, Step
from exitwave.engine.settings import Update


def active_step(update: Update, default: Step, iteration: int) -> Step | None:
    """Return the step of a quantity in an iteration.

    Parameters
    ----------
    update : Update
        The settings of the quantity; they replace the default where they are given.
    default : Step
        The default of the algorithm.
    iteration : int
        Iterations done in this stage.

    Returns
    -------
    Step or None
        None: the quantity is not updated in this iteration.
    """
    if not update.active(iteration):
        return None
    length = default.length if update.step is None else update.step
    alpha = default.alpha if update.alpha is None else update.alpha
    return Step(length, alpha)


def per_slice(step: Step, backend: Backend) -> Step:
    """Return the default step of the object, divided by the number of slices of a thick sample.

    All slices are updated at the same time from the same correction, and each slice alone could account for all of it.
    """
    slices = backend.problem.slices
    return step._replace(length=step.length / slices.number) if slices else step
