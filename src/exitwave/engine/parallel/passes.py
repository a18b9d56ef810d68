"""The sweeps of several processes: each carries its own frames through any backend, and the sums are added up.

A frame belongs to one process for the whole run (`pose.carried`), which alone has read it, so that its counts and
its exit wave, where an algorithm keeps it, need be on one card only. Object, probe and all that a `State` has are
everywhere, and stay the same bit for bit: every process draws the same batches, gets the same sums and takes the same
steps. What frames tell is gathered to all, for there is little of it, and refinements look at all frames. So neither an
algorithm nor the model knows of other processes; what they want to know of the counts of others, the `Problem` asks,
and what of an object that is in `tiles`, its ``tile``.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.algorithms.registry import ALGORITHMS, supporting
from exitwave.engine.backend import Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.parallel.communicator import Communicator
from exitwave.engine.parallel.tiles import Tile
from exitwave.engine.problem import Problem
from exitwave.engine.recipe import Recipe
from exitwave.engine.state import State
from exitwave.errors import InputError

_TILEABLE = "all algorithms but ePIE, all refinements, and limits of amplitude and phase, supports and power"
"""What works on tiles."""
_OF_ALL_PIXELS = {
    "object_constraints": ("total_variation", "smoothness", "grid_artefact"),
    "probe_constraints": ("centre", "ramp"),
}
"""The constraints that look from one pixel of the object to others."""
PER_FRAME_FIELDS = ("positions", "probe_factors", "opr_weights", "pointing")
"""What a `State` has for every frame."""


def check(recipe: Recipe, problem: Problem, communicator: Communicator) -> None:
    """Refuse what several processes cannot do.

    Raises
    ------
    InputError
        If a stage goes from frame to frame, or a process would have no frame.
    """
    if communicator.size == 1:
        return
    alone = [stage.algorithm for stage in recipe.stages if not ALGORITHMS.get(stage.algorithm).processes]
    if alone:
        remedy = f"Use one process, or one of {supporting('processes')}"
        found = f"{alone[0]} in {communicator.size} processes"
        raise InputError("An update after every frame cannot be shared out", found=found, remedy=remedy)
    if communicator.size > len(problem.used):
        found = f"{communicator.size} processes for {len(problem.used)} frames"
        raise InputError("There are more processes than frames", found=found, remedy="Start fewer processes")


def refuse_tiles(recipe: Recipe, slices: int) -> None:
    """Refuse what needs more of the object than a tile.

    Raises
    ------
    InputError
        If a stage is coarse or imposes what neighbouring pixels have in common, or the sample is thick.
    """
    found = ["slices"] if slices > 1 else []
    for stage in recipe.stages:
        found += [f"coarse: {stage.coarse}"] if stage.coarse > 1 else []
        for group, names in _OF_ALL_PIXELS.items():
            settings = getattr(stage, group)
            found += [f"{group}.{name}" for name in names if settings and getattr(settings, name)]
    if found:
        remedy = f"Leave it out, or set tiles to no; on tiles work a thin sample, {_TILEABLE}"
        raise InputError("This needs the whole object, and not a tile of it", found=", ".join(found), remedy=remedy)


class DistributedBackend:
    """The sweeps over the frames of all processes; see `Backend` for what each does.

    Parameters
    ----------
    problem : Problem
        All frames, those that this process carries, and its team.
    make : callable
        Makes a backend for a problem.
    """

    def __init__(self, problem: Problem, make: Callable[[Problem], Any]) -> None:
        assert problem.local_frames is not None
        self.problem, self._communicator, self._mine = problem, problem.communicator, problem.local_frames
        used, held_out = (self._own(group)[1] for group in (problem.used, problem.held_out))
        part = replace(problem.with_frames(self._mine, problem.counts), used=used, held_out=held_out)
        here = {"pixels": (part.pixels - problem.tile.origin).astype(np.float32), "object_shape": problem.full_shape}
        self._backend = make(replace(part, **here) if isinstance(problem.tile, Tile) else part)
        self.threads = self._backend.threads
        self._cut: dict[str, tuple[Any, Any]] = {}
        self._sums: dict[str, Any] = {}

    def gather(
        self,
        state: State,
        frames: NDArray[np.int64],
        *,
        object: bool = True,
        probe: bool = True,
        noise: Noise = "amplitude",
        responses: NDArray[np.float64] | None = None,
        gradients: bool = True,
    ) -> Sums:
        """Pass over the frames without changing the state; see `Backend.gather`."""
        wanted: dict[str, Any] = {"object": object, "probe": probe, "noise": noise, "gradients": gradients}
        places, own = self._own(frames)
        told = None if responses is None else np.zeros((len(own), responses.shape[1]))
        sums = self._backend.gather(self._state(state), own, responses=told, **wanted)
        if responses is not None:
            responses[:] = 0
            responses[places] = told
            self._communicator.add(responses)
        if state.background is not None and sums.background is None:  # of no frame
            sums = replace(sums, background=np.zeros((2, *self.problem.counts.shape[1:])))
        return self._total(sums, object, probe)

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: Any,
        weights: ProjectionWeights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance this process's own exit waves, and sum over those of all; see `Backend.project`."""
        own = self._own(frames)[1]
        sums = self._backend.project(self._state(state), own, waves, weights, object=object, probe=probe)
        return self._total(sums, object, probe)

    def allocate_waves(self, shape: tuple[int, ...]) -> Any:
        """Return zeros for the exit waves of this process's frames, where all used ones are to have some."""
        return self._backend.allocate_waves((self._count(self.problem.used), *shape[1:]))

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        own = self._backend.misfit(self._state(state), self._own(frames)[1])
        total = np.array([float(each) for each in own])
        self._communicator.add(total)
        return Misfit(*total.tolist())

    def cross_term(self, state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
        """Return how much of the exit waves two changes change alike; see `Backend.crossing`."""
        out = np.array([self._backend.cross_term(self._state(state), self._own(frames)[1], object, probe)])
        self._communicator.add(out)
        return float(out[0])

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Backend.along`."""
        line = line if line.moves is None else line._replace(moves=line.moves[self._mine])
        out = np.array(self._backend.line_derivatives(self._state(state), line, self._own(frames)[1], lengths, noise))
        self._communicator.add(out)
        return out

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return what the frames tell of their positions; see `Backend.moves`."""
        (places, own), out = self._own(frames), np.zeros((len(frames), 5))
        out[places] = self._backend.position_derivatives(self._state(state), own, noise)
        self._communicator.add(out)
        return out

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Refuse: an update after every frame cannot be divided among processes; see `check`."""
        raise NotImplementedError("sequential updates are not distributed")

    def descend(self, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None) -> None:
        """Add the regularised step to the target in place; every process does."""
        tile = self.problem.tile
        with tile.levelled(denominator) if isinstance(tile, Tile) and tile.holds(denominator) else nullcontext():
            self._backend.descend(target, numerator, denominator, step, velocity)

    def take(self, array: Any) -> Any:
        """Return an array on the device of the passes; see `Backend.take`."""
        return self._backend.take(array)

    def _own(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of some frames are of this process, and their numbers here."""
        return self.problem.local(frames)

    def _count(self, frames: NDArray[np.int64]) -> int:
        return len(self._own(frames)[0])

    def _state(self, state: State) -> State:
        """Return the state with what this process's frames have of their own: the same arrays as long as it is."""
        for name in PER_FRAME_FIELDS:
            whole = getattr(state, name)
            if name not in self._cut or self._cut[name][0] is not whole:
                own = None if whole is None else np.ascontiguousarray(whole[self._mine])
                if own is not None and name == "positions":
                    own -= self.problem.tile.origin
                self._cut[name] = whole, own
        return replace(state, **{name: cut for name, (_, cut) in self._cut.items()})

    def _total(self, sums: Sums, object: bool, probe: bool) -> Sums:
        """Return the sums over all processes, in other arrays: a backend counts on what it has left in its own."""
        scalars = np.array([float(each) for each in (*sums.misfit, sums.loss, sums.slice_spacing)])
        names = ["object", "probe_density"] * object + ["probe", "object_density", "opr_modes"] * probe
        names = [name for name in [*names, "background"] if getattr(sums, name) is not None]
        tile, totals = self.problem.tile, {name: self._copy(name, getattr(sums, name)) for name in names}
        alike = names[2 * object :] if isinstance(tile, Tile) else names
        self._communicator.add(scalars, *(totals[name] for name in alike))
        if isinstance(tile, Tile):
            for name in names[: 2 * object]:
                tile.add(totals[name])
        difference, signal, loss, spacing = scalars.tolist()
        return replace(sums, **totals, misfit=Misfit(difference, signal), loss=loss, slice_spacing=spacing)

    def _copy(self, name: str, array: Any) -> Any:
        """Return a copy of an array, in the place of the last one of this name where it has its kind and shape."""
        last: Any = self._sums.get(name)
        if type(last) is not type(array) or last.shape != array.shape:
            self._sums[name] = arrays.zeros_like(array, tuple(array.shape))
        self._sums[name][:] = array
        return self._sums[name]
