"""Momentum of object and probe over several batches.

Let eta be the momentum and T the number of batches between two applications. The steps of T batches are added to the
object O and also to its velocity v. Then, and in the same way for the probe,

    v <- eta v
    O <- O + v

In the paper the rule is v' <- eta v' + (O - O_before) and then O <- O + eta v', with O_before the object after the last
application: A. M. Maiden, D. Johnson and P. Li, Optica 4, 736 (2017), eq. 19. Here v = eta v'; every step is added to v
when it is taken, so that O_before need not be stored. With T = 1 this is the accelerated gradient of Y. Nesterov, Dokl.
Akad. Nauk SSSR 269, 543 (1983). Changes that are equal in successive batches, mainly the low spatial frequencies, are
amplified by up to 1 / (1 - eta).
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
    """The momentum of one quantity."""

    velocity: NDArray[np.complexfloating[Any]]
    """v, with the shape of the quantity."""
    batches: int = 0
    """Batches done since the momentum started."""


class Momenta(NamedTuple):
    """The momenta of object and probe; None: the quantity is not updated, or has no momentum."""

    object: Momentum | None
    probe: Momentum | None


NO_MOMENTA = Momenta(None, None)


def active_momenta(state: State, memory: QuantityMemory, object_step: Step | None, probe_step: Step | None) -> Momenta:
    """Return the momenta of the quantities that have a step; add them to the memory where it has none."""
    if object_step and memory.object is None:
        memory.object = Momentum(arrays.zeros_like(state.object))
    if probe_step and memory.probe is None:
        memory.probe = Momentum(arrays.zeros_like(state.probe))
    return Momenta(memory.object if object_step else None, memory.probe if probe_step else None)


def apply_momenta(state: State, momenta: Momenta, eta: float, period: int) -> None:
    """Count a batch, and add the velocities to object and probe in place after every ``period`` batches."""
    apply_momentum(state.object, momenta.object, eta, period)
    apply_momentum(state.probe, momenta.probe, eta, period)


def apply_momentum(
    quantity: NDArray[np.complexfloating[Any]], momentum: Momentum | None, eta: float, period: int
) -> None:
    """Count a batch, and add the velocity to the quantity in place after every ``period`` batches."""
    if momentum is None:
        return
    momentum.batches += 1
    if momentum.batches % period == 0:
        momentum.velocity *= eta
        quantity += momentum.velocity


def velocity_of(momentum: Momentum | None) -> NDArray[np.complexfloating[Any]] | None:
    """Return the velocity, to which the steps are added, or None without momentum."""
    return None if momentum is None else momentum.velocity
