"""The sweeps on tensors; see `backend.Sweeps` for what each does."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cuda import lines, memory, updates, windows
from exitwave.engine.backends.cuda.detector import Detector, Judged
from exitwave.engine.backends.cuda.frames import Counts, Frames
from exitwave.engine.backends.cuda.fused import fused
from exitwave.engine.backends.cuda.graphs import Recorder
from exitwave.engine.backends.cuda.probes import FrameProbes
from exitwave.engine.backends.cuda.propagation import way
from exitwave.engine.backends.cuda.sums import Totals
from exitwave.engine.problem import RIM, Problem
from exitwave.engine.state import State
from exitwave.errors import InputError

_NOWHERE: NDArray[np.int64] = np.zeros((0, 2), np.int64)
"""The corners of windows that the host does not know."""


class Part(NamedTuple):
    """Some frames that go through a pass together."""

    where: slice
    """Where they are in the pass."""
    measured: Counts
    views: Tensor
    """Their views on the device: the frames, or all exposures of each."""
    places: NDArray[np.int64]
    """The corners of the windows, shape (views, 2), on the host."""


class Loaded(NamedTuple):
    """Object and probe on the device."""

    obj: Tensor
    probe: Tensor
    spectrum: Tensor
    """Fourier transform of the probe, unnormalised."""
    beams: FrameProbes
    detector: Detector


class TorchBackend:
    """The sweeps on one device of PyTorch.

    Parameters
    ----------
    problem : Problem
        The frames and their positions.
    modes : int
        Number of probe modes.
    device : torch.device
        Where the passes are.
    threads : int
        Threads of the host, as a result tells them.
    """

    def __init__(self, problem: Problem, modes: int, device: torch.device, threads: int) -> None:
        self.problem, self.device, self.threads = problem, device, threads
        self.exposures = problem.exposures.count if problem.exposures else 1
        self._plan = memory.plan(problem, modes, device)
        self.frames = Frames(problem, device, resident=self._plan.resident)
        self.way = way(problem, device)
        self._signals = self.frames.signals(self._plan.size)
        self.recorder = Recorder(device)
        self._seen: tuple[Any, ...] = ()
        self._own: tuple[FrameProbes, Detector]

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
        if responses is None and self._recordable(state):
            return self._recorded(state, frames, object, probe, noise)
        here = self.load(state)
        gradients = gradients or self.problem.slices is not None
        if responses is not None and gradients:
            self._check_slopes(here.beams, frames)
        totals = Totals(here.obj, here.probe, here.beams, self.exposures)
        for part in self.parts(here.beams, frames):
            told = None if responses is None else responses[part.where]
            self.carry(here, part, totals, object=object, probe=probe, noise=noise, responses=told, gradients=gradients)
        return totals.sums(self.signal(frames), as_numpy=isinstance(state.object, np.ndarray))

    def _recordable(self, state: State) -> bool:
        """Say whether a pass is the same work on the device every time, of which the host has to know nothing."""
        told = state.opr_modes is not None or state.background is not None or self.problem.slices is not None
        return self.recorder.works and self.frames.resident and torch.is_tensor(state.object) and not told

    def _recorded(self, state: State, frames: NDArray[np.int64], object: bool, probe: bool, noise: Noise) -> Sums:
        """Do what `gather` does, in the same tensors every time."""
        self._check(state)
        obj, modes, own = self.take(state.object), self.take(state.probe), self.own(state)

        def act(index: Tensor) -> tuple[Tensor, ...]:
            here = Loaded(obj, modes, torch.fft.fft2(modes), *own)
            totals = Totals(here.obj, here.probe, here.beams, self.exposures)
            for start in range(0, len(index), self._plan.size):
                some = index[start : start + self._plan.size]
                views = (some[:, None] * self.exposures + torch.arange(self.exposures, device=self.device)).reshape(-1)
                part = Part(slice(start, start + len(some)), self.frames.at(some), views, _NOWHERE)
                self.carry(here, part, totals, object=object, probe=probe, noise=noise, responses=None)
            return totals.tensors

        key = obj.data_ptr(), modes.data_ptr(), len(frames), object, probe, noise
        summed, light, wanted, seen, scalars = self.recorder.run(key, act, self.take(frames))
        difference, loss = scalars.clone().unbind()
        misfit: Any = Misfit(difference, self.signal(frames))
        return Sums(summed, light, wanted, seen, misfit, loss)

    def carry(
        self,
        here: Loaded,
        part: Part,
        totals: Totals,
        *,
        object: bool,
        probe: bool,
        noise: Noise,
        responses: NDArray[np.float64] | None,
        gradients: bool = False,
    ) -> None:
        """Carry some frames through the model, and add up what they ask for."""
        beam, psi = self.enter(here, part)
        change, judged = self.change(here, part, psi, noise, wanted=object or probe or responses is not None)
        totals.compare(judged)
        if object:
            totals.add_object(beam, change, part.views, part.places)
        if responses is not None:
            ways = windows.gradients(here.obj, here.beams.corners[part.views], self.problem.shape) if gradients else ()
            ways = tuple(beam * each[:, None] for each in ways)
            told = [judged.difference, *lines.responses(ways, psi, change, self.exposures)]
            told += self._own_responses(here, part, here.obj, psi, change)
            responses[:] = torch.stack(told, 1).cpu().numpy()
        if probe:
            totals.add_probe(here.obj, change, part.views)

    def _own_responses(self, here: Loaded, part: Part, obj: Tensor, psi: Tensor, change: Tensor) -> list[Tensor]:
        """Return what frames tell of variations and tilts."""
        beams, told = here.beams, []
        if beams.opr_modes is not None:
            for each in beams.opr_modes:
                varied = windows.multiply(beams.shifted(each[None, None], part.views), obj, beams, part.views)
                told.append(lines.inner(varied, change[:, :1], self.exposures))
        if beams.pointing is not None:
            y, x = beams.axes()
            told += [lines.inner(2j * torch.pi * axis * psi, change, self.exposures) for axis in (y[:, None], x)]
        return told

    def enter(self, here: Loaded, part: Part) -> tuple[Tensor, Tensor]:
        """Return the probes and the exit waves of a thin sample, shape (views, modes, ny, nx)."""
        beam = here.beams.of(here.spectrum, part.views)
        return beam, windows.multiply(beam, here.obj, here.beams, part.views)

    def window(self, here: Loaded, part: Part) -> Tensor:
        """Return the windows of the object, shape (..., views, ny, nx)."""
        return windows.cut(here.obj, here.beams.corners[part.views], self.problem.shape)

    def change(
        self, here: Loaded, part: Part, psi: Tensor, noise: Noise, *, wanted: bool = True
    ) -> tuple[Tensor, Judged]:
        """Return chi of exit waves, where it is wanted (else anything), and what the counts say."""
        far = self.way.forth(psi, here.beams, part.views)
        waves = far.reshape(len(part.measured), -1, *self.problem.shape)
        corrected, judged = here.detector.correct(waves, part.measured, noise, wanted=wanted)
        if not wanted:
            return far, judged
        return self.way.back(corrected.reshape(far.shape), here.beams, part.views), judged

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Backend.along`."""
        return lines.along(self, state, line, frames, lengths, noise)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return what the frames tell of their positions; see `Backend.moves`."""
        self.refuse_exposures()
        return lines.moves(self, state, frames, noise)

    def cross_term(self, state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
        """Return how much of the exit waves two changes change alike; see `Backend.crossing`."""
        self.refuse_exposures()
        return lines.cross_term(self, state, frames, object, probe)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        return self.gather(state, frames, object=False, probe=False).misfit

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        self.refuse_exposures()
        return updates.sequential(self, state, frames, object, probe)

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
        """Advance the frames' own exit waves and add up what the model lacks of them; see `Backend.project`."""
        self.refuse_exposures()
        return updates.project(self, state, frames, waves, weights, object=object, probe=probe)

    def allocate_waves(self, shape: tuple[int, ...]) -> Any:
        """Return zeros for the frames' own waves; see `Backend.room`."""
        return memory.room(shape, self.device)

    def descend(self, target: Any, numerator: Any, denominator: Any, step: Step, velocity: Any = None) -> None:
        """Add the regularised step to the target in place; see `Backend.descend`."""
        out, num, den = (torch.as_tensor(each) for each in (target, numerator, denominator))
        also = None if velocity is None else torch.as_tensor(velocity)
        if out.is_contiguous() and isinstance(step.length, float) and (kernels := fused(out.device)) is not None:
            length, alpha = float(step.length), float(step.alpha)

            def act() -> tuple[Tensor, ...]:
                kernels.descend(out, num, den, length, alpha, also)
                return ()

            places = [
                each is not None and (each.data_ptr(), each.shape, each.stride()) for each in (out, num, den, also)
            ]
            self.recorder.run((*places, length, alpha), act, changes=True)
            return
        change = num * (step.length / ((1 - step.alpha) * den + (step.alpha * den.max() + 1e-20)))
        out += change
        if also is not None:
            also += change

    def load(self, state: State) -> Loaded:
        """Return object and probe on the device; what the frames have of their own is kept until it is another."""
        self._check(state)
        obj, probe = self.take(state.object), self.take(state.probe)
        return Loaded(obj, probe, torch.fft.fft2(probe), *self.own(state))

    def _check(self, state: State) -> None:
        """Refuse a state of other shapes or another precision."""
        for array, shape in ((state.object, self.problem.full_shape), (state.probe[0], self.problem.shape)):
            if tuple(array.shape) != shape or str(array.dtype).removeprefix("torch.") != "complex64":
                raise TypeError(
                    f"a state needs contiguous complex64 arrays of shape {shape}, not {array.dtype} {array.shape}"
                )

    def own(self, state: State) -> tuple[FrameProbes, Detector]:
        """Return what the frames have of their own, and the detector, on the device."""
        seen = (
            state.positions,
            state.probe_factors,
            state.opr_modes,
            state.opr_weights,
            state.pointing,
            state.background,
        )
        if len(seen) != len(self._seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            detector = Detector(self.problem, state.background, self.device)
            self._own, self._seen = (FrameProbes(self.problem, state, self.device), detector), seen
            self.recorder.forget()
        return self._own

    def take(self, array: Any) -> Tensor:
        """Return an array on the device: the array itself where it is there already."""
        return torch.as_tensor(array).to(self.device, non_blocking=True)

    def parts(self, beams: FrameProbes, frames: NDArray[np.int64], size: int = 0) -> Iterator[Part]:
        """Yield the frames in groups that go through a pass together."""
        size, e = size or self._plan.size, self.exposures
        for start in range(0, len(frames), size):
            some = np.ascontiguousarray(frames[start : start + size])
            views = (some[:, None] * e + np.arange(e)).reshape(-1)
            where = slice(start, start + len(some))
            here = self.take(views)
            yield Part(where, self.frames.load(some, here if e == 1 else self.take(some)), here, beams.places[views])

    def signal(self, frames: NDArray[np.int64]) -> float:
        """Return the counts of some frames."""
        return float(self._signals[frames].sum())

    def refuse_exposures(self) -> None:
        """Refuse a pass that knows nothing of fly scans."""
        if self.problem.exposures:
            remedy = "Use an algorithm that supports fly scans, for example mPIE"
            raise InputError("This pass over the frames cannot do fly scans", found="exposures", remedy=remedy)

    def _check_slopes(self, beams: FrameProbes, frames: NDArray[np.int64]) -> None:
        """Refuse windows so near to the object's edge that it has no derivative there."""
        places, size = beams.places.reshape(len(self.problem.counts), -1, 2)[frames], np.array(self.problem.shape)
        if (places < RIM).any() or (places + size + RIM > self.problem.object_shape).any():
            remedy = "Positions and object do not belong together; start again from the scan"
            raise InputError(
                "A window has no two pixels of the object around it", found="a position at the edge", remedy=remedy
            )
