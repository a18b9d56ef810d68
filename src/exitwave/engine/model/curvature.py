"""Curvature of the misfit along changes of the exit waves.

A change Phi of the wave Psi at the detector changes the amplitudes only by its part in the direction of Psi. The
curvature of the misfit sum (sqrt(I) - sqrt(sum_k |Psi_k|^2))^2 / 2 close to the solution is, for several changes Phi_m,

    K_mn = sum (Re sum_k conj(Psi_k) Phi_mk) (Re sum_k conj(Psi_k) Phi_nk) / sum_k |Psi_k|^2

and the weights v of the changes that explain chi are K^-1 (<phi_m, chi>)_m, as long as they are small.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.engine.problem import Problem
from exitwave.engine.state import State

SAMPLE = 8
"""Number of frames that the curvature is computed from. Every call chooses new ones at random."""
Waves = NDArray[np.complexfloating[Any]]


def mean_curvature(state: State, problem: Problem, changes: Callable[[Waves], Waves]) -> NDArray[np.float64]:
    """Return the mean of K over a sample of frames, relative to <psi, psi>, shape (changes, changes).

    Parameters
    ----------
    changes : callable
        Takes the window of the object, shape (ny, nx), and returns the changes of the exit waves, shape (changes,
        modes, ny, nx); fewer modes are the first ones. The probe has no per-frame parameters here, and windows are
        taken at whole pixels.
    """
    chosen = problem.used[state.rng.integers(len(problem.used), size=SAMPLE)]
    ny, nx = problem.shape
    count = len(changes(state.object[:ny, :nx]))
    sums = np.zeros((count + 1, count))  # K, and the power in the last row
    local = chosen[problem.local(chosen)[0]]
    for top, left in problem.windows(state.positions)[0][local] - problem.tile.origin:
        window = state.object[top : top + ny, left : left + nx]
        waves, change = _at_detector(problem, state.probe * window), _at_detector(problem, changes(window))
        amplitude = np.sqrt((waves.real**2 + waves.imag**2).sum(0)) + waves.real.dtype.type(problem.floor)
        radial = (waves[: change.shape[1]].conj() * change).real.sum(1) / amplitude
        flat = radial.reshape(len(change), -1).astype(np.float64)
        sums[:-1] += flat @ flat.T
        sums[-1] += float((amplitude**2).sum())
    problem.communicator.add(sums)
    return sums[:-1] / sums[-1]


def _at_detector(problem: Problem, waves: Waves) -> Waves:
    """Return exit waves at the detector."""
    if problem.propagator is not None:
        return problem.propagator.forth(waves, np.zeros(2))
    return np.asarray(fft.fft2(waves, norm="ortho"))
