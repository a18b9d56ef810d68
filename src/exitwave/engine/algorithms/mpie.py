"""mPIE: rPIE in mini-batches, with momentum.

The batches update object and probe as in `rpie`, and after some of them both go on the way that they have come; see
`momentum`. A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017).

Object and probe step at the same time from the same chi, and each alone could take all of it: so a step of 1/2 each is
the longest that does not overshoot.
"""

from exitwave.engine.algorithms import rpie
from exitwave.engine.algorithms.algorithm import Algorithm
from exitwave.engine.algorithms.batches import batches
from exitwave.engine.algorithms.epie import choose, shared
from exitwave.engine.algorithms.momentum import moving, push
from exitwave.engine.algorithms.step_decay import decayed
from exitwave.engine.backend import Backend, Misfit, Step
from exitwave.engine.stage import StageSettings
from exitwave.engine.state import QuantityMemory, State

OBJECT, PROBE = Step(0.5, 0.1), Step(0.5, 0.3)
"""Length and alpha of the steps, where the stage does not say."""
FLYING = Step(1.0, 0.3)
"""The same of the probe in a fly scan. The exposures of a frame share one correction, so that a change of the probe,
which does something else to each of them, gets less of it than it asks for: twice the length finds it sooner."""
ETA, EVERY = 0.9, 2
"""The part of the momentum that is kept, and the batches from one push to the next (T)."""


def step(state: State, backend: Backend, stage: StageSettings, memory: QuantityMemory) -> Misfit:
    """Do one iteration in place and return its misfit."""
    object_step = decayed(choose(stage.object_update, shared(OBJECT, backend), state.iteration), state)
    probe = FLYING if backend.problem.exposures else PROBE
    probe_step = decayed(choose(stage.probe_update, probe, state.iteration), state)
    pushed = moving(state, memory, object_step, probe_step)
    difference = signal = 0.0
    frames = backend.problem.used
    size = stage.batch or rpie.batch_size(frames)
    for batch in batches(stage.batching or "random", state.rng, frames, size, backend.problem.pixels):
        misfit = rpie.update(state, backend, batch, object_step, probe_step, pushed)
        push(state.object, pushed.object, ETA, EVERY)
        push(state.probe, pushed.probe, ETA, EVERY)
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
