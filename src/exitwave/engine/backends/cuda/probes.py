"""The probe and the window of every frame, from the state's refined parameters."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitwave.engine.backends.cuda.fused import fused_kernels
from exitwave.engine.problem import Problem
from exitwave.engine.state import State


def to_device(array: NDArray[np.generic], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a NumPy array as a tensor on the device, in the given precision."""
    return torch.as_tensor(np.ascontiguousarray(array)).to(device, dtype)


def ramps(shape: tuple[int, int], shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(-2 pi i f s) along rows, shape (n, ny, 1), and columns, (n, 1, nx), of shifts of shape (n, 2)."""
    ny, nx = shape
    fy, fx = (torch.fft.fftfreq(n, device=shifts.device) for n in (ny, nx))
    y, x = (-2 * torch.pi * f * shifts[:, axis, None] for axis, f in enumerate((fy, fx)))
    one = torch.ones((), device=shifts.device)
    return torch.polar(one.expand_as(y), y)[:, :, None], torch.polar(one.expand_as(x), x)[:, None, :]


class FrameProbes:
    """The probes of all exposures: with OPR, shifted, scaled and with pointing.

    A frame of a fly scan has E exposures, and exposure e of frame j has the index j E + e. Any other frame has one
    exposure, with the index j.

    Parameters
    ----------
    problem : Problem
        Counts and geometry.
    state : State
        The refined parameters; object and probe are not used.
    device : torch.device
        Device of the passes.
    """

    def __init__(self, problem: Problem, state: State, device: torch.device) -> None:
        if problem.exposures:
            state = problem.exposures.spread(state, problem.pixels)
        self.shape = problem.shape
        self.host_corners, shifts = problem.windows(state.positions)
        self.corners = to_device(self.host_corners, device, torch.int64)
        self.shifts = to_device(shifts, device)
        self.probe_factors = None if state.probe_factors is None else to_device(state.probe_factors, device)
        self.pointing = None if state.pointing is None else to_device(state.pointing, device)
        self.opr_modes = self.opr_weights = None
        if state.opr_modes is not None and state.opr_weights is not None:
            self.opr_modes = torch.fft.fft2(to_device(state.opr_modes, device, torch.complex64))
            self.opr_weights = to_device(state.opr_weights, device)

    @property
    def opr_count(self) -> int:
        """Number of OPR modes."""
        return 0 if self.opr_modes is None else len(self.opr_modes)

    def probes(self, spectrum: Tensor, exposures: Tensor) -> Tensor:
        """Return the probes of some exposures, shape (exposures, modes, ny, nx), from the spectrum of the probe."""
        return self.to_frame(self._with_opr(spectrum, exposures), exposures)

    def _with_opr(self, spectrum: Tensor, exposures: Tensor) -> Tensor:
        """Return the spectra of the unshifted probes, shape (exposures, modes, ny, nx); without OPR (1, ...)."""
        if self.opr_modes is None or self.opr_weights is None:
            return spectrum[None]
        waves = spectrum[None].repeat(len(exposures), 1, 1, 1)
        waves[:, 0] += torch.tensordot(self.opr_weights[exposures].to(torch.complex64), self.opr_modes, 1)
        return waves

    def to_frame(self, spectra: Tensor, exposures: Tensor) -> Tensor:
        """Return waves as parts of the probes of some exposures: shifted, scaled by the factor and with pointing.

        ``spectra`` are the Fourier transforms of the waves, shape (exposures or 1, modes, ny, nx).
        """
        if len(spectra) == 1 and (kernels := fused_kernels(spectra.device)) is not None:
            shifted = kernels.shift(spectra[0], self.shifts, self.probe_factors, exposures)
        else:
            shifted = spectra * self._shift_ramp(exposures)[:, None]
        waves = torch.fft.ifft2(shifted)
        return waves if self.pointing is None else waves * self._pointing_ramp(exposures)[:, None]

    def derivatives(self, spectrum: Tensor, exposures: Tensor) -> list[Tensor]:
        """Return the derivatives of the probes with respect to the positions along rows and columns."""
        waves = self._with_opr(spectrum, exposures)
        fy, fx = (torch.fft.fftfreq(n, device=spectrum.device) for n in self.shape)
        return [self.to_frame(-2j * torch.pi * f * waves, exposures) for f in (fy[:, None], fx)]

    def from_frame(self, total: Tensor, waves: Tensor, exposures: Tensor) -> Tensor:
        """Add the spectra of the adjoint of `to_frame` to a total, shape (modes, ny, nx), in place.

        Returns
        -------
        Tensor of shape (exposures, ny, nx)
            Spectra of the first mode of the waves without pointing, before the adjoint shift.
        """
        waves = waves if self.pointing is None else waves * self._pointing_ramp(exposures)[:, None].conj()
        spectra = torch.fft.fft2(waves)
        if (kernels := fused_kernels(total.device)) is not None:
            kernels.shift_back(total, spectra, self.shifts, self.probe_factors, exposures)
        else:
            total += (spectra * self._shift_ramp(exposures)[:, None].conj()).sum(0)
        return spectra[:, 0]

    def add_opr(self, total: Tensor, first_mode: Tensor, exposures: Tensor) -> None:
        """Add the sums of the OPR modes to a total, from the spectra of the first mode that `from_frame` returns."""
        if self.opr_weights is not None:
            weights = self.opr_weights[exposures].to(torch.complex64)
            total += torch.tensordot(weights.T, first_mode * self._shift_ramp(exposures).conj(), 1)

    def _shift_ramp(self, exposures: Tensor) -> Tensor:
        """Return the factor of the spectrum for shift and probe factor, shape (exposures, ny, nx)."""
        rows, columns = ramps(self.shape, self.shifts[exposures])
        return (rows if self.probe_factors is None else rows * self.probe_factors[exposures][:, None, None]) * columns

    def _pointing_ramp(self, exposures: Tensor) -> Tensor:
        """Return the phase ramp of the pointing, shape (exposures, ny, nx)."""
        assert self.pointing is not None
        angles = [2 * torch.pi * self.pointing[exposures][:, a, None] * axis for a, axis in enumerate(self.axes())]
        rows, columns = (torch.polar(torch.ones_like(angle), angle) for angle in angles)
        return rows[:, :, None] * columns[:, None, :]

    def axes(self) -> tuple[Tensor, Tensor]:
        """Return (r - ny//2) / ny and (c - nx//2) / nx."""
        y, x = ((torch.arange(n, device=self.shifts.device) - n // 2) / n for n in self.shape)
        return y, x
