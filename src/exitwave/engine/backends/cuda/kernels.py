"""What takes many steps of plain PyTorch, each in one, in Triton. Waves are (views, modes, ny, nx), as real pairs.

No two programs write to one place, and each adds up its frames in their order: the sums have the same bits every time.
Every function does what plain code elsewhere in this package does, and is tested against it.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from exitwave.engine.backend import READOUT

BLOCK = 512
"""Pixels of a program that goes through a frame."""
TILE = (8, 64)
"""Rows and columns of the object that a program sums up."""


@triton.jit
def _phase(p, shift_y, shift_x, ny, nx):
    """Return -2 pi (f_y s_y + f_x s_x) at pixels of a spectrum, zero frequency at [0, 0]."""
    r, c = p // nx, p % nx
    fy = tl.where(r < (ny + 1) // 2, r, r - ny).to(tl.float32) / ny
    fx = tl.where(c < (nx + 1) // 2, c, c - nx).to(tl.float32) / nx
    return -6.283185307179586 * (fy * shift_y + fx * shift_x)


@triton.jit
def _shift(out, spectrum, shifts, probe_factors, views, modes, ny, nx, SCALED: tl.constexpr, N: tl.constexpr):
    i, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    view, inside = tl.load(views + i), p < ny * nx
    angle = _phase(p, tl.load(shifts + 2 * view), tl.load(shifts + 2 * view + 1), ny, nx)
    re, im = tl.cos(angle), tl.sin(angle)
    if SCALED:
        scale = tl.load(probe_factors + view)
        re, im = scale * re, scale * im
    for k in range(modes):
        at, to = 2 * (k * ny * nx + p), 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(spectrum + at, mask=inside), tl.load(spectrum + at + 1, mask=inside)
        tl.store(out + to, a * re - b * im, mask=inside)
        tl.store(out + to + 1, a * im + b * re, mask=inside)


@triton.jit
def _shift_back(out, back, shifts, probe_factors, views, count, modes, ny, nx, SCALED: tl.constexpr, N: tl.constexpr):
    k, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    inside, to = p < ny * nx, 2 * (k * ny * nx + p)
    total_re, total_im = tl.load(out + to, mask=inside), tl.load(out + to + 1, mask=inside)
    for i in range(count):
        view = tl.load(views + i)
        angle = -_phase(p, tl.load(shifts + 2 * view), tl.load(shifts + 2 * view + 1), ny, nx)
        re, im = tl.cos(angle), tl.sin(angle)
        if SCALED:
            scale = tl.load(probe_factors + view)
            re, im = scale * re, scale * im
        at = 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(back + at, mask=inside), tl.load(back + at + 1, mask=inside)
        total_re += a * re - b * im
        total_im += a * im + b * re
    tl.store(out + to, total_re, mask=inside)
    tl.store(out + to + 1, total_im, mask=inside)


@triton.jit
def _multiply(out, waves, obj, corners, views, modes, ny, nx, columns, SIGN: tl.constexpr, N: tl.constexpr):
    i, p = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    view, inside = tl.load(views + i), p < ny * nx
    top, left = tl.load(corners + 2 * view), tl.load(corners + 2 * view + 1)
    seen = 2 * ((top + p // nx) * columns + left + p % nx)
    re, im = tl.load(obj + seen, mask=inside), SIGN * tl.load(obj + seen + 1, mask=inside)
    for k in range(modes):
        at = 2 * ((i * modes + k) * ny * nx + p)
        a, b = tl.load(waves + at, mask=inside), tl.load(waves + at + 1, mask=inside)
        tl.store(out + at, a * re - b * im, mask=inside)
        tl.store(out + at + 1, a * im + b * re, mask=inside)


@triton.jit
def _see(out, obj, corners, views, count, ny, nx, columns, share, N: tl.constexpr):
    p = tl.program_id(0) * N + tl.arange(0, N)
    inside = p < ny * nx
    total = tl.zeros((N,), tl.float32)
    for i in range(count):
        view = tl.load(views + i)
        top, left = tl.load(corners + 2 * view), tl.load(corners + 2 * view + 1)
        seen = 2 * ((top + p // nx) * columns + left + p % nx)
        a, b = tl.load(obj + seen, mask=inside), tl.load(obj + seen + 1, mask=inside)
        total += a * a + b * b
    tl.store(out + p, tl.load(out + p, mask=inside) + share * total, mask=inside)


@triton.jit
def _collect(num, den, beam, chi, corners, views, count, modes, ny, nx, rows, columns, TY: tl.constexpr,
             TX: tl.constexpr):  # fmt: skip
    y = (tl.program_id(0) * TY + tl.arange(0, TY)[:, None]).to(tl.int64)
    x = tl.program_id(1) * TX + tl.arange(0, TX)[None, :]
    first_y, first_x = tl.program_id(0) * TY, tl.program_id(1) * TX
    re, im = tl.zeros((TY, TX), tl.float32), tl.zeros((TY, TX), tl.float32)
    power = tl.zeros((TY, TX), tl.float32)
    for i in range(count):
        view = tl.load(views + i)
        top, left = tl.load(corners + 2 * view), tl.load(corners + 2 * view + 1)
        meets_y = (first_y < top + ny) & (first_y + TY > top)
        meets_x = (first_x < left + nx) & (first_x + TX > left)
        if meets_y & meets_x:
            r, c = y - top, x - left
            inside = (r >= 0) & (r < ny) & (c >= 0) & (c < nx)
            for k in range(modes):
                at = 2 * ((i * modes + k) * ny * nx + r * nx + c)
                a, b = tl.load(beam + at, mask=inside, other=0.0), tl.load(beam + at + 1, mask=inside, other=0.0)
                u, v = tl.load(chi + at, mask=inside, other=0.0), tl.load(chi + at + 1, mask=inside, other=0.0)
                re += a * u + b * v
                im += a * v - b * u
                power += a * a + b * b
    on, to = (y < rows) & (x < columns), y * columns + x
    tl.store(num + 2 * to, tl.load(num + 2 * to, mask=on) + re, mask=on)
    tl.store(num + 2 * to + 1, tl.load(num + 2 * to + 1, mask=on) + im, mask=on)
    tl.store(den + to, tl.load(den + to, mask=on) + power, mask=on)


@triton.jit
def _judge(out, difference, loss, far, stack, frames, invalid, fade, readout, waves, pixels, blocks,
           NOISE: tl.constexpr, UNSIGNED: tl.constexpr, N: tl.constexpr):  # fmt: skip
    i, block = tl.program_id(1), tl.program_id(0)
    p = block * N + tl.arange(0, N)
    inside = p < pixels
    model = tl.zeros((N,), tl.float32)
    for k in range(waves):
        at = 2 * ((i * waves + k) * pixels + p)
        a, b = tl.load(far + at, mask=inside, other=0.0), tl.load(far + at + 1, mask=inside, other=0.0)
        model += a * a + b * b
    raw = tl.load(stack + tl.load(frames + i) * pixels + p, mask=inside, other=0)
    valid = inside & (raw != invalid)
    counts = (raw.to(tl.int32) & 0xFFFF).to(tl.float32) if UNSIGNED else raw
    counts = tl.where(valid, counts, 0.0)
    lack, variance, apart = counts - model, counts + readout, tl.sqrt(counts) - tl.sqrt(model)
    misfit = tl.where(valid, apart * apart, 0.0)
    if NOISE == "amplitude":
        force, lost = (tl.sqrt(counts * model) - model) / (model + fade), misfit
    elif NOISE == "intensity":
        force, lost = lack / (2.0 * variance), lack * lack / (4.0 * variance)
    else:
        force = lack / (2.0 * (model + readout))
        lost = -(lack + variance * tl.log((model + readout) / variance)) / 2.0
    force = tl.where(valid, force, 0.0)
    tl.store(difference + i * blocks + block, tl.sum(misfit))
    tl.store(loss + i * blocks + block, tl.sum(tl.where(valid, lost, 0.0)))
    for k in range(waves):
        at = 2 * ((i * waves + k) * pixels + p)
        a, b = tl.load(far + at, mask=inside), tl.load(far + at + 1, mask=inside)
        tl.store(out + at, a * force, mask=inside)
        tl.store(out + at + 1, b * force, mask=inside)


@triton.jit
def _descend(target, also, num, den, largest, length, alpha, modes, pixels, MOVING: tl.constexpr, N: tl.constexpr):
    p = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N)
    inside = p < pixels
    floor = alpha * tl.load(largest) + 1e-20
    factor = length / ((1.0 - alpha) * tl.load(den + p, mask=inside, other=1.0) + floor)
    for k in range(modes):
        at = 2 * (k * pixels + p)
        re, im = factor * tl.load(num + at, mask=inside), factor * tl.load(num + at + 1, mask=inside)
        tl.store(target + at, tl.load(target + at, mask=inside) + re, mask=inside)
        tl.store(target + at + 1, tl.load(target + at + 1, mask=inside) + im, mask=inside)
        if MOVING:
            tl.store(also + at, tl.load(also + at, mask=inside) + re, mask=inside)
            tl.store(also + at + 1, tl.load(also + at + 1, mask=inside) + im, mask=inside)


def descend(
    target: Tensor, num: Tensor, den: Tensor, length: float, alpha: float, velocity: Tensor | None = None
) -> None:
    """Add the regularised step to contiguous tensors in place; see `TorchBackend.descend`."""
    also, pixels = target if velocity is None else velocity, den.numel()
    _descend[(triton.cdiv(pixels, BLOCK),)](
        *map(_pairs, (target, also, num)), den.contiguous(), den.max(), length, alpha, target.numel() // pixels, pixels,
        MOVING=velocity is not None, N=BLOCK,
    )  # fmt: skip


def shift(spectrum: Tensor, shifts: Tensor, probe_factors: Tensor | None, views: Tensor) -> Tensor:
    """Return the spectra of the shifted and scaled probe in some views; see `Beams.shifted`."""
    modes, ny, nx = spectrum.shape
    out = spectrum.new_empty((len(views), modes, ny, nx))
    given = shifts if probe_factors is None else probe_factors
    _shift[(triton.cdiv(ny * nx, BLOCK), len(views))](
        *map(_pairs, (out, spectrum)), shifts, given, views, modes, ny, nx, SCALED=probe_factors is not None, N=BLOCK
    )
    return out


def shift_back(total: Tensor, back: Tensor, shifts: Tensor, probe_factors: Tensor | None, views: Tensor) -> None:
    """Add spectra in some views to that of the probe, (modes, ny, nx), shifted back; see `Totals.add_probe`."""
    modes, ny, nx = total.shape
    given = shifts if probe_factors is None else probe_factors
    _shift_back[(triton.cdiv(ny * nx, BLOCK), modes)](
        *map(_pairs, (total, back)),
        shifts,
        given,
        views,
        len(views),
        modes,
        ny,
        nx,
        SCALED=probe_factors is not None,
        N=BLOCK,
    )


def multiply(waves: Tensor, obj: Tensor, corners: Tensor, views: Tensor, *, conjugate: bool) -> Tensor:
    """Return waves times what their views see of a thin object, or its conjugate; see `windows.multiply`."""
    count, modes, ny, nx = waves.shape
    out = waves.new_empty(waves.shape)
    _multiply[(triton.cdiv(ny * nx, BLOCK), count)](
        *map(_pairs, (out, waves, obj)), corners, views, modes, ny, nx, obj.shape[1],
        SIGN=-1 if conjugate else 1, N=BLOCK,
    )  # fmt: skip
    return out


def see(total: Tensor, obj: Tensor, corners: Tensor, views: Tensor, share: float) -> None:
    """Add the power of a thin object in some views to the total of shape (ny, nx); see `Totals.add_probe`."""
    ny, nx = total.shape
    grid = (triton.cdiv(ny * nx, BLOCK),)
    _see[grid](total, _pairs(obj), corners, views, len(views), ny, nx, obj.shape[1], share, N=BLOCK)


def collect(num: Tensor, den: Tensor, beam: Tensor, chi: Tensor, corners: Tensor, views: Tensor) -> None:
    """Add conj(P) chi and |P|^2, summed over modes, to the sums of a thin object; see `Totals.add_object`."""
    (count, modes, ny, nx), (rows, columns), (ty, tx) = beam.shape, den.shape, TILE
    _collect[(triton.cdiv(rows, ty), triton.cdiv(columns, tx))](
        _pairs(num), den, _pairs(beam), _pairs(chi), corners, views, count, modes, ny, nx, rows, columns, TY=ty, TX=tx
    )


def judge(
    far: Tensor, stack: Tensor, frames: Tensor, invalid: float, floor: float, noise: str
) -> tuple[Tensor, Tensor]:
    """Return corrected waves, and difference and loss in parts of every frame, (2, frames, parts); see `Detector`.

    ``stack`` has integers where the counts are uint16, with the same bits, and ``frames`` says where in it they are.
    """
    count, waves, pixels = len(far), far.shape[1], far.shape[2] * far.shape[3]
    blocks = triton.cdiv(pixels, BLOCK)
    out, sums = far.new_empty(far.shape), torch.empty((2, count, blocks), device=far.device)
    _judge[(blocks, count)](
        _pairs(out), sums[0], sums[1], _pairs(far), stack, frames, invalid, floor**2, READOUT, waves, pixels, blocks,
        NOISE=noise, UNSIGNED=stack.dtype == torch.int16, N=BLOCK,
    )  # fmt: skip
    return out, sums


def _pairs(waves: Tensor) -> Tensor:
    """Return complex numbers as real pairs, in their order in memory."""
    return torch.view_as_real(waves.resolve_conj().contiguous())
