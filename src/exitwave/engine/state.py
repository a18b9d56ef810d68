"""The state of a reconstruction: object, probe and the refined parameters of the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import to_host

_MODEL = {"model": True, "per_frame": False}
_PER_FRAME = {"model": True, "per_frame": True}


class Memory:
    """Base class of what an algorithm, a refinement or a constraint stores from one iteration to the next.

    It stores nothing. A subclass is a dataclass whose fields all have defaults.
    """

    def resume(self, before: frozenset[str], now: frozenset[str]) -> None:
        """Prepare for the next iteration.

        Parameters
        ----------
        before : frozenset of str
            Quantities that the last iteration updated: ``object``, ``probe``, ``positions``; empty at the start.
        now : frozenset of str
            Quantities that the next iteration updates.
        """

    def restart(self) -> None:
        """Reset what depends on object and probe, after a constraint has changed both; by default everything."""
        vars(self).update(vars(type(self)()))


@dataclass
class QuantityMemory(Memory):
    """A memory with one item for the object and one for the probe.

    An item is None after an iteration that did not update the quantity.
    """

    object: Any = None
    probe: Any = None

    def resume(self, before: frozenset[str], now: frozenset[str]) -> None:
        """Reset the items of quantities that the last iteration did not update."""
        self.object = self.object if "object" in before else None
        self.probe = self.probe if "probe" in before else None


@dataclass
class State:
    """Object, probe and the refined parameters of the model: everything that an iteration changes."""

    object: NDArray[np.complexfloating[Any]]
    """Complex transmission, shape (rows, columns); for a thick sample (slices, rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """Probe modes, shape (modes, ny, nx)."""
    rng: np.random.Generator
    """Random number generator of the run."""
    iteration: int = 0
    """Iterations done in this stage."""
    decaying: bool = False
    """Whether the stage is in its step decay, in which the steps become shorter to reduce noise."""
    decay_start: int | None = None
    """First iteration of the step decay in this stage; None: it has not started."""
    restarts: int = 0
    """Number of calls of `restart` in this stage."""
    positions: NDArray[np.float64] | None = field(default=None, metadata=_PER_FRAME)
    """Object pixel (row, column) under the probe's centre, shape (npos, 2); None: the positions of the problem.

    This array and those below are replaced, never changed in place: a backend recognises a new value by its identity.
    """
    probe_factors: NDArray[np.float64] | None = field(default=None, metadata=_PER_FRAME)
    """Factor a_j of the probe in every frame, shape (npos,); the frame's intensity is a_j^2; None: 1."""
    opr_modes: NDArray[np.complexfloating[Any]] | None = field(default=None, metadata=_MODEL)
    """OPR modes U_m, which are added to the first probe mode, shape (opr_modes, ny, nx); None: there are none."""
    opr_weights: NDArray[np.float64] | None = field(default=None, metadata=_PER_FRAME)
    """Weight v_jm of every OPR mode in every frame, shape (npos, opr_modes)."""
    pointing: NDArray[np.float64] | None = field(default=None, metadata=_PER_FRAME)
    """Shift t_j of every frame's pattern towards higher rows and columns in detector pixels, shape (npos, 2); None: 0.

    The probe of the frame, shifted to its position, is multiplied by exp(2 pi i (t_y (r - ny//2) / ny +
    t_x (c - nx//2) / nx)), with row r and column c of the frame's window.
    """
    slice_spacing: NDArray[np.float64] | None = field(default=None, metadata=_MODEL)
    """Distance from one slice to the next, relative to that of the problem, shape (); None: 1."""
    background: NDArray[np.float64] | None = field(default=None, metadata=_MODEL)
    """Counts without the beam, in addition to those of the problem's detector, shape (ny, nx) of a frame; None: 0."""
    distance: NDArray[np.float64] | None = field(default=None, metadata=_MODEL)
    """Distance of a far-field detector, relative to that of the problem, shape (); None: 1."""

    def restart(self) -> None:
        """Reset algorithms and refinements before the next iteration; a constraint has changed object and probe."""
        self.restarts += 1

    @property
    def model_arrays(self) -> dict[str, NDArray[Any]]:
        """The refined parameters beside object and probe, by name."""
        return {name: value for name in MODEL_FIELDS if (value := getattr(self, name)) is not None}


MODEL_FIELDS = tuple(entry.name for entry in fields(State) if entry.metadata.get("model"))
"""The fields of a `State` that `engine.model` refines."""
PER_FRAME_FIELDS = tuple(entry.name for entry in fields(State) if entry.metadata.get("per_frame"))
"""The fields of a `State` with one entry for every frame."""


def host_state(state: State) -> State:
    """Return the state with object and probe as NumPy arrays; tensors are copied."""
    if isinstance(state.object, np.ndarray):
        return state
    return replace(state, object=to_host(state.object).copy(), probe=to_host(state.probe).copy())


@contextmanager
def arrays_on_host(state: State) -> Iterator[None]:
    """Provide object and probe of the state as NumPy arrays in a ``with`` block; changes to them are copied back."""
    if isinstance(state.object, np.ndarray):
        yield
        return
    tensors: Any = (state.object, state.probe)
    state.object, state.probe = (to_host(tensor) for tensor in tensors)
    try:
        yield
    finally:
        for tensor, array in zip(tensors, (state.object, state.probe), strict=True):
            tensor.copy_(tensor.new_tensor(array))
        state.object, state.probe = tensors
