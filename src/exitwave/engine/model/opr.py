"""The probe varies from frame to frame: orthogonal probe relaxation.

The first mode of frame j is P_0 + sum_m v_jm U_m, with few variations U_m for all frames and weights v_jm of every
frame's own: M. Odstrcil et al., Opt. Express 24, 8360 (2016), and M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt.
Express 26, 3108 (2018), eq. 31. Of what they do to a frame the measurement may see no more than a hundredth, for much
of what a probe can do is a phase at the detector. So the weights take steps of Gauss and Newton, after every iteration,
with the mean curvature K relative to <psi, psi> of the frames that `curvature` looks at,

    v_j <- v_j + step (K <psi_j, psi_j>)^-1 (<U_m O_j, chi_j>)_m

and the variations take a step after every batch B of frames, as the probe does:

    U_m <- U_m + step sum_j v_jm conj(O_j) chi_j / (s_m^2 ((1 - alpha) T + alpha max T)),   T = sum_j |O_j|^2

s_m^2 is the mean of v_jm^2 over all frames. Where the weights of a batch are larger or correlated, the step is shorter.

It begins with weights at random and U = 0, where the sum over j is a random sketch of what all frames ask for: N.
Halko, P. Martinsson and J. Tropp, SIAM Rev. 53, 217 (2011). After every iteration the variations get orthogonal axes
for the same product (<a, b> = Re sum conj(a) b, for the weights are real) by a singular value decomposition: weights of
different variations are uncorrelated and ||U_m|| = ||P_0||, so that a weight says how large the variation is.

What belongs to the probe is kept out: the mean of the weights, and a phase of the whole mode, i P_0, which no pattern
tells. So is noise. A frame has a share in the variations that are fitted to it: its own noise eta_j makes up
v_j eta_j / (n s^2) of U for weights of scatter s, and so adds v_j ||eta_j||^2 / (n s^2 K) to its weight. What a frame
lacks, sum (sqrt(I_j) - sqrt(model_j))^2, is ||eta_j||^2 or more, so weights keep the part

    max(FAINT, 1 - SELF mean_j ||eta_j||^2 / (n s^2 K))

of themselves: a variation that is not more than noise fades away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.algorithms.step_decay import decayed
from exitwave.engine.backend import Step, Sums
from exitwave.engine.model.curvature import mean_curvature
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.optics import orthogonalise

STEP = Step(0.5, 0.1)
"""Length and alpha of the steps of the variations."""
OUTLIER = 6.0
"""Largest weight, in medians of the weights of a variation."""
SELF = 1.5
"""How much of a frame's own noise counts in its weights. Between 1 and 2: the fit of a variation also chooses among
noise, (1 + sqrt(n / d))^2 for n frames with d pixels that count."""
FAINT = 0.1
"""What noise keeps of itself, so that a variation that appears later is still found."""
TINY = float(np.finfo(np.float32).tiny)


class OprUpdate(RefinementSettings):
    """How the variation of the probe from frame to frame is refined."""

    number: int = Field(1, ge=1, le=16, description="variations of the first mode")
    step: float = Field(0.5, gt=0, le=1, description="length of the steps of the weights")
    schedule: Schedule = Schedule(start=1)


def initialise(state: State, problem: Problem, settings: OprUpdate) -> None:
    """Start the variations that are not there yet from random weights.

    The modes become orthogonal first, so that the first of them, which varies, is the strongest.
    """
    there = 0 if state.opr_modes is None else len(state.opr_modes)
    if there == settings.number:
        return
    opr_modes = np.zeros((settings.number, *problem.shape), state.probe.dtype)
    weights = 0.1 * state.rng.standard_normal((len(problem.pixels), settings.number))
    weights -= weights[problem.used].mean(0)
    if state.opr_modes is not None and state.opr_weights is not None:
        kept = min(there, settings.number)
        opr_modes[:kept], weights[:, :kept] = state.opr_modes[:kept], state.opr_weights[:, :kept]
    elif len(state.probe) > 1:
        state.probe[:] = orthogonalise(state.probe)
    state.opr_modes, state.opr_weights = opr_modes, weights


def after_pass(state: State, frames: NDArray[np.int64], sums: Sums, settings: OprUpdate, problem: Problem) -> None:
    """Step the variations after a pass over some frames."""
    assert state.opr_modes is not None
    assert state.opr_weights is not None
    step = decayed(STEP, state)
    if sums.opr_modes is None or step is None or not sums.object_density.any():
        return
    scatter = np.maximum(np.mean(state.opr_weights[problem.used] ** 2, axis=0), TINY)
    seen = (1 - step.alpha) * sums.object_density + step.alpha * sums.object_density.max()
    length = step.length / _leverage(state.opr_weights[frames] / np.sqrt(scatter))
    change = (length / scatter)[:, None, None].astype(seen.dtype) / seen * sums.opr_modes
    state.opr_modes = state.opr_modes + change.astype(state.opr_modes.dtype, copy=False)


def _leverage(weights: NDArray[np.float64]) -> float:
    """Return how much further than over all frames probe and variations together would go over some of them.

    That is the largest eigenvalue of the correlations of weights of unit scatter, and of 1 for the probe.
    """
    columns = np.column_stack([np.ones(len(weights)), weights])
    return max(1.0, float(np.linalg.eigvalsh(columns.T @ columns / len(columns))[-1]))


def update(state: State, told: Responses, settings: OprUpdate, problem: Problem, memory: Memory) -> None:
    """Refine the weights, choose the axes, and let noise fade."""
    assert state.opr_modes is not None
    assert state.opr_weights is not None
    used, norm = problem.used, float(np.linalg.norm(state.probe[0]))
    varied = state.opr_modes[:, None]
    curvature = mean_curvature(state, problem, lambda window: varied * window)
    change = told.relative(told.opr_modes) @ np.linalg.pinv(curvature, rcond=1e-3, hermitian=True)
    weights = state.opr_weights + settings.step * change
    weights -= weights[used].mean(0)
    opr_modes = without(state.opr_modes, state.probe[0], whole=state.probe_factors is not None)
    turn, weights = orthogonal(opr_modes, weights, used, norm)
    reach = OUTLIER * np.median(np.abs(weights[used]), axis=0)
    weights = np.clip(weights, -reach, reach)
    state.opr_modes = np.tensordot(turn, opr_modes, 1).astype(opr_modes.dtype)
    power = np.mean(weights[used] ** 2, axis=0) * np.diag(turn @ curvature @ turn.T)
    lack = told.response("difference")[used].mean() / told.response("power")[used].mean()
    state.opr_weights = weights * significance(power, float(lack) / len(used))


def without(
    opr_modes: NDArray[np.complexfloating[Any]], mode: NDArray[np.complexfloating[Any]], *, whole: bool
) -> NDArray[np.complexfloating[Any]]:
    """Return the variations without their part along i P, which is the phase of the mode P.

    With ``whole`` they lose their part along P too: frames have intensities of their own.
    """
    along = np.tensordot(opr_modes, mode.conj(), 2) / np.linalg.norm(mode) ** 2
    along = along if whole else 1j * along.imag
    return np.asarray(opr_modes - along[:, None, None] * mode, opr_modes.dtype)


def orthogonal(
    opr_modes: NDArray[np.complexfloating[Any]], weights: NDArray[np.float64], used: NDArray[np.int64], norm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what turns variations into orthogonal ones, the strongest first, and the weights that go with these.

    Parameters
    ----------
    variations : ndarray of shape (n, ny, nx)
        Variations. Turned, as vectors of real numbers, they are orthogonal and have the given norm.
    weights : ndarray of shape (npos, n)
        Their weights. Those returned are uncorrelated over the frames in use.
    used : ndarray of int
        These.
    norm : float
        The norm.

    Returns
    -------
    turn : ndarray of shape (n, n)
        The new variations are ``turn`` times the old ones.
    weights : ndarray of shape (npos, n)
        The products with the new variations are those of the old ones.
    """
    flat = np.ascontiguousarray(opr_modes, np.complex128).reshape(len(opr_modes), -1).view(np.float64)
    triangle = np.linalg.qr(flat.T)[1]
    _, _, axes = np.linalg.svd(weights[used] @ triangle.T, full_matrices=False)
    return norm * axes @ np.linalg.pinv(triangle.T, rcond=1e-6), weights @ triangle.T @ axes.T / norm


def significance(power: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Return the part of every weight that is not the frames' own noise.

    ``power`` is s^2 K of every variation and ``noise`` ||eta||^2 / n, both relative to <psi, psi>.
    """
    return np.clip(1 - SELF * noise / np.maximum(power, TINY), FAINT, 1)


REFINEMENT = Refinement(
    "opr_update",
    OprUpdate,
    initialise,
    update,
    "refine a variation of the probe from frame to frame (orthogonal probe relaxation)",
    after_pass=after_pass,
    order=40,
)
