"""Kernels in Triton, each of which does several steps of plain PyTorch in one.

Waves have the shape (exposures, modes, ny, nx) and are passed as pairs of real numbers. No two programs write to the
same address, and each program adds frames in their order, so that the sums have the same bits in every run. Every
function computes the same as plain code elsewhere in this package, and is tested against it. ``exposures`` are indices
into ``shifts``, ``probe_factors`` and ``corners``; see `FrameProbes`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from exitwave.engine.backend import READOUT

BLOCK = 512
"""Pixels of one program, for kernels that are parallel over the pixels of a frame."""
TILE = (8, 64)
"""Rows and columns of the object whose sums one program computes."""


@triton.jit
def _phase(p, shift_y, shift_x, ny, nx):
    """Return -2 pi (f_y s_y + f_x s_x) at pixels of a spectrum, zero frequency at [0, 0]."""
    r, c = p // nx, p % nx
    fy = tl.where(r < (ny + 1) // 2, r, r - ny).to(tl.float32) / ny
    fx = tl.where(c < (nx + 1) // 2, c, c - nx).to(tl.float32) / nx
    return -6.283185307179586 * (fy * shift_y + fx * shift_x)


@triton.jit
def _shift(out, spectrum, shifts, probe_factors, exposures, modes, ny, nx, SCALED: tl.constexpr, N: tl.constexpr):
    i, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    exposure, inside = tl.load(exposures + i), p < ny * nx
    angle = _phase(p, tl.load(shifts + 2 * exposure), tl.load(shifts + 2 * exposure + 1), ny, nx)
    re, im = tl.cos(angle), tl.sin(angle)
    if SCALED:
        scale = tl.load(probe_factors + exposure)
        re, im = scale * re, scale * im
    for k in range(modes):
        at, to = 2 * (k * ny * nx + p), 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(spectrum + at, mask=inside), tl.load(spectrum + at + 1, mask=inside)
        tl.store(out + to, a * re - b * im, mask=inside)
        tl.store(out + to + 1, a * im + b * re, mask=inside)


@triton.jit
def _shift_back(out, spectra, shifts, probe_factors, exposures, count, modes, ny, nx, SCALED: tl.constexpr,
                N: tl.constexpr):  # fmt: skip
    k, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    inside, to = p < ny * nx, 2 * (k * ny * nx + p)
    total_re, total_im = tl.load(out + to, mask=inside), tl.load(out + to + 1, mask=inside)
    for i in range(count):
        exposure = tl.load(exposures + i)
        angle = -_phase(p, tl.load(shifts + 2 * exposure), tl.load(shifts + 2 * exposure + 1), ny, nx)
        re, im = tl.cos(angle), tl.sin(angle)
        if SCALED:
            scale = tl.load(probe_factors + exposure)
            re, im = scale * re, scale * im
        at = 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(spectra + at, mask=inside), tl.load(spectra + at + 1, mask=inside)
        total_re += a * re - b * im
        total_im += a * im + b * re
    tl.store(out + to, total_re, mask=inside)
    tl.store(out + to + 1, total_im, mask=inside)


@triton.jit
def _multiply(out, waves, obj, corners, exposures, modes, ny, nx, columns, SIGN: tl.constexpr, N: tl.constexpr):
    i, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    exposure, inside = tl.load(exposures + i), p < ny * nx
    top, left = tl.load(corners + 2 * exposure), tl.load(corners + 2 * exposure + 1)
    pixel = 2 * ((top + p // nx) * columns + left + p % nx)
    re, im = tl.load(obj + pixel, mask=inside), SIGN * tl.load(obj + pixel + 1, mask=inside)
    for k in range(modes):
        at = 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(waves + at, mask=inside), tl.load(waves + at + 1, mask=inside)
        tl.store(out + at, a * re - b * im, mask=inside)
        tl.store(out + at + 1, a * im + b * re, mask=inside)


@triton.jit
def _add_object_density(out, obj, corners, exposures, count, ny, nx, columns, share, N: tl.constexpr):
    p = tl.program_id(0) * N + tl.arange(0, N)
    inside = p < ny * nx
    total = tl.zeros((N,), tl.float32)
    for i in range(count):
        exposure = tl.load(exposures + i)
        top, left = tl.load(corners + 2 * exposure), tl.load(corners + 2 * exposure + 1)
        pixel = 2 * ((top + p // nx) * columns + left + p % nx)
        a, b = tl.load(obj + pixel, mask=inside), tl.load(obj + pixel + 1, mask=inside)
        total += a * a + b * b
    tl.store(out + p, tl.load(out + p, mask=inside) + share * total, mask=inside)


@triton.jit
def _add_object(num, den, probes, chi, corners, exposures, count, modes, ny, nx, rows, columns, TY: tl.constexpr,
                TX: tl.constexpr):  # fmt: skip
    y = (tl.program_id(0) * TY + tl.arange(0, TY)[:, None]).to(tl.int64)
    x = tl.program_id(1) * TX + tl.arange(0, TX)[None, :]
    first_y, first_x = tl.program_id(0) * TY, tl.program_id(1) * TX
    re, im = tl.zeros((TY, TX), tl.float32), tl.zeros((TY, TX), tl.float32)
    power = tl.zeros((TY, TX), tl.float32)
    for i in range(count):
        exposure = tl.load(exposures + i)
        top, left = tl.load(corners + 2 * exposure), tl.load(corners + 2 * exposure + 1)
        overlaps_y = (first_y < top + ny) & (first_y + TY > top)
        overlaps_x = (first_x < left + nx) & (first_x + TX > left)
        if overlaps_y & overlaps_x:
            r, c = y - top, x - left
            inside = (r >= 0) & (r < ny) & (c >= 0) & (c < nx)
            for k in range(modes):
                at = 2 * ((i * modes + k) * ny * nx + r * nx + c)
                a, b = tl.load(probes + at, mask=inside, other=0.0), tl.load(probes + at + 1, mask=inside, other=0.0)
                u, v = tl.load(chi + at, mask=inside, other=0.0), tl.load(chi + at + 1, mask=inside, other=0.0)
                re += a * u + b * v
                im += a * v - b * u
                power += a * a + b * b
    on, to = (y < rows) & (x < columns), y * columns + x
    tl.store(num + 2 * to, tl.load(num + 2 * to, mask=on) + re, mask=on)
    tl.store(num + 2 * to + 1, tl.load(num + 2 * to + 1, mask=on) + im, mask=on)
    tl.store(den + to, tl.load(den + to, mask=on) + power, mask=on)


@triton.jit
def _compare(out, difference, loss, far, counts, frames, invalid, floor_power, readout, waves, pixels, blocks,
             NOISE: tl.constexpr, UNSIGNED: tl.constexpr, N: tl.constexpr):  # fmt: skip
    i, block = tl.program_id(1), tl.program_id(0)
    p = block * N + tl.arange(0, N)
    inside = p < pixels
    model = tl.zeros((N,), tl.float32)
    for k in range(waves):
        at = 2 * ((i * waves + k) * pixels + p)
        a, b = tl.load(far + at, mask=inside, other=0.0), tl.load(far + at + 1, mask=inside, other=0.0)
        model += a * a + b * b
    raw = tl.load(counts + tl.load(frames + i) * pixels + p, mask=inside, other=0)
    valid = inside & (raw != invalid)
    measured = (raw.to(tl.int32) & 0xFFFF).to(tl.float32) if UNSIGNED else raw
    measured = tl.where(valid, measured, 0.0)
    lack, variance, residual = measured - model, measured + readout, tl.sqrt(measured) - tl.sqrt(model)
    misfit = tl.where(valid, residual * residual, 0.0)
    if NOISE == "amplitude":
        force, pixel_loss = (tl.sqrt(measured * model) - model) / (model + floor_power), misfit
    elif NOISE == "intensity":
        force, pixel_loss = lack / (2.0 * variance), lack * lack / (4.0 * variance)
    else:
        force = lack / (2.0 * (model + readout))
        pixel_loss = -(lack + variance * tl.log((model + readout) / variance)) / 2.0
    force = tl.where(valid, force, 0.0)
    tl.store(difference + i * blocks + block, tl.sum(misfit))
    tl.store(loss + i * blocks + block, tl.sum(tl.where(valid, pixel_loss, 0.0)))
    for k in range(waves):
        at = 2 * ((i * waves + k) * pixels + p)
        a, b = tl.load(far + at, mask=inside), tl.load(far + at + 1, mask=inside)
        tl.store(out + at, a * force, mask=inside)
        tl.store(out + at + 1, b * force, mask=inside)


@triton.jit
def _descend(target, velocity, num, den, max_den, length, alpha, modes, pixels, HAS_VELOCITY: tl.constexpr,
             N: tl.constexpr):  # fmt: skip
    p = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N)
    inside = p < pixels
    floor = alpha * tl.load(max_den) + 1e-20
    factor = length / ((1.0 - alpha) * tl.load(den + p, mask=inside, other=1.0) + floor)
    for k in range(modes):
        at = 2 * (k * pixels + p)
        re, im = factor * tl.load(num + at, mask=inside), factor * tl.load(num + at + 1, mask=inside)
        tl.store(target + at, tl.load(target + at, mask=inside) + re, mask=inside)
        tl.store(target + at + 1, tl.load(target + at + 1, mask=inside) + im, mask=inside)
        if HAS_VELOCITY:
            tl.store(velocity + at, tl.load(velocity + at, mask=inside) + re, mask=inside)
            tl.store(velocity + at + 1, tl.load(velocity + at + 1, mask=inside) + im, mask=inside)


def descend(
    target: Tensor, num: Tensor, den: Tensor, length: float, alpha: float, velocity: Tensor | None = None
) -> None:
    """Add the regularised step to contiguous tensors in place; see `descent.descend`."""
    moving, pixels = target if velocity is None else velocity, den.numel()
    _descend[(triton.cdiv(pixels, BLOCK),)](
        *map(_as_real, (target, moving, num)), den.contiguous(), den.max(), length, alpha, target.numel() // pixels,
        pixels, HAS_VELOCITY=velocity is not None, N=BLOCK,
    )  # fmt: skip


def shift(spectrum: Tensor, shifts: Tensor, probe_factors: Tensor | None, exposures: Tensor) -> Tensor:
    """Return the spectra of the shifted and scaled probe in some exposures; see `FrameProbes.to_frame`."""
    modes, ny, nx = spectrum.shape
    out = spectrum.new_empty((len(exposures), modes, ny, nx))
    factors = shifts if probe_factors is None else probe_factors
    _shift[(triton.cdiv(ny * nx, BLOCK), len(exposures))](
        *map(_as_real, (out, spectrum)), shifts, factors, exposures, modes, ny, nx,
        SCALED=probe_factors is not None, N=BLOCK,
    )  # fmt: skip
    return out


def shift_back(total: Tensor, spectra: Tensor, shifts: Tensor, probe_factors: Tensor | None, exposures: Tensor) -> None:
    """Add spectra of some exposures, shifted back, to a total (modes, ny, nx); see `FrameProbes.from_frame`."""
    modes, ny, nx = total.shape
    factors = shifts if probe_factors is None else probe_factors
    _shift_back[(triton.cdiv(ny * nx, BLOCK), modes)](
        *map(_as_real, (total, spectra)), shifts, factors, exposures, len(exposures), modes, ny, nx,
        SCALED=probe_factors is not None, N=BLOCK,
    )  # fmt: skip


def multiply(waves: Tensor, obj: Tensor, corners: Tensor, exposures: Tensor, *, conjugate: bool) -> Tensor:
    """Return waves times their windows of a thin object, or the conjugate windows; see `windows.multiply`."""
    count, modes, ny, nx = waves.shape
    out = waves.new_empty(waves.shape)
    _multiply[(triton.cdiv(ny * nx, BLOCK), count)](
        *map(_as_real, (out, waves, obj)), corners, exposures, modes, ny, nx, obj.shape[1],
        SIGN=-1 if conjugate else 1, N=BLOCK,
    )  # fmt: skip
    return out


def add_object_density(total: Tensor, obj: Tensor, corners: Tensor, exposures: Tensor, share: float) -> None:
    """Add ``share`` |O|^2 in the windows of some exposures to a total of shape (ny, nx); see `PassSums.add_probe`."""
    ny, nx = total.shape
    grid = (triton.cdiv(ny * nx, BLOCK),)
    _add_object_density[grid](
        total, _as_real(obj), corners, exposures, len(exposures), ny, nx, obj.shape[1], share, N=BLOCK
    )


def add_object(num: Tensor, den: Tensor, probes: Tensor, chi: Tensor, corners: Tensor, exposures: Tensor) -> None:
    """Add conj(P) chi and |P|^2, summed over modes, to the sums of a thin object; see `PassSums.add_object`."""
    (count, modes, ny, nx), (rows, columns), (ty, tx) = probes.shape, den.shape, TILE
    _add_object[(triton.cdiv(rows, ty), triton.cdiv(columns, tx))](
        _as_real(num), den, _as_real(probes), _as_real(chi), corners, exposures, count, modes, ny, nx, rows, columns,
        TY=ty, TX=tx,
    )  # fmt: skip


def compare(
    far: Tensor, counts: Tensor, frames: Tensor, invalid: float, floor: float, noise: str
) -> tuple[Tensor, Tensor]:
    """Return corrections of waves at the detector, and partial sums of difference and loss; see `TorchDetector`.

    ``counts`` and ``frames`` are `GroupCounts.stored` and `GroupCounts.index`. The partial sums have the shape
    (2, frames, blocks of pixels).
    """
    count, waves, pixels = len(far), far.shape[1], far.shape[2] * far.shape[3]
    blocks = triton.cdiv(pixels, BLOCK)
    out, sums = far.new_empty(far.shape), torch.empty((2, count, blocks), device=far.device)
    _compare[(blocks, count)](
        _as_real(out), sums[0], sums[1], _as_real(far), counts, frames, invalid, floor**2, READOUT, waves, pixels,
        blocks, NOISE=noise, UNSIGNED=counts.dtype == torch.int16, N=BLOCK,
    )  # fmt: skip
    return out, sums


def _as_real(waves: Tensor) -> Tensor:
    """Return complex numbers as pairs of real numbers, contiguous in memory."""
    return torch.view_as_real(waves.resolve_conj().contiguous())
