"""The sweeps on the CPU: Numba and FFTW, every thread with a share of the frames and with sums of its own.

The shares depend on the number of threads only, and the sums are added in the order of the threads, so that a run
with the same seed and number of threads gives the same bits.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine import fftw, kernels
from exitwave.engine.problem import Problem
from exitwave.engine.sweeps import Misfit, State, Step, Sums

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

    def gather(self, state: State, frames: NDArray[np.int64], *, object: bool = True, probe: bool = True) -> Sums:
        """Pass over the frames without changing the state; see `Sweeps.gather`."""
        misfit = self._carry(state, frames, object, probe)
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
        return self._carry(state, frames, object=False, probe=False)

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

    def _carry(self, state: State, frames: NDArray[np.int64], object: bool, probe: bool) -> Misfit:
        """Carry the frames through the model, every thread its share into its own sums."""
        self._load_probe(state)
        shares = np.array_split(np.ascontiguousarray(frames), self.threads)

        def share(worker: _Worker, part: NDArray[np.int64]) -> tuple[float, float]:
            return kernels.gather(
                part, self.problem.stack, self._invalid, self._floor, self._corners, self._shifts, self._plans,
                state.object.view(_F32), self._probe, self._spectrum, object, probe, worker.scratch, *worker.sums,
            )  # fmt: skip

        differences, signals = zip(*self._pool.map(share, self._workers, shares), strict=True)
        return Misfit(sum(differences), sum(signals))

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

        list(self._pool.map(share, range(self.threads)))
        return totals

    def _as_probe(self, flat: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return flat modes as a view of shape (modes, ny, nx)."""
        return flat.view(np.complex64)[:, : self._size].reshape(-1, *self.problem.shape)

    def _inverse(self, spectrum: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the unnormalised inverse transform of a spectrum, shape (modes, ny, nx), in the spectrum's place."""
        kernels.transform(self._plans[1], spectrum)
        return self._as_probe(spectrum)
