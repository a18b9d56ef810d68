"""The sweeps on the CPU: Numba and FFTs, every thread with a share of the frames and with sums of its own.

The shares depend on the number of threads only, and the sums are added in the order of the threads, so that a run
with the same seed and number of threads gives the same bits. A thread takes frames that lie side by side: what it alone
sees of the object it adds to the sums of the first at once, and only the rows that several see are added up after it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.arrays import to_host
from exitwave.engine.backend import NOISE, Line, Misfit, Noise, ProjectionWeights, Step, Sums
from exitwave.engine.backends.cpu.buffers import Beam, Scratch, Share, Totals
from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels.detector import Pixels
from exitwave.engine.backends.cpu.kernels.fly_scan import gather_fly
from exitwave.engine.backends.cpu.kernels.gather import FrameParameters, gather
from exitwave.engine.backends.cpu.kernels.line import along
from exitwave.engine.backends.cpu.kernels.moves import moves
from exitwave.engine.backends.cpu.kernels.near_field import Near
from exitwave.engine.backends.cpu.kernels.project import project
from exitwave.engine.backends.cpu.kernels.sequential import sequential
from exitwave.engine.backends.cpu.kernels.sums import (
    clear,
    collect,
    cross_term,
    descend,
    descend_together,
    describe,
    signals,
    take,
)
from exitwave.engine.backends.cpu.kernels.waves import load, transform_columns, transform_rows
from exitwave.engine.backends.cpu.threads import ThreadPool, default_threads, task
from exitwave.engine.backends.host_memory import room
from exitwave.engine.model.detector import ideal
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.errors import InputError

_F32 = np.float32
_SMALL = 2**16
"""Pixels that one thread updates as fast as many."""
_TINY = 1e-20
"""Makes a step 0 where nothing gives it a denominator."""


_COLLECT, _DESCEND = task(collect), task(descend_together)


class CpuBackend:
    """The sweeps on all cores; see `Backend` for what each does.

    Parameters
    ----------
    problem : Problem
        The frames and their positions.
    modes : int
        Number of probe modes.
    threads : int or None
        Number of threads; None takes every core.
    """

    def __init__(self, problem: Problem, modes: int, threads: int | None = None) -> None:
        self.problem = problem
        self.threads = threads or default_threads()
        self._plans = transforms.plans(problem.shape)
        if not problem.counts.flags.c_contiguous:
            raise TypeError("a problem needs a contiguous stack")
        self._invalid, self._floor = problem.counts.dtype.type(problem.invalid), _F32(problem.floor)
        self._signals = signals(problem.counts, self._invalid)
        self._beam = self._empty_beam(modes)
        self._parts = Totals(problem, modes, self._plans, self.threads)
        self._wanted = np.zeros((modes, *problem.shape), np.complex64)
        self._exposures = problem.exposures.count if problem.exposures else 1
        self._scratch = [Scratch(self._plans, modes * self._exposures, *problem.shape) for _ in range(self.threads)]
        self._near = [self._way() for _ in range(self.threads)]
        self._pool = ThreadPool(self.threads)
        said: NDArray[np.int64] = np.zeros(9, np.int64)
        self._descent = said, said[7:].view(_F32)
        self._seen: tuple[Any, ...] = ()
        self._own: FrameParameters
        self._pixels: list[Pixels | None] = [None] * self.threads

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
        """Pass over the frames without changing the state; see `Backend.gather`."""
        self._load_state(state)
        told = np.zeros((0, 0)) if responses is None else responses
        if responses is not None and (gradients or self.problem.slices):
            self._check_slopes(frames)
        self._clear()
        shares = self._shares(frames)
        misfit, loss = self._carry(state, shares, told, gradients, object, probe, noise)
        return self._sums(object, probe, self._misfit(misfit, frames), loss)

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Backend.along`."""
        self._load_state(state)
        aside = self._empty_beam(len(state.probe))
        self._load(aside, line.probe)
        moved = np.zeros((0, 2), _F32) if line.moves is None else line.moves.astype(_F32)

        def share(part: Share, scratch: Scratch, near: Near | None, pixels: Pixels | None) -> NDArray[np.float64]:
            wave, first, row_ramp, column_ramp = scratch.gather[:4]
            waves, out = [self._waves(len(wave)) for _ in range(2)], np.zeros((len(lengths), 2))
            second = self._waves(len(state.probe))
            along(
                part.frames, self.problem.counts, self._invalid, self._floor, self._own, self._plans,
                state.object.view(_F32), *self._beam, line.object.view(_F32), *aside, moved, NOISE.index(noise),
                lengths.astype(_F32), out, near, pixels, self._exposures,
                (wave, *waves, first[: len(state.probe)], second, row_ramp, column_ramp, self._slants()),
                transforms.zeros(5, self._plans.columns if near is None else self._plans.stride),
                transforms.zeros(10 * (pixels is not None), *self.problem.shape),
            )  # fmt: skip
            return out

        own = self._scratch, self._near, self._pixels
        return np.sum(self._run(share, self._shares(frames), *own), axis=0)

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return what the frames tell of their positions; see `Backend.moves`."""
        self._refuse_exposures()
        refuse_moves(self.problem.propagator)
        self._load_state(state)
        out = np.zeros((len(frames), 5))

        def share(part: Share, scratch: Scratch, pixels: Pixels | None) -> None:
            wave, beam, row_ramp, column_ramp = scratch.gather[:4]
            waves = wave, *(self._waves(len(state.probe)) for _ in range(2)), beam
            moves(
                part.frames, part.places, self.problem.counts, self._invalid, self._floor, self._own, self._plans,
                state.object.view(_F32), self._beam.spectrum, NOISE.index(noise), out, pixels, waves,
                (row_ramp, column_ramp, self._slants()), transforms.zeros(10, *self.problem.shape),
            )  # fmt: skip

        self._run(share, self._shares(frames), self._scratch, self._pixels)
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
        """Advance the frames' own exit waves and add up what the model lacks of them; see `Backend.project`."""
        self._load_state(state)
        self._clear()
        kept, shares = self._flat(waves, frames, state), self._shares(frames)
        factors = [_F32(each) for each in weights or (0, 0, 0)]

        def share(number: int) -> float:
            self._make_room(number)
            return project(
                shares[number].frames, shares[number].places, kept, self.problem.counts, self._invalid,
                self._floor, self._own, self._plans, state.object.view(_F32), *self._beam,
                weights is not None, *factors, object, probe, self._near[number], self._pixels[number],
                self._scratch[number].project, *self._parts.of(number),
            )  # fmt: skip

        difference = sum(self._run(share, range(self.threads)))
        misfit = self._misfit(difference, frames) if weights else Misfit(0.0, 0.0)
        return self._sums(object, probe, misfit)

    def allocate_waves(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the frames' own waves; see `Backend.room`."""
        return room(shape)

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Backend.misfit`."""
        self._load_state(state)
        silent = np.zeros((0, 0))
        return self._misfit(
            self._carry(state, self._shares(frames), silent, False, False, False, "amplitude")[0], frames
        )

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Backend.sequential`."""
        self._refuse_exposures()
        self._load_state(state)
        ny, nx = self.problem.shape
        difference = sequential(
            frames, self.problem.counts, self._invalid, self._floor, self._own, self._plans,
            state.object.view(_F32), self._beam.spectrum, *(object or (0.0, 1.0)), *(probe or (0.0, 1.0)),
            self._near[0], self._pixels[0], self._scratch[0].gather,
            transforms.zeros(ny, nx), transforms.zeros(ny, nx), transforms.zeros(2 * nx),
        )  # fmt: skip
        if probe:
            state.probe[:] = self._inverse(self._beam.spectrum) / _F32(ny * nx)
        return self._misfit(difference, frames)

    def cross_term(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return how much of the exit waves two changes change alike; see `Backend.crossing`."""
        self._refuse_exposures()
        self._know(state)
        both = (state.probe.conj() * probe).sum(0).view(_F32)
        return float(cross_term(frames, self._own.corners, state.object.view(_F32), object.view(_F32), both))

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
                descend(*rows, *factors)
            else:
                describe(*self._descent, self.threads, *rows, *factors)
                self._pool.share(_DESCEND, self._descent[0])

    def _shares(self, frames: NDArray[np.int64]) -> list[Share]:
        """Return every thread's share of some frames."""
        tops = self._own.corners[:, 0].reshape(len(self.problem.counts), -1)[frames]
        return self._parts.share(frames, tops, self.problem.shape[0])

    def _carry(
        self,
        state: State,
        shares: list[Share],
        told: NDArray[np.float64],
        gradients: bool,
        object: bool,
        probe: bool,
        noise: Noise,
    ) -> tuple[float, float]:
        """Carry the frames through the model, every thread its share into its own sums; return misfit and loss."""

        def moving(number: int) -> tuple[float, float]:
            return gather_fly(
                shares[number].frames, shares[number].places, self.problem.counts, self._invalid, self._floor,
                self._own, self._plans, state.object.view(_F32), self._beam.spectrum,
                NOISE.index(noise), object, probe, told, gradients, self._near[number], self._exposures,
                self._scratch[number].gather, *self._parts.of(number),
            )  # fmt: skip

        def share(number: int) -> tuple[float, float]:
            self._make_room(number)
            if self.problem.exposures:
                return moving(number)
            return gather(
                shares[number].frames, shares[number].places, self.problem.counts, self._invalid, self._floor,
                self._own, self._plans, state.object.view(_F32), *self._beam,
                NOISE.index(noise), object, probe, told, gradients, self._near[number], self._pixels[number],
                self._scratch[number].gather, *self._parts.of(number),
            )  # fmt: skip

        differences, losses = zip(*self._run(share, range(self.threads)), strict=True)
        return sum(differences), sum(losses)

    def _misfit(self, difference: float, frames: NDArray[np.int64]) -> Misfit:
        """Return the misfit of frames whose signal is known."""
        return Misfit(difference, float(self._signals[frames].sum()))

    def _sums(self, object: bool, probe: bool, misfit: Misfit, loss: float = 0.0) -> Sums:
        """Add what the threads have collected to the sums of the first, in the order of the threads."""
        if self.threads > 1:
            self._pool.share(_COLLECT, self._parts.collecting(object, probe))
        self._parts.collected(object)
        object_num, object_den, probe_num, spectrum_num, probe_den, varied_num = (each[0] for each in self._parts.all)
        if probe:
            take(self._wanted.view(_F32), probe_num, spectrum_num, self._plans)
        else:
            self._wanted.fill(0)
        return Sums(
            object_num.view(np.complex64),
            object_den,
            self._wanted,
            probe_den[:-1] / _F32(self._exposures) if self.problem.exposures else probe_den[:-1],
            misfit,
            loss,
            opr_modes=self._inverse(varied_num) if len(varied_num) else None,
            background=self._blamed(),
        )

    def _blamed(self) -> NDArray[np.float64] | None:
        """Return what the frames have said of the background, where it is learnt."""
        said = [pixels.change for pixels in self._pixels if pixels is not None and len(pixels.change)]
        return np.sum(said, axis=0, dtype=np.float64) if said else None

    def _clear(self) -> None:
        """Set the sums of the last pass to 0 that are not yet; for the object's `_make_room` does it."""
        for pixels in self._pixels:
            if pixels is not None:
                pixels.change[:] = 0
        self._parts.clear()

    def _make_room(self, number: int) -> None:
        """Clear the object's sums of the last pass, every thread the rows that it keeps."""
        for array in self._parts.object:
            clear(array[0], self._parts.keeper, number, *self._parts.stale)

    def _flat(self, waves: NDArray[Any], frames: NDArray[np.int64], state: State) -> NDArray[np.float32]:
        """Check the frames' own waves, and return them as (frames, modes, 2 * ny * nx)."""
        self._refuse_exposures()
        shape = (len(frames), *state.probe.shape)
        if waves.shape != shape or waves.dtype != np.complex64 or not waves.flags.c_contiguous:
            raise TypeError(f"waves need contiguous complex64 arrays of shape {shape}, not {waves.dtype} {waves.shape}")
        return waves.reshape(*shape[:2], -1).view(_F32)

    def _slants(self) -> NDArray[np.float32]:
        """Return scratch for two ramps."""
        return transforms.zeros(2, 2 * max(self.problem.shape[0], self._plans.stride))

    def _refuse_exposures(self) -> None:
        """Refuse a pass that knows nothing of fly scans."""
        if self.problem.exposures:
            remedy = "Use an algorithm that supports fly scans, for example mPIE"
            raise InputError("This pass over the frames cannot do fly scans", found="exposures", remedy=remedy)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Run a function on every thread, of which this is the first, and return what each returns.

        The threads own buffers: none may go on when an interrupt ends the pass.
        """
        try:
            return self._pool.run(function, *arguments)
        except BaseException:
            self._parts.empty()
            raise

    def _way(self) -> Near | None:
        """Return the way to a detector in the near field, with scratch for one thread; None in the far field."""
        if self.problem.propagator is None:
            return None
        (ny, nx), plans = self.problem.shape, self._plans
        transfer = self._waves(1)
        self._as_probe(transfer)[0] = self.problem.propagator.transfer / (ny * nx)
        ramps = transforms.zeros(2 * ny), transforms.zeros(2 * plans.stride), transforms.zeros(2 * plans.columns)
        return Near(transfer[0], *ramps, transforms.zeros(plans.stride), transforms.zeros(plans.stride))

    def _waves(self, modes: int) -> NDArray[np.float32]:
        """Return zeros in the layout of the loops."""
        return transforms.zeros(modes, self._plans.height, 2 * self._plans.stride)

    def _empty_beam(self, modes: int) -> Beam:
        """Return a place for a probe."""
        return Beam(self._waves(modes), self._waves(modes))

    def _load(self, beam: Beam, probe: NDArray[np.complexfloating[Any]]) -> None:
        """Copy a probe, as it is and transformed."""
        load(*beam, np.ascontiguousarray(probe, np.complex64).view(_F32), self._plans)

    def _load_state(self, state: State) -> None:
        """Check the state, and copy its probe and what the frames have of their own.

        The compiled loops check nothing: an array of another kind would be read as if it were the right one.
        """
        for array, shape in ((state.object, self.problem.full_shape), (state.probe[0], self.problem.shape)):
            if array.shape != shape or array.dtype != np.complex64 or not array.flags.c_contiguous:
                raise TypeError(
                    f"a state needs contiguous complex64 arrays of shape {shape}, not {array.dtype} {array.shape}"
                )
        self._load(self._beam, state.probe)
        self._know(state)

    def _know(self, state: State) -> None:
        """Copy what the frames have of their own, where it is new."""
        seen = (
            state.positions,
            state.probe_factors,
            state.opr_modes,
            state.opr_weights,
            state.pointing,
            state.background,
        )
        if len(seen) != len(self._seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._own, self._seen = self._load_own(state), seen
            self._pixels = [self._load_detector(state) for _ in range(self.threads)]

    def _load_own(self, state: State) -> FrameParameters:
        """Return what the frames have of their own, in the layout of the loops."""
        if self.problem.exposures:
            state = self.problem.exposures.spread(state, self.problem.pixels)
        corners, shifts = self.problem.windows(state.positions)
        npos, opr_modes = len(corners), state.opr_modes
        probe_factors = np.ones(npos) if state.probe_factors is None else state.probe_factors
        count = 0 if opr_modes is None else len(opr_modes)
        if count != self._parts.varied_num.shape[1]:
            self._parts.vary(count)
        beam = self._empty_beam(count)
        if opr_modes is not None:
            self._load(beam, opr_modes)
        weights = np.zeros((npos, 0)) if state.opr_weights is None else state.opr_weights
        pointing = np.zeros((0, 2)) if state.pointing is None else state.pointing
        places, factors, parts, angles = (
            np.ascontiguousarray(each, _F32) for each in (shifts, probe_factors, weights, pointing)
        )
        return FrameParameters(np.ascontiguousarray(corners), places, factors, parts, beam.spectrum, angles)

    def _load_detector(self, state: State) -> Pixels | None:
        """Return the detector in the layout of the loops, with scratch for a thread; None: it is ideal."""
        problem, frame = self.problem, self.problem.counts.shape[1:]
        if problem.detector is None and state.background is None:
            return None
        detector = problem.detector or ideal((frame[0], frame[1]))
        more = 0 if state.background is None else state.background
        kernel, q = detector.kernel.astype(_F32), detector.oversample
        flat, background, cap = (
            np.ascontiguousarray(each, _F32) for each in (detector.flat, detector.background + more, detector.cap)
        )
        planes = transforms.zeros(4, *problem.shape)
        line, sums = (
            transforms.zeros(problem.shape[1] + len(kernel)),
            transforms.zeros(2 * (state.background is not None), *frame),
        )
        return Pixels(flat, background, cap, kernel, q, planes, line, sums)

    def _check_slopes(self, frames: NDArray[np.int64]) -> None:
        """Refuse windows so near to the object's edge that it has no derivative there."""
        corners, size = self._own.corners.reshape(len(self.problem.counts), -1, 2)[frames], np.array(self.problem.shape)
        if (corners < 2).any() or (corners + size + 2 > self.problem.object_shape).any():
            remedy = "Positions and object do not belong together; start again from the scan"
            raise InputError(
                "A window has no two pixels of the object around it", found="a position at the edge", remedy=remedy
            )

    def _as_probe(self, waves: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return waves in the layout of the loops as a view of shape (modes, ny, nx)."""
        ny, nx = self.problem.shape
        return waves.view(np.complex64)[:, :ny, :nx]

    def _inverse(self, spectrum: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the unnormalised inverse transform of a spectrum, shape (modes, ny, nx), in the spectrum's place."""
        transform_columns(self._plans.columns_backward, spectrum, self._plans)
        transform_rows(self._plans.rows_backward, spectrum, self._plans)
        return self._as_probe(spectrum)
