"""mPIE: rPIE with momentum.

Every batch updates object and probe as in `rpie`, and after every T batches both are moved further by their momentum;
see `momentum`. A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017).

Object and probe are updated at the same time from the same correction, and each alone could account for all of it. So
a length of 1/2 for each is the longest that does not overshoot.
"""

from exitwave.engine.algorithms import rpie
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches, default_batch_size
from exitwave.engine.algorithms.momentum import active_momenta, apply_momenta
from exitwave.engine.algorithms.step_decay import shortened
from exitwave.engine.algorithms.steps import active_step, per_slice
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.5, 0.1), Step(0.5, 0.3)
"""Default length and alpha of the steps."""
FLY_SCAN_PROBE = Step(1.0, 0.3)
"""Default of the probe in a fly scan. The exposures of a frame share one correction, but a change of the probe acts
differently on each of them, so that it removes less of the correction. Twice the length converges faster."""
ETA, PERIOD = 0.9, 2
"""The momentum eta, and the batches T between two applications of it."""


def step(state: State, backend: Backend, stage: StageSettings, memory: QuantityMemory) -> Misfit:
    """Do one iteration in place and return the misfit before it."""
    probe_default = FLY_SCAN_PROBE if backend.problem.exposures else PROBE
    object_step = active_step(stage.object_update, per_slice(OBJECT, backend), state.iteration)
    probe_step = active_step(stage.probe_update, probe_default, state.iteration)
    object_step, probe_step = shortened(object_step, state), shortened(probe_step, state)
    momenta = active_momenta(state, memory, object_step, probe_step)
    difference = signal = 0.0
    frames = backend.problem.used
    size = stage.batch or default_batch_size(len(frames))
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        misfit = rpie.update(state, backend, batch, object_step, probe_step, momenta)
        apply_momenta(state, momenta, ETA, PERIOD)
        difference, signal = difference + misfit.difference, signal + misfit.signal
    return Misfit(difference, signal)


ALGORITHM = Algorithm(
    "mPIE",
    step,
    iterations=40,
    settings=frozenset({"batch", "batching", "decay"}),
    memory=QuantityMemory,
    slices=True,
    fly_scan=True,
)
