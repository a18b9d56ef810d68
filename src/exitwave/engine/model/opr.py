"""Orthogonal probe relaxation (OPR): the first probe mode varies from frame to frame.

The first probe mode of frame j is P_0 + sum_m v_jm U_m, with few OPR modes U_m for all frames and weights v_jm for
every frame: M. Odstrcil et al., Opt. Express 24, 8360 (2016), and M. Odstrcil, A. Menzel and M. Guizar-Sicairos, Opt.
Express 26, 3108 (2018), eq. 31. The measured amplitudes may show only a hundredth of the change that an OPR mode makes
in an exit wave, because much of it is a phase at the detector. Therefore the weights take Gauss-Newton steps after
every iteration, with the mean curvature K of some frames relative to <psi, psi> (`curvature`),

    v_j <- v_j + step (K <psi_j, psi_j>)^-1 (<U_m O_j, chi_j>)_m

and the OPR modes take a step after every batch B of frames, like the probe:

    U_m <- U_m + step sum_j v_jm conj(O_j) chi_j / (s_m^2 ((1 - alpha) T + alpha max T)),   T = sum_j |O_j|^2

s_m^2 is the mean of v_jm^2 over all frames. If the weights of a batch are larger or correlated, the step is shorter.

The start is random weights and U = 0. Then the sum over j is a random sketch of the corrections of all frames: N.
Halko, P. Martinsson and J. Tropp, SIAM Rev. 53, 217 (2011). After every iteration a singular value decomposition makes
the OPR modes orthogonal without a change of the product (<a, b> = Re sum conj(a) b, because the weights are real):
weights of different modes are uncorrelated and ||U_m|| = ||P_0||, so that a weight is the relative size of the mode.

Three things are removed. Two belong to the probe: the mean of the weights, and the component along i P_0, which is a
phase of the whole mode and changes no pattern. The third is noise. Every frame contributes to the OPR modes that are
fitted to it: its noise eta_j is the part v_j eta_j / (n s^2) of U for weights of scatter s, and therefore adds
v_j ||eta_j||^2 / (n s^2 K) to its weight. The misfit of the frame, sum (sqrt(I_j) - sqrt(model_j))^2, is ||eta_j||^2 or
more, and is used in its place. The weights are multiplied by

    max(SMALLEST_PART, 1 - SELF_NOISE mean_j ||eta_j||^2 / (n s^2 K))

and OPR modes that contain only noise decay.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from exitwave.engine.algorithms.step_decay import shortened
from exitwave.engine.backend import Step, Sums
from exitwave.engine.model.curvature import mean_curvature
from exitwave.engine.model.refinement import Refinement
from exitwave.engine.model.responses import Responses
from exitwave.engine.problem import Problem
from exitwave.engine.settings import RefinementSettings, Schedule
from exitwave.engine.state import Memory, State
from exitwave.optics import orthogonalise

STEP = Step(0.5, 0.1)
"""Length and alpha of the steps of the OPR modes."""
LARGEST_WEIGHT = 6.0
"""Largest weight of an OPR mode, relative to the median of their moduli."""
SELF_NOISE = 1.5
"""Factor of a frame's own noise in its weights. Between 1 and 2: the fit of an OPR mode also selects among the noise,
(1 + sqrt(n / d))^2 for n frames with d pixels that contribute."""
SMALLEST_PART = 0.1
"""Smallest factor of the weights for noise, so that a variation that appears later is still found."""
TINY = float(np.finfo(np.float32).tiny)


class OprUpdate(RefinementSettings):
    """Settings of the refinement of OPR modes and weights."""

    number: int = Field(1, ge=1, le=16, description="number of OPR modes, which are added to the first probe mode")
    step: float = Field(0.5, gt=0, le=1, description="length of the step of the weights; 1 is a Gauss-Newton step")
    schedule: Schedule = Schedule(start=1)


def initialise(state: State, problem: Problem, settings: OprUpdate) -> None:
    """Start OPR modes that the state does not have yet from 0, with random weights.

    The probe modes are made orthogonal first, so that the first of them, which varies, is the strongest.
    """
    present = 0 if state.opr_modes is None else len(state.opr_modes)
    if present == settings.number:
        return
    opr_modes = np.zeros((settings.number, *problem.shape), state.probe.dtype)
    weights = 0.1 * state.rng.standard_normal((len(problem.pixels), settings.number))
    weights -= weights[problem.used].mean(0)
    if state.opr_modes is not None and state.opr_weights is not None:
        kept = min(present, settings.number)
        opr_modes[:kept], weights[:, :kept] = state.opr_modes[:kept], state.opr_weights[:, :kept]
    elif len(state.probe) > 1:
        state.probe[:] = orthogonalise(state.probe)
    state.opr_modes, state.opr_weights = opr_modes, weights


def after_pass(state: State, frames: NDArray[np.int64], sums: Sums, settings: OprUpdate, problem: Problem) -> None:
    """Update the OPR modes after a pass over some frames."""
    assert state.opr_modes is not None
    assert state.opr_weights is not None
    step = shortened(STEP, state)
    if sums.opr_modes is None or step is None or not sums.object_density.any():
        return
    scatter = np.maximum(np.mean(state.opr_weights[problem.used] ** 2, axis=0), TINY)
    density = (1 - step.alpha) * sums.object_density + step.alpha * sums.object_density.max()
    length = step.length / _leverage(state.opr_weights[frames] / np.sqrt(scatter))
    change = (length / scatter)[:, None, None].astype(density.dtype) / density * sums.opr_modes
    state.opr_modes = state.opr_modes + change.astype(state.opr_modes.dtype, copy=False)


def _leverage(weights: NDArray[np.float64]) -> float:
    """Return how much too long a step of probe and OPR modes would be for some frames, relative to all frames.

    This is the largest eigenvalue of the correlation matrix of 1, for the probe, and the weights at unit scatter.
    """
    columns = np.column_stack([np.ones(len(weights)), weights])
    return max(1.0, float(np.linalg.eigvalsh(columns.T @ columns / len(columns))[-1]))


def update(state: State, responses: Responses, settings: OprUpdate, problem: Problem, memory: Memory) -> None:
    """Refine the weights, make the OPR modes orthogonal, and reduce noise."""
    assert state.opr_modes is not None
    assert state.opr_weights is not None
    used, norm = problem.used, float(np.linalg.norm(state.probe[0]))
    modes = state.opr_modes[:, None]
    curvature = mean_curvature(state, problem, lambda window: modes * window)
    change = responses.relative_to_power(responses.opr_modes) @ np.linalg.pinv(curvature, rcond=1e-3, hermitian=True)
    weights = state.opr_weights + settings.step * change
    weights -= weights[used].mean(0)
    opr_modes = remove_mode(state.opr_modes, state.probe[0], whole=state.probe_factors is not None)
    transform, weights = orthogonal_axes(opr_modes, weights, used, norm)
    limit = LARGEST_WEIGHT * np.median(np.abs(weights[used]), axis=0)
    weights = np.clip(weights, -limit, limit)
    state.opr_modes = np.tensordot(transform, opr_modes, 1).astype(opr_modes.dtype)
    power = np.mean(weights[used] ** 2, axis=0) * np.diag(transform @ curvature @ transform.T)
    misfit = responses.response("difference")[used].mean() / responses.response("power")[used].mean()
    state.opr_weights = weights * significant_part(power, float(misfit) / len(used))


def remove_mode(
    opr_modes: NDArray[np.complexfloating[Any]], mode: NDArray[np.complexfloating[Any]], *, whole: bool
) -> NDArray[np.complexfloating[Any]]:
    """Return the OPR modes without their component along i P, a phase of the probe mode P.

    With ``whole`` the component along P is removed too: the intensity per frame is refined separately.
    """
    component = np.tensordot(opr_modes, mode.conj(), 2) / np.linalg.norm(mode) ** 2
    component = component if whole else 1j * component.imag
    return np.asarray(opr_modes - component[:, None, None] * mode, opr_modes.dtype)


def orthogonal_axes(
    opr_modes: NDArray[np.complexfloating[Any]], weights: NDArray[np.float64], used: NDArray[np.int64], norm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the transform to orthogonal OPR modes, the strongest first, and the weights of these.

    Parameters
    ----------
    opr_modes : ndarray of shape (n, ny, nx)
        OPR modes. Transformed, as vectors of real numbers, they are orthogonal and have the given norm.
    weights : ndarray of shape (npos, n)
        Their weights. The returned ones are uncorrelated over the used frames.
    used : ndarray of int
        The used frames.
    norm : float
        The norm of the new modes.

    Returns
    -------
    transform : ndarray of shape (n, n)
        The new modes are ``transform`` times the old ones.
    weights : ndarray of shape (npos, n)
        Weights whose products with the new modes equal those of the old ones.
    """
    flat = np.ascontiguousarray(opr_modes, np.complex128).reshape(len(opr_modes), -1).view(np.float64)
    triangle = np.linalg.qr(flat.T)[1]
    _, _, axes = np.linalg.svd(weights[used] @ triangle.T, full_matrices=False)
    return norm * axes @ np.linalg.pinv(triangle.T, rcond=1e-6), weights @ triangle.T @ axes.T / norm


def significant_part(power: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Return the part of the weights of every OPR mode that is not noise of the frames themselves, shape (n,).

    ``power`` is s^2 K of every mode and ``noise`` is ||eta||^2 / n, both relative to <psi, psi>.
    """
    return np.clip(1 - SELF_NOISE * noise / np.maximum(power, TINY), SMALLEST_PART, 1)


REFINEMENT = Refinement(
    "opr_update",
    OprUpdate,
    initialise,
    update,
    "refine a variation of the probe from frame to frame (orthogonal probe relaxation)",
    after_pass=after_pass,
    order=40,
)
