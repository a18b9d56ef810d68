"""Windows of the object, and sums on the object's grid."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.backends.cuda.probes import FrameProbes
from exitwave.engine.problem import RIM


def cut(obj: Tensor, corners: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return windows, shape (..., n, ny, nx), of an object, (..., rows, columns), at corners, (n, 2)."""
    ny, nx = shape
    rows = corners[:, 0, None, None] + torch.arange(ny, device=obj.device)[:, None]
    columns = corners[:, 1, None, None] + torch.arange(nx, device=obj.device)
    return obj[..., rows, columns]


def multiply(
    waves: Tensor, obj: Tensor, frame_probes: FrameProbes, exposures: Tensor, *, conjugate: bool = False
) -> Tensor:
    """Return waves, shape (exposures, modes, ny, nx), times their windows of a thin object, or the conjugate ones."""
    if (kernels := fused_kernels(obj.device)) is not None:
        return kernels.multiply(waves, obj, frame_probes.corners, exposures, conjugate=conjugate)
    window = cut(obj, frame_probes.corners[exposures], frame_probes.shape)[:, None]
    return (window.conj() if conjugate else window) * waves


def gradients(obj: Tensor, corners: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the derivatives of an object along rows and columns in windows; see `backend.gradient`."""
    (ny, nx), r = shape, RIM
    wide = cut(obj, corners - r, (ny + 2 * r, nx + 2 * r))

    def along(axis: int, n: int) -> Tensor:
        far, near = (wide.narrow(axis, r + k, n) - wide.narrow(axis, r - k, n) for k in (2, 1))
        return (8 * near - far) / 12

    return along(-2, ny)[..., r : r + nx], along(-1, nx)[..., r : r + ny, :]


def add_windows(total: Tensor, values: Tensor, corners: NDArray[np.int64]) -> None:
    """Add windows, shape (..., n, ny, nx), to an array of the object's shape, one after the other in their order."""
    ny, nx = values.shape[-2:]
    for i, (top, left) in enumerate(corners.tolist()):
        total[..., top : top + ny, left : left + nx] += values[..., i, :, :]
