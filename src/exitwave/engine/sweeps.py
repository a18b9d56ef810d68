"""The seam between algorithms and backends: a handful of fused passes over frames.

With the exit wave psi_jk = P_k O_j (the probe shifted to its sub-pixel position, the object seen through its window),
the unitary Fourier transform F and the measured intensity I_j, every pass rests on

    chi_jk = F^-1 [ (sqrt(I_j) / sqrt(sum_k |F psi_jk|^2) - 1) F psi_jk ]

which is 0 on pixels without a measurement. (Where the wave is zero up to rounding, below `Problem.floor`, the
correction fades to zero: the measured amplitude must not take a random phase.) An algorithm sees nothing else of the
data, and a backend knows no algorithm.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.problem import Problem


@dataclass
class State:
    """What an algorithm improves."""

    object: NDArray[np.complexfloating[Any]]
    """Complex transmission, shape (rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """Probe modes, shape (modes, ny, nx)."""
    rng: np.random.Generator
    """The source of every random choice."""
    iteration: int = 0
    """Iterations done in this stage."""
    settling: bool = False
    """Whether this is the last part of the stage, in which an algorithm trades speed for less noise."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What an algorithm carries from one iteration to the next."""


class Misfit(NamedTuple):
    """The two sums behind the error metric E = sum M (sqrt(I) - sqrt(model))^2 / sum M I."""

    difference: float
    signal: float

    @property
    def error(self) -> float:
        """The error metric; NaN where there is no signal."""
        return self.difference / self.signal if self.signal else float("nan")


@dataclass(frozen=True)
class Sums:
    """What one pass over some frames adds up, all at the same object and probe."""

    object: NDArray[np.complexfloating[Any]]
    """sum_jk conj(P_k) chi_jk on the object's grid, shape (rows, columns)."""
    illumination: NDArray[np.floating[Any]]
    """sum_jk |P_k|^2 on the object's grid, shape (rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """sum_j conj(O_j) chi_jk, shifted back to the unshifted probe, shape (modes, ny, nx)."""
    transmission: NDArray[np.floating[Any]]
    """sum_j |O_j|^2 on the probe's grid, shape (ny, nx)."""
    misfit: Misfit
    """The error metric's two sums."""


class Step(NamedTuple):
    """A regularised step: ``length * numerator / ((1 - alpha) * denominator + alpha * max(denominator))``."""

    length: float
    alpha: float


class Sweeps(Protocol):
    """What a backend offers."""

    problem: Problem

    def gather(self, state: State, frames: NDArray[np.int64], *, object: bool = True, probe: bool = True) -> Sums:
        """Pass over the frames without changing the state; sums that are not wanted stay 0."""

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement, and nothing else."""

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame, in the order given; ``None`` leaves a quantity alone."""

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
    ) -> None:
        """Add the regularised step to the target in place."""
