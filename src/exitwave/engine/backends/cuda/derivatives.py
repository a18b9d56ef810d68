"""Derivatives of the loss along a line and with respect to the positions, and the cross term of two changes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backend import READOUT, Line, Noise
from exitwave.engine.backends.cuda.detector import intensity
from exitwave.engine.backends.cuda.group_model import FrameGroup, GroupModel, LoadedState
from exitwave.engine.backends.cuda.probes import to_device
from exitwave.engine.backends.cuda.windows import cut
from exitwave.engine.model.near_field import refuse_moves
from exitwave.engine.state import State

WINDOWS_AT_ONCE = 64
"""Number of windows of one step of the cross term."""


def mixed_intensity(a: Tensor, b: Tensor) -> Tensor:
    """Return Re sum_k conj(a_k) b_k over the modes k of waves (n, modes, ny, nx), shape (n, ny, nx)."""
    return (torch.view_as_real(a) * torch.view_as_real(b)).sum((1, -1))


def line_derivatives(
    model: GroupModel,
    state: State,
    line: Line,
    frames: NDArray[np.int64],
    lengths: NDArray[np.float64],
    noise: Noise,
) -> NDArray[np.float64]:
    """Return the derivatives of the loss along a line, shape (lengths, 2); see `Backend.line_derivatives`."""
    loaded = model.load(state)
    change, direction = model.take(line.object), torch.fft.fft2(model.take(line.probe))
    moves = None if line.moves is None else to_device(line.moves, model.device)
    out = torch.zeros((len(lengths), 2), dtype=torch.float64, device=model.device)
    for group in model.groups(loaded.frame_probes, frames):
        quartic = _quartic(model, loaded, group, change, direction, moves)
        for i, t in enumerate(lengths.tolist()):
            d0 = sum(q * t**n for n, q in enumerate(quartic))
            d1 = sum(n * q * t ** (n - 1) for n, q in enumerate(quartic) if n)
            d2 = sum(n * (n - 1) * q * t ** (n - 2) for n, q in enumerate(quartic) if n > 1)
            counts = loaded.detector.modelled_counts(d0.clamp(min=0))
            d1, d2 = loaded.detector.linear(d1), loaded.detector.linear(d2)
            force, curvature = loaded.detector.derivatives(group.counts, counts, noise)
            terms = -force * d1, curvature * d1.square() - force * d2
            out[i] += torch.stack([each.sum(dtype=torch.float64) for each in terms])
    return out.cpu().numpy()


def _quartic(
    model: GroupModel,
    loaded: LoadedState,
    group: FrameGroup,
    change: Tensor,
    direction: Tensor,
    moves: Tensor | None,
) -> list[Tensor]:
    """Return the coefficients of the intensity as a polynomial in the length, 5 arrays of shape (frames, ny, nx).

    ``change`` is h_O, ``direction`` the spectrum of h_P, and ``moves`` d.
    """
    window, (probes, psi) = model.object_windows(loaded, group), model.exit_waves(loaded, group)
    d_probe = loaded.frame_probes.to_frame(direction[None], group.exposures)
    if moves is not None:
        of_frames = moves[group.exposures // model.exposures_per_frame]
        for axis, each in enumerate(loaded.frame_probes.derivatives(loaded.spectrum, group.exposures)):
            d_probe = d_probe + of_frames[:, axis, None, None, None] * each
    d_object = cut(change, loaded.frame_probes.corners[group.exposures], model.problem.shape)[:, None]
    waves = psi, probes * d_object + d_probe * window[:, None], d_probe * d_object
    far = (model.propagate(loaded, group, each) for each in waves)
    a, b, c = (each.reshape(len(group.counts), -1, *model.problem.shape) for each in far)
    return [
        intensity(a),
        2 * mixed_intensity(a, b),
        intensity(b) + 2 * mixed_intensity(a, c),
        2 * mixed_intensity(b, c),
        intensity(c),
    ]


def position_derivatives(
    model: GroupModel, state: State, frames: NDArray[np.int64], noise: Noise
) -> NDArray[np.float64]:
    """Return the derivatives of the loss with respect to the positions; see `Backend.position_derivatives`."""
    refuse_moves(model.problem.propagator)
    loaded, rows = model.load(state), [np.zeros((0, 5))]
    floor = READOUT if noise == "Poisson" else model.problem.floor**2
    for group in model.groups(loaded.frame_probes, frames):
        window, (_, psi) = model.object_windows(loaded, group), model.exit_waves(loaded, group)
        derivatives = loaded.frame_probes.derivatives(loaded.spectrum, group.exposures)
        changed = [each * window[:, None] for each in derivatives]
        far, *far_changes = (model.propagate(loaded, group, each) for each in (psi, *changed))
        y, x = (loaded.detector.linear(2 * mixed_intensity(far, each)) for each in far_changes)
        counts = loaded.detector.modelled_counts(intensity(far))
        force, _ = loaded.detector.derivatives(group.counts, counts, noise)
        weight = loaded.detector.constrains(group.counts, counts) / (4 * (counts + floor))
        terms = force * y / 2, force * x / 2, weight * y * y, weight * x * x, weight * y * x
        rows.append(torch.stack([each.sum((1, 2)) for each in terms], 1).cpu().numpy())
    return np.concatenate(rows, dtype=np.float64)


def cross_term(model: GroupModel, state: State, frames: NDArray[np.int64], object: Any, probe: Any) -> float:
    """Return Re sum_jk <dO_j P_k, dP_k O_j>; see `Backend.cross_term`."""
    loaded = model.load(state)
    object_product = model.take(object).conj() * loaded.obj
    probe_product = (loaded.probe.conj() * model.take(probe)).sum(0)
    corners, shape = loaded.frame_probes.corners[model.take(frames)], model.problem.shape
    sums = [
        (cut(object_product, each, shape).sum(0) * probe_product).sum().real for each in corners.split(WINDOWS_AT_ONCE)
    ]
    return float(sum(sums))
