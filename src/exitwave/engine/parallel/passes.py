"""The passes of several processes: each passes over its own frames with any backend, and the sums are added up.

A frame belongs to one process for the whole run (`reconstruction.loading.local_frames`). Only this process reads it, so
that its counts, and its exit wave if an algorithm stores it, are on one GPU only. Object, probe and all other fields of
the `State` are in all processes, and stay equal bit for bit: every process draws the same batches, gets the same sums
and takes the same steps. The responses of the frames are gathered in all processes, because they are small, and the
refinements process all frames. So neither an algorithm nor a refinement depends on the number of processes; counts of
other processes are accessed through the `Problem`, and an object that is divided into `tiles` through its ``tile``.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import arrays
from exitwave.engine.backend import Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.parallel.tiles import Tile
from exitwave.engine.problem import Problem
from exitwave.engine.state import PER_FRAME_FIELDS, State


class DistributedBackend:
    """The passes over the frames of all processes; see `Backend` for each of them.

    Parameters
    ----------
    problem : Problem
        All frames, the counts of this process's frames, and the communicator.
    make : callable
        Makes a backend for a problem.
    """

    def __init__(self, problem: Problem, make: Callable[[Problem], Any]) -> None:
        assert problem.local_frames is not None
        self.problem, self._communicator, self._local_frames = problem, problem.communicator, problem.local_frames
        used, held_out = (self._local(group)[1] for group in (problem.used, problem.held_out))
        part = replace(problem.with_frames(self._local_frames, problem.counts), used=used, held_out=held_out)
        if isinstance(problem.tile, Tile):
            pixels = (part.pixels - problem.tile.origin).astype(np.float32)
            part = replace(part, pixels=pixels, object_shape=problem.tile.shape(problem.object_shape))
        self._backend = make(part)
        self.threads = self._backend.threads
        self._per_frame: dict[str, tuple[Any, Any]] = {}
        self._copies: dict[str, Any] = {}

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
        """Sum the corrections of the frames without changing the state; see `Backend.gather`."""
        places, local = self._local(frames)
        ours = None if responses is None else np.zeros((len(local), responses.shape[1]))
        sums = self._backend.gather(
            self._local_state(state),
            local,
            responses=ours,
            object=object,
            probe=probe,
            noise=noise,
            gradients=gradients,
        )
        if responses is not None:
            responses[:] = 0
            responses[places] = ours
            self._communicator.add(responses)
        if state.background is not None and sums.background is None:  # this process has none of the frames
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
        """Advance this process's stored exit waves, and sum over all processes; see `Backend.project`."""
        local = self._local(frames)[1]
        sums = self._backend.project(self._local_state(state), local, waves, weights, object=object, probe=probe)
        return self._total(sums, object, probe)

    def allocate_waves(self, shape: tuple[int, ...]) -> Any:
        """Return zeros for the stored exit waves of this process's used frames; see `Backend.allocate_waves`."""
        return self._backend.allocate_waves((len(self._local(self.problem.used)[0]), *shape[1:]))

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        misfit = self._backend.misfit(self._local_state(state), self._local(frames)[1])
        total = np.array([float(each) for each in misfit])
        self._communicator.add(total)
        return Misfit(*total.tolist())

    def cross_term(self, state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
        """Return the overlap of the exit-wave changes of two changes; see `Backend.cross_term`."""
        out = np.array([self._backend.cross_term(self._local_state(state), self._local(frames)[1], object, probe)])
        self._communicator.add(out)
        return float(out[0])

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the derivatives of the loss along a line; see `Backend.line_derivatives`."""
        line = line if line.moves is None else line._replace(moves=line.moves[self._local_frames])
        local = self._local(frames)[1]
        out = np.array(self._backend.line_derivatives(self._local_state(state), line, local, lengths, noise))
        self._communicator.add(out)
        return out

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss by the positions; see `Backend.position_derivatives`."""
        (places, local), out = self._local(frames), np.zeros((len(frames), 5))
        out[places] = self._backend.position_derivatives(self._local_state(state), local, noise)
        self._communicator.add(out)
        return out

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Raise an error: updates after every frame cannot be divided among processes."""
        raise NotImplementedError("sequential updates are not distributed")

    def descend(self, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None) -> None:
        """Add the regularised step to the target in place, in every process; see `Backend.descend`."""
        tile = self.problem.tile
        on_tile = isinstance(tile, Tile) and tile.on_object_grid(denominator)
        with tile.with_common_maximum(denominator) if isinstance(tile, Tile) and on_tile else nullcontext():
            self._backend.descend(target, numerator, denominator, step, velocity)

    def take(self, array: Any) -> Any:
        """Return an array on the device of the passes; see `Backend.take`."""
        return self._backend.take(array)

    def _local(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of some frames this process has, as indices into ``frames`` and into its own frames."""
        return self.problem.local(frames)

    def _local_state(self, state: State) -> State:
        """Return the state with the per-frame arrays of this process's frames; unchanged arrays stay the same ones."""
        for name in PER_FRAME_FIELDS:
            whole = getattr(state, name)
            if name not in self._per_frame or self._per_frame[name][0] is not whole:
                local = None if whole is None else np.ascontiguousarray(whole[self._local_frames])
                if local is not None and name == "positions":
                    local -= self.problem.tile.origin
                self._per_frame[name] = whole, local
        return replace(state, **{name: local for name, (_, local) in self._per_frame.items()})

    def _total(self, sums: Sums, object: bool, probe: bool) -> Sums:
        """Return the sums over all processes in copies, because a backend uses its own arrays again."""
        scalars = np.array([float(each) for each in (*sums.misfit, sums.loss, sums.slice_spacing)])
        on_object_grid = ["object", "probe_density"] if object else []
        others = ["probe", "object_density", "opr_modes"] if probe else []
        others = [name for name in [*others, "background"] if getattr(sums, name) is not None]
        totals = {name: self._copy(name, getattr(sums, name)) for name in [*on_object_grid, *others]}
        tile = self.problem.tile
        if isinstance(tile, Tile):
            self._communicator.add(scalars, *(totals[name] for name in others))
            for name in on_object_grid:
                tile.add(totals[name])
        else:
            self._communicator.add(scalars, *totals.values())
        difference, signal, loss, spacing = scalars.tolist()
        return replace(sums, **totals, misfit=Misfit(difference, signal), loss=loss, slice_spacing=spacing)

    def _copy(self, name: str, array: Any) -> Any:
        """Return a copy of an array, in the memory of the previous copy with this name if kind and shape agree."""
        last: Any = self._copies.get(name)
        if type(last) is not type(array) or last.shape != array.shape:
            self._copies[name] = arrays.zeros_like(array, tuple(array.shape))
        self._copies[name][:] = array
        return self._copies[name]
