"""What the frames have of their own: places, and the probe as it is there."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backends.cuda.fused import fused
from exitwave.engine.problem import Problem
from exitwave.engine.state import State


def tensor(array: NDArray[np.generic], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return an array on the device, in a precision."""
    return torch.as_tensor(np.ascontiguousarray(array)).to(device, dtype)


def ramps(shape: tuple[int, int], shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(-2 pi i f s) along rows, shape (n, ny, 1), and columns, (n, 1, nx), of shifts of shape (n, 2)."""
    ny, nx = shape
    fy, fx = (torch.fft.fftfreq(n, device=shifts.device) for n in (ny, nx))
    y, x = (-2 * torch.pi * f * shifts[:, axis, None] for axis, f in enumerate((fy, fx)))
    one = torch.ones((), device=shifts.device)
    return torch.polar(one.expand_as(y), y)[:, :, None], torch.polar(one.expand_as(x), x)[:, None, :]


class FrameProbes:
    """The probes of all views at a state: shifted, scaled, varied and tilted. A view is a frame, or an exposure of one.

    Parameters
    ----------
    problem : Problem
        Whose frames these are.
    state : State
        What the frames have of their own; object and probe are not looked at.
    device : torch.device
        Where the passes are.
    """

    def __init__(self, problem: Problem, state: State, device: torch.device) -> None:
        if problem.exposures:
            state = problem.exposures.spread(state, problem.pixels)
        self.shape = problem.shape
        self.places, rest = problem.windows(state.positions)
        self.corners = tensor(self.places, device, torch.int64)
        self.shifts = tensor(rest, device)
        self.probe_factors = None if state.probe_factors is None else tensor(state.probe_factors, device)
        self.pointing = None if state.pointing is None else tensor(state.pointing, device)
        self.opr_modes = self.weights = None
        if state.opr_modes is not None and state.opr_weights is not None:
            self.opr_modes = torch.fft.fft2(tensor(state.opr_modes, device, torch.complex64))
            self.weights = tensor(state.opr_weights, device)

    @property
    def count(self) -> int:
        """Number of variations."""
        return 0 if self.opr_modes is None else len(self.opr_modes)

    def of(self, spectrum: Tensor, views: Tensor) -> Tensor:
        """Return the probes of some views, shape (views, modes, ny, nx), from the spectrum of the probe."""
        return self.shifted(self._varied(spectrum, views), views)

    def _varied(self, spectrum: Tensor, views: Tensor) -> Tensor:
        """Return the spectra of the probes before they are shifted, shape (views or 1, modes, ny, nx)."""
        if self.opr_modes is None or self.weights is None:
            return spectrum[None]
        waves = spectrum[None].repeat(len(views), 1, 1, 1)
        waves[:, 0] += torch.tensordot(self.weights[views].to(torch.complex64), self.opr_modes, 1)
        return waves

    def shifted(self, spectra: Tensor, views: Tensor) -> Tensor:
        """Return waves of spectra (views or 1, modes, ny, nx) as they are in some views."""
        if len(spectra) == 1 and (kernels := fused(spectra.device)) is not None:
            turned = kernels.shift(spectra[0], self.shifts, self.probe_factors, views)
        else:
            turned = spectra * self._ramp(views)[:, None]
        beam = torch.fft.ifft2(turned)
        return beam if self.pointing is None else beam * self._tilt(views)[:, None]

    def changes(self, spectrum: Tensor, views: Tensor) -> list[Tensor]:
        """Return how the probes of some views change with their positions along rows and columns."""
        waves = self._varied(spectrum, views)
        fy, fx = (torch.fft.fftfreq(n, device=spectrum.device) for n in self.shape)
        return [self.shifted(-2j * torch.pi * f * waves, views) for f in (fy[:, None], fx)]

    def back(self, total: Tensor, wanted: Tensor, views: Tensor) -> Tensor:
        """Add the spectra of the adjoint of `shifted` to a total in place, and return those of the first mode."""
        wanted = wanted if self.pointing is None else wanted * self._tilt(views)[:, None].conj()
        back = torch.fft.fft2(wanted)
        if (kernels := fused(total.device)) is not None:
            kernels.shift_back(total, back, self.shifts, self.probe_factors, views)
        else:
            total += (back * self._ramp(views)[:, None].conj()).sum(0)
        return back[:, 0]

    def vary_back(self, total: Tensor, first: Tensor, views: Tensor) -> None:
        """Add to a total what the spectra of a first mode, as `back` returns them, want of the variations."""
        if self.weights is not None:
            weights = self.weights[views].to(torch.complex64)
            total += torch.tensordot(weights.T, first * self._ramp(views).conj(), 1)

    def _ramp(self, views: Tensor) -> Tensor:
        """Return the factor of a spectrum, shape (views, ny, nx)."""
        rows, columns = ramps(self.shape, self.shifts[views])
        return (rows if self.probe_factors is None else rows * self.probe_factors[views][:, None, None]) * columns

    def _tilt(self, views: Tensor) -> Tensor:
        """Return the factor that tilts beams, shape (views, ny, nx)."""
        assert self.pointing is not None
        angles = [2 * torch.pi * self.pointing[views][:, a, None] * axis for a, axis in enumerate(self.axes())]
        rows, columns = (torch.polar(torch.ones_like(angle), angle) for angle in angles)
        return rows[:, :, None] * columns[:, None, :]

    def axes(self) -> tuple[Tensor, Tensor]:
        """Return (r - ny//2) / ny and (c - nx//2) / nx."""
        y, x = ((torch.arange(n, device=self.shifts.device) - n // 2) / n for n in self.shape)
        return y, x
