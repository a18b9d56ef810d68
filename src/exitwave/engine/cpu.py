"""The sweeps on the CPU: Numba and FFTW, every thread with a share of the frames and with sums of its own.

The shares depend on the number of threads only, and the sums are added in the order of the threads, so that a run
with the same seed and number of threads gives the same bits.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import fftw, kernels, kernels_line, kernels_products, kernels_project
from exitwave.engine.problem import Problem
from exitwave.engine.sweeps import NOISE, Line, Misfit, Noise, State, Step, Sums, Weights

_F32 = np.float32


class _Worker:
    """The buffers of one thread."""

    def __init__(self, problem: Problem, modes: int, stride: int) -> None:
        (ny, nx), (rows, columns) = problem.shape, problem.object_shape
        row, row_ramp, column_ramp = np.zeros(nx, _F32), np.zeros(2 * ny, _F32), np.zeros(2 * nx, _F32)
        self.scratch = (fftw.zeros(modes, 2 * stride), fftw.zeros(modes, 2 * stride), row, row_ramp, column_ramp)
        self.power = np.zeros(stride, _F32)
        self.object_num = np.zeros((rows, 2 * columns), _F32)
        self.object_den = np.zeros((rows, columns), _F32)
        self.probe_num = fftw.zeros(modes, 2 * stride)
        self.spectrum_num = fftw.zeros(modes, 2 * stride)
        self.probe_den = np.zeros(stride, _F32)
        self.sums = (self.object_num, self.object_den, self.probe_num, self.spectrum_num, self.probe_den)


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CpuSweeps:
    """The sweeps on all cores; see `Sweeps` for what each does.

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
        ny, nx = problem.shape
        self._size = ny * nx
        self._stride = -(-self._size // 8) * 8
        self._plans = fftw.plans((ny, nx))
        corners, self._shifts = problem.windows()
        self._corners = np.ascontiguousarray(corners)
        self._invalid, self._floor = problem.stack.dtype.type(problem.invalid), _F32(problem.floor)
        self._probe, self._spectrum = fftw.zeros(modes, 2 * self._stride), fftw.zeros(modes, 2 * self._stride)
        self._workers = [_Worker(problem, modes, self._stride) for _ in range(self.threads)]
        self._pool = ThreadPoolExecutor(self.threads)

    def gather(
        self,
        state: State,
        frames: NDArray[np.int64],
        *,
        object: bool = True,
        probe: bool = True,
        chi: NDArray[np.complexfloating[Any]] | None = None,
        noise: Noise = "amplitude",
    ) -> Sums:
        """Pass over the frames without changing the state; see `Sweeps.gather`."""
        kept = np.zeros((0, 0, 0), _F32) if chi is None else self._flat(chi, frames, state)
        misfit, loss = self._carry(state, frames, kept, object, probe, noise)
        return replace(self._sums(misfit), loss=loss)

    def along(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return the loss's derivatives along a line; see `Sweeps.along`."""
        self._load_probe(State(line.object, line.probe, state.rng))
        aside = line.object.view(_F32), self._probe.copy(), self._spectrum.copy()
        self._load_probe(state)
        (shares,) = self._split(frames)
        return np.sum(self._run(lambda share: self._along(state, aside, share, lengths, noise), shares), axis=0)

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: NDArray[np.complexfloating[Any]],
        weights: Weights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the frames' own exit waves and add up what the model lacks of them; see `Sweeps.project`."""
        self._load_probe(state)
        a, b, c = map(_F32, weights or (0, 0, 0))

        def share(worker: _Worker, part: NDArray[np.int64], kept: NDArray[np.float32]) -> tuple[float, float]:
            return kernels_project.project(
                part, kept, self.problem.stack, self._invalid, self._floor, self._corners, self._shifts, self._plans,
                state.object.view(_F32), self._probe, self._spectrum, weights is not None, a, b, c, object, probe,
                worker.scratch, *worker.sums,
            )  # fmt: skip

        parts = self._split(frames, self._flat(waves, frames, state))
        differences, signals = zip(*self._run(share, self._workers, *parts), strict=True)
        return self._sums(Misfit(sum(differences), sum(signals)))

    def _sums(self, misfit: Misfit) -> Sums:
        """Add up what the threads have collected."""
        object_num, object_den, probe_num, spectrum_num, probe_den = self._totals()
        return Sums(
            object_num.view(np.complex64),
            object_den,
            self._as_probe(probe_num) + self._inverse(spectrum_num),
            probe_den[: self._size].reshape(self.problem.shape),
            misfit,
        )

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement; see `Sweeps.misfit`."""
        return self._carry(state, frames, np.zeros((0, 0, 0), _F32), False, False, "amplitude")[0]

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame; see `Sweeps.sequential`."""
        self._load_probe(state)
        worker = self._workers[0]
        misfit = kernels.sequential(
            frames, self.problem.stack, self._invalid, self._floor, self._corners, self._shifts, self._plans,
            state.object.view(_F32), self._spectrum, *(object or (0.0, 1.0)), *(probe or (0.0, 1.0)),
            worker.scratch, worker.power,
        )  # fmt: skip
        if probe:
            state.probe[:] = self._inverse(self._spectrum) / np.float32(self._size)
        return Misfit(*misfit)

    def products(
        self,
        state: State,
        frames: NDArray[np.int64],
        chi: NDArray[np.complexfloating[Any]],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> NDArray[np.float64]:
        """Return every frame's products of its changes with each other and with chi; see `Sweeps.products`."""
        self._load_probe(state)
        change, spectrum = fftw.zeros(*self._probe.shape), fftw.zeros(*self._probe.shape)
        self._as_probe(change)[:] = probe
        spectrum[:] = change
        kernels.transform(self._plans[0], spectrum)
        out = np.zeros((len(frames), 5))
        shares = zip(self._workers, *self._split(frames, self._flat(chi, frames, state), out), strict=True)
        jobs = [
            self._pool.submit(
                kernels_products.products, out, share, kept, self._corners, self._shifts, self._plans[1],
                (state.object.view(_F32), object.view(_F32)), (self._probe, self._spectrum), (change, spectrum),
                worker.scratch, *self.problem.shape,
            )
            for worker, share, kept, out in shares
        ]  # fmt: skip
        for job in jobs:
            job.result()
        return out

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
    ) -> None:
        """Add the regularised step to the target in place; see `Sweeps.descend`."""
        out, num, den = target.view(_F32).reshape(-1), numerator.view(_F32).reshape(-1), denominator.reshape(-1)
        largest = den.max()
        for part in range(len(out) // (2 * len(den))):
            piece = slice(part * 2 * len(den), (part + 1) * 2 * len(den))
            kernels.descend(out[piece], num[piece], den, largest, *step)

    def _split(self, frames: NDArray[np.int64], *arrays: NDArray[Any]) -> list[list[NDArray[Any]]]:
        """Return every thread's share of the frames, and of arrays with a row for each of them."""
        return [np.array_split(array, self.threads) for array in (np.ascontiguousarray(frames), *arrays)]

    def _flat(self, waves: NDArray[Any], frames: NDArray[np.int64], state: State) -> NDArray[np.float32]:
        """Check the frames' own waves, and return them as (frames, modes, 2 * ny * nx)."""
        shape = (len(frames), *state.probe.shape)
        if waves.shape != shape or waves.dtype != np.complex64 or not waves.flags.c_contiguous:
            raise TypeError(f"waves need contiguous complex64 arrays of shape {shape}, not {waves.dtype} {waves.shape}")
        return waves.reshape(*shape[:2], -1).view(_F32)

    def _carry(
        self,
        state: State,
        frames: NDArray[np.int64],
        kept: NDArray[np.float32],
        object: bool,
        probe: bool,
        noise: Noise,
    ) -> tuple[Misfit, float]:
        """Carry the frames through the model, every thread its share into its own sums; return misfit and loss."""
        self._load_probe(state)

        def share(worker: _Worker, part: NDArray[np.int64], own: NDArray[np.float32]) -> tuple[float, float, float]:
            return kernels.gather(
                part, self.problem.stack, self._invalid, self._floor, self._corners, self._shifts, self._plans,
                state.object.view(_F32), self._probe, self._spectrum, NOISE.index(noise), object, probe, own,
                worker.scratch, *worker.sums,
            )  # fmt: skip

        done = self._run(share, self._workers, *self._split(frames, kept))
        differences, signals, losses = zip(*done, strict=True)
        return Misfit(sum(differences), sum(signals)), sum(losses)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Run a function on every thread. The threads own buffers: none may go on when an interrupt ends the pass."""
        jobs = [self._pool.submit(function, *each) for each in zip(*arguments, strict=True)]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            wait(jobs)
            for worker in self._workers:
                for array in worker.sums:
                    array.fill(0)
            raise

    def _along(
        self,
        state: State,
        line: tuple[NDArray[np.float32], ...],
        frames: NDArray[np.int64],
        lengths: NDArray[np.float64],
        noise: Noise,
    ) -> NDArray[np.float64]:
        """Carry one thread's share of the frames along a line: its object, its probe and the probe's spectrum."""
        ny, nx = self.problem.shape
        waves = [fftw.zeros(*self._probe.shape) for _ in range(5)]
        scratch, out = (*waves, np.zeros(2 * ny, _F32), np.zeros(2 * nx, _F32)), np.zeros((len(lengths), 2))
        kernels_line.along(
            frames, self.problem.stack, self._invalid, self._floor, self._corners, self._shifts, self._plans,
            state.object.view(_F32), self._probe, self._spectrum, *line, NOISE.index(noise), lengths.astype(_F32), out,
            scratch, np.zeros((5, nx), _F32),
        )  # fmt: skip
        return out

    def _load_probe(self, state: State) -> None:
        """Check the state, and copy the probe into the aligned buffers, as it is and transformed.

        The compiled loops check nothing: an array of another kind would be read as if it were the right one.
        """
        for array, shape in ((state.object, self.problem.object_shape), (state.probe[0], self.problem.shape)):
            if array.shape != shape or array.dtype != np.complex64 or not array.flags.c_contiguous:
                raise TypeError(
                    f"a state needs contiguous complex64 arrays of shape {shape}, not {array.dtype} {array.shape}"
                )
        self._as_probe(self._probe)[:] = state.probe
        self._spectrum[:] = self._probe
        kernels.transform(self._plans[0], self._spectrum)

    def _totals(self) -> list[NDArray[np.float32]]:
        """Add up the sums of all threads, in their order, into new arrays; the threads' own become zero again."""
        totals = [fftw.zeros(*array.shape) for array in self._workers[0].sums]

        def share(piece: int) -> None:
            for number, worker in enumerate(self._workers):
                for total, part in zip(totals, worker.sums, strict=True):
                    low, high = (total.size * k // self.threads for k in (piece, piece + 1))
                    kernels.drain(total.reshape(-1)[low:high], part.reshape(-1)[low:high], number == 0)

        self._run(share, range(self.threads))
        return totals

    def _as_probe(self, flat: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return flat modes as a view of shape (modes, ny, nx)."""
        return flat.view(np.complex64)[:, : self._size].reshape(-1, *self.problem.shape)

    def _inverse(self, spectrum: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the unnormalised inverse transform of a spectrum, shape (modes, ny, nx), in the spectrum's place."""
        kernels.transform(self._plans[1], spectrum)
        return self._as_probe(spectrum)
