"""The passes over frames on the CPU: Numba and FFTs, each thread with its share of the frames and sums of its own.

The shares depend only on the frames and the number of threads, and sums are added in the order of the threads. So a run
with the same seed and number of threads gives the same bits. A thread gets frames that are close to each other: rows of
the object that no other thread uses are added to the sums of the first thread at once, and only the rows that several
threads use are added up after the pass.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import to_host
from exitwave.engine.backend import NOISE, Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cpu.buffers import Scratch, Share, ThreadSums
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels import sums as sum_loops
from exitwave.engine.backends.cpu.kernels.detector import DetectorArrays
from exitwave.engine.backends.cpu.kernels.fly_scan import gather_fly
from exitwave.engine.backends.cpu.kernels.gather import FrameParameters, gather
from exitwave.engine.backends.cpu.kernels.line import along_line
from exitwave.engine.backends.cpu.kernels.moves import position_derivatives
from exitwave.engine.backends.cpu.kernels.near_field import NearField
from exitwave.engine.backends.cpu.kernels.project import project
from exitwave.engine.backends.cpu.kernels.sequential import sequential
from exitwave.engine.backends.cpu.layout import Layout
from exitwave.engine.backends.cpu.threads import ThreadPool, default_threads, task
from exitwave.engine.backends.host_memory import allocate_waves
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.errors import InputError

_F32 = np.float32
_SMALL = 2**16
"""Pixels below which one thread updates an array as fast as several."""
_TINY = 1e-20
"""Makes a step 0 where the denominator is 0."""

_COLLECT, _DESCEND = task(sum_loops.collect), task(sum_loops.descend_together)


class CpuBackend:
    """The passes on all cores; see `Backend`.

    Parameters
    ----------
    problem : Problem
        Counts and geometry.
    modes : int
        Number of probe modes.
    threads : int or None
        Number of threads; None: as many as there are cores.
    """

    def __init__(self, problem: Problem, modes: int, threads: int | None = None) -> None:
        self.problem = problem
        self.threads = threads or default_threads()
        self._layout = Layout(problem)
        self._plans = self._layout.plans
        if not problem.counts.flags.c_contiguous:
            raise TypeError("the counts of a problem must be a contiguous array")
        self._invalid, self._floor = problem.counts.dtype.type(problem.invalid), _F32(problem.floor)
        self._signals = sum_loops.signals(problem.counts, self._invalid)
        self._probe = self._layout.probe(modes)
        self._thread_sums = ThreadSums(problem, modes, self._plans, self.threads)
        self._probe_sum = np.zeros((modes, *problem.shape), np.complex64)
        self._exposures = problem.exposures.count if problem.exposures else 1
        self._scratch = [Scratch(self._plans, modes * self._exposures, *problem.shape) for _ in range(self.threads)]
        self._near = [self._layout.near_field() for _ in range(self.threads)]
        self._pool = ThreadPool(self.threads)
        descent: NDArray[np.int64] = np.zeros(9, np.int64)
        self._descent = descent, descent[7:].view(_F32)
        self._loaded: tuple[Any, ...] = ()
        self._parameters: FrameParameters
        self._detectors: list[DetectorArrays | None] = [None] * self.threads

    def take(self, array: Any) -> NDArray[Any]:
        """Return an array on the host; see `Backend.take`."""
        return to_host(array)

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
        """Sum the corrections of the frames; see `Backend.gather`."""
        self._load_state(state)
        out = np.zeros((0, 0)) if responses is None else responses
        if responses is not None and (gradients or self.problem.slices):
            self._check_rims(frames)
        self._clear()
        shares = self._shares(frames)
        misfit, loss = self._gather_shares(state, shares, out, gradients, object, probe, noise)
        return self._sums(object, probe, self._misfit(misfit, frames), loss)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the derivatives of the loss along a line; see `Backend.line_derivatives`."""
        self._load_state(state)
        modes, layout = len(state.probe), self._layout
        direction = layout.probe(modes)
        layout.load_probe(direction, line.probe)
        moves = np.zeros((0, 2), _F32) if line.moves is None else line.moves.astype(_F32)

        def run(
            share: Share, scratch: Scratch, near: NearField | None, detector: DetectorArrays | None
        ) -> NDArray[np.float64]:
            start, probe, row_ramp, column_ramp = scratch.gather[:4]
            others, out = [layout.waves(len(start)) for _ in range(2)], np.zeros((len(lengths), 2))
            along_line(
                share.frames, self.problem.counts, self._invalid, self._floor, self._parameters, self._plans,
                state.object.view(_F32), *self._probe, line.object.view(_F32), *direction, moves, NOISE.index(noise),
                lengths.astype(_F32), out, near, detector, self._exposures,
                (start, *others, probe[:modes], layout.waves(modes), row_ramp, column_ramp, layout.ramps()),
                transforms.zeros(5, self._plans.columns if near is None else self._plans.stride),
                transforms.zeros(10 * (detector is not None), *self.problem.shape),
            )  # fmt: skip
            return out

        buffers = self._scratch, self._near, self._detectors
        return np.sum(self._run(run, self._shares(frames), *buffers), axis=0)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss with respect to the positions; see `Backend.position_derivatives`."""
        self._refuse_exposures()
        refuse_moves(self.problem.propagator)
        self._load_state(state)
        out, layout = np.zeros((len(frames), 5)), self._layout

        def run(share: Share, scratch: Scratch, detector: DetectorArrays | None) -> None:
            wave, probe, row_ramp, column_ramp = scratch.gather[:4]
            waves = wave, *(layout.waves(len(state.probe)) for _ in range(2)), probe
            position_derivatives(
                share.frames, share.indices, self.problem.counts, self._invalid, self._floor, self._parameters,
                self._plans, state.object.view(_F32), self._probe.spectrum, NOISE.index(noise), out, detector, waves,
                (row_ramp, column_ramp, layout.ramps()), transforms.zeros(10, *self.problem.shape),
            )  # fmt: skip

        self._run(run, self._shares(frames), self._scratch, self._detectors)
        return out

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: NDArray[np.complexfloating[Any]],
        weights: ProjectionWeights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the stored exit waves, and sum psi - P O like a correction; see `Backend.project`."""
        self._load_state(state)
        self._clear()
        self._refuse_exposures()
        stored, shares = self._layout.flat(waves, (len(frames), *state.probe.shape)), self._shares(frames)
        factors = [_F32(each) for each in weights or (0, 0, 0)]

        def run(number: int) -> float:
            self._clear_object(number)
            return project(
                shares[number].frames, shares[number].indices, stored, self.problem.counts, self._invalid,
                self._floor, self._parameters, self._plans, state.object.view(_F32), *self._probe,
                weights is not None, *factors, object, probe, self._near[number], self._detectors[number],
                self._scratch[number].project, *self._thread_sums.of(number),
            )  # fmt: skip

        difference = sum(self._run(run, range(self.threads)))
        misfit = self._misfit(difference, frames) if weights else Misfit(0.0, 0.0)
        return self._sums(object, probe, misfit)

    def allocate_waves(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the stored exit waves; see `Backend.allocate_waves`."""
        return allocate_waves(shape)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the counts; see `Backend.misfit`."""
        self._load_state(state)
        no_responses, shares = np.zeros((0, 0)), self._shares(frames)
        difference, _ = self._gather_shares(state, shares, no_responses, False, False, False, "amplitude")
        return self._misfit(difference, frames)

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        self._refuse_exposures()
        self._load_state(state)
        ny, nx = self.problem.shape
        difference = sequential(
            frames, self.problem.counts, self._invalid, self._floor, self._parameters, self._plans,
            state.object.view(_F32), self._probe.spectrum, *(object or (0.0, 1.0)), *(probe or (0.0, 1.0)),
            self._near[0], self._detectors[0], self._scratch[0].gather,
            transforms.zeros(ny, nx), transforms.zeros(ny, nx), transforms.zeros(2 * nx),
        )  # fmt: skip
        if probe:
            state.probe[:] = self._layout.inverse(self._probe.spectrum) / _F32(ny * nx)
        return self._misfit(difference, frames)

    def cross_term(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return the overlap of the exit-wave changes of two changes; see `Backend.cross_term`."""
        self._refuse_exposures()
        self._load_parameters(state)
        product = (state.probe.conj() * probe).sum(0).view(_F32)
        corners, obj, change = self._parameters.corners, state.object.view(_F32), object.view(_F32)
        return float(sum_loops.cross_term(frames, corners, obj, change, product))

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
        velocity: NDArray[np.complexfloating[Any]] | None = None,
    ) -> None:
        """Add the regularised step to the target in place; see `Backend.descend`."""
        arrays = target, numerator, target[:0] if velocity is None else velocity
        den = denominator.reshape(-1)
        out, num, also = (array.reshape(-1, den.size).view(_F32) for array in arrays)
        factors = _F32(step.length), _F32(1 - step.alpha), _F32(step.alpha * float(den.max()) + _TINY)
        for mode, numbers in enumerate(out):
            rows = numbers, also[mode] if len(also) else also[:0, 0], num[mode], den
            if den.size < _SMALL:
                sum_loops.descend(*rows, *factors)
            else:
                sum_loops.write_descent(*self._descent, self.threads, *rows, *factors)
                self._pool.share(_DESCEND, self._descent[0])

    def _shares(self, frames: NDArray[np.int64]) -> list[Share]:
        """Return every thread's share of some frames."""
        tops = self._parameters.corners[:, 0].reshape(len(self.problem.counts), -1)[frames]
        return self._thread_sums.distribute(frames, tops, self.problem.shape[0])

    def _gather_shares(
        self,
        state: State,
        shares: list[Share],
        responses: NDArray[np.float64],
        gradients: bool,
        object: bool,
        probe: bool,
        noise: Noise,
    ) -> tuple[float, float]:
        """Carry the frames through the model, every thread its share into its sums; return misfit and loss."""
        obj, flags = state.object.view(_F32), (NOISE.index(noise), object, probe, responses, gradients)

        def run(number: int) -> tuple[float, float]:
            self._clear_object(number)
            share, near, detector = shares[number], self._near[number], self._detectors[number]
            first = (
                share.frames, share.indices, self.problem.counts, self._invalid, self._floor, self._parameters,
                self._plans, obj,
            )  # fmt: skip
            last = self._scratch[number].gather, *self._thread_sums.of(number)
            if self.problem.exposures:
                return gather_fly(*first, self._probe.spectrum, *flags, near, self._exposures, *last)
            return gather(*first, *self._probe, *flags, near, detector, *last)

        differences, losses = zip(*self._run(run, range(self.threads)), strict=True)
        return sum(differences), sum(losses)

    def _misfit(self, difference: float, frames: NDArray[np.int64]) -> Misfit:
        """Return the misfit of frames, whose signal is known."""
        return Misfit(difference, float(self._signals[frames].sum()))

    def _sums(self, object: bool, probe: bool, misfit: Misfit, loss: float = 0.0) -> Sums:
        """Add the sums of the threads to those of the first, in the order of the threads, and return them."""
        if self.threads > 1:
            self._pool.share(_COLLECT, self._thread_sums.collect_arguments(object, probe))
        self._thread_sums.collected(object)
        object_num, object_den, probe_num, spectrum_num, probe_den, opr_num = (
            each[0] for each in self._thread_sums.all
        )
        if probe:
            sum_loops.take_probe_sums(self._probe_sum.view(_F32), probe_num, spectrum_num, self._plans)
        else:
            self._probe_sum.fill(0)
        return Sums(
            object_num.view(np.complex64),
            object_den,
            self._probe_sum,
            probe_den[:-1] / _F32(self._exposures) if self.problem.exposures else probe_den[:-1],
            misfit,
            loss,
            opr_modes=self._layout.inverse(opr_num) if len(opr_num) else None,
            background=self._background_sums(),
        )

    def _background_sums(self) -> NDArray[np.float64] | None:
        """Return the sums for the background, if it is refined."""
        found = [each.background_sums for each in self._detectors if each is not None and len(each.background_sums)]
        return np.sum(found, axis=0, dtype=np.float64) if found else None

    def _clear(self) -> None:
        """Set the sums of the last pass to 0; those of the object are cleared by `_clear_object`."""
        for each in self._detectors:
            if each is not None:
                each.background_sums[:] = 0
        self._thread_sums.clear()

    def _clear_object(self, number: int) -> None:
        """Clear the rows of the object's sums of the last pass that a thread owns."""
        for array in self._thread_sums.object:
            sum_loops.clear(array[0], self._thread_sums.owner, number, *self._thread_sums.stale)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a function on every thread, of which the caller's is the first, and return the results.

        The threads write to shared buffers: none may continue when an interrupt ends the pass.
        """
        try:
            return self._pool.run(function, *arguments)
        except BaseException:
            self._thread_sums.clear_all()
            raise

    def _load_state(self, state: State) -> None:
        """Check the state, and copy its probe and, if they are new, its other parameters."""
        self._layout.check(state)
        self._layout.load_probe(self._probe, state.probe)
        self._load_parameters(state)

    def _load_parameters(self, state: State) -> None:
        """Copy the parameters of the frames and of the detector, if they are new."""
        arrays = (
            state.positions,
            state.probe_factors,
            state.opr_modes,
            state.opr_weights,
            state.pointing,
            state.background,
        )
        if len(arrays) == len(self._loaded) and all(a is b for a, b in zip(arrays, self._loaded, strict=True)):
            return
        self._parameters, self._loaded = self._layout.frame_parameters(state), arrays
        count = len(self._parameters.opr_spectra)
        if count != self._thread_sums.opr_num.shape[1]:
            self._thread_sums.allocate_opr(count)
        self._detectors = [self._layout.detector(state) for _ in range(self.threads)]

    def _check_rims(self, frames: NDArray[np.int64]) -> None:
        """Refuse windows with less than two pixels of the object around them, which its derivative needs."""
        corners = self._parameters.corners.reshape(len(self.problem.counts), -1, 2)[frames]
        if (corners < 2).any() or (corners + np.array(self.problem.shape) + 2 > self.problem.object_shape).any():
            remedy = "Positions and object do not match; start again from the scan"
            raise InputError(
                "A window has less than two pixels of the object around it",
                found="a position at the edge of the object",
                remedy=remedy,
            )

    def _refuse_exposures(self) -> None:
        """Refuse a pass that does not support fly scans."""
        if self.problem.exposures:
            remedy = "Use an algorithm that supports fly scans, for example mPIE"
            raise InputError("This pass over the frames does not support fly scans", found="exposures", remedy=remedy)
