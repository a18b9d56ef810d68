"""Momentum between batches.

The steps of T batches are added to the object O and to its velocity v, and then, the same for the probe:

    v <- eta v
    O <- O + v

The rule, with O_before the object right after the last time, is v' <- eta v' + (O - O_before) and then
O <- O + eta v': A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), eq. 19. Here v = eta v', to which every step
is added as it is taken, so that O_before need not be kept. At T = 1 it is the accelerated gradient of Y. Nesterov,
Dokl. Akad. Nauk SSSR 269, 543 (1983). What changes the same way in batch after batch, above all the low spatial
frequencies, goes up to 1 / (1 - eta) times as far.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.backend import Step
from exitwave.engine.state import QuantityMemory, State


@dataclass
class Momentum:
    """What a quantity carries along: its velocity, and the batches done since it began."""

    velocity: NDArray[np.complexfloating[Any]]
    batches: int = 0


class Moving(NamedTuple):
    """The momenta of object and probe; None where the quantity is left alone."""

    object: Momentum | None
    probe: Momentum | None


STILL = Moving(None, None)
"""No momentum."""


def moving(state: State, memory: QuantityMemory, object_step: Step | None, probe_step: Step | None) -> Moving:
    """Return the momenta of the quantities that this iteration updates; new ones where the memory has none."""
    if object_step and memory.object is None:
        memory.object = Momentum(arrays.zeros_like(state.object))
    if probe_step and memory.probe is None:
        memory.probe = Momentum(arrays.zeros_like(state.probe))
    return Moving(memory.object if object_step else None, memory.probe if probe_step else None)


def push(quantity: NDArray[np.complexfloating[Any]], momentum: Momentum | None, eta: float, every: int) -> None:
    """Count a batch, and push the quantity in place where it is time."""
    if momentum is None:
        return
    momentum.batches += 1
    if momentum.batches % every == 0:
        momentum.velocity *= eta
        quantity += momentum.velocity


def velocity(momentum: Momentum | None) -> NDArray[np.complexfloating[Any]] | None:
    """Return where the steps of a quantity are to be added too."""
    return None if momentum is None else momentum.velocity
