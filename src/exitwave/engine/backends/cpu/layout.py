"""Conversion of a problem and a state to the layout of the compiled loops (`kernels`)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.fft import transforms
from exitwave.engine.backends.cpu.kernels.detector import DetectorArrays
from exitwave.engine.backends.cpu.kernels.gather import FrameParameters
from exitwave.engine.backends.cpu.kernels.near_field import NearField
from exitwave.engine.backends.cpu.kernels.waves import load_probe, transform_columns, transform_rows
from exitwave.engine.model.detector import ideal
from exitwave.engine.problem import Problem
from exitwave.engine.state import State

_F32 = np.float32


class ProbeArrays(NamedTuple):
    """A probe in the layout of the loops."""

    waves: NDArray[np.float32]
    """Shape (modes, height, 2 * stride)."""
    spectrum: NDArray[np.float32]
    """Its unnormalised Fourier transform, of the same shape."""


class Layout:
    """The layout of the loops for one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.plans = problem, transforms.plans(problem.shape)

    def waves(self, modes: int) -> NDArray[np.float32]:
        """Return zeros for waves, shape (modes, height, 2 * stride)."""
        return transforms.zeros(modes, self.plans.height, 2 * self.plans.stride)

    def ramps(self) -> NDArray[np.float32]:
        """Return scratch for two ramps."""
        return transforms.zeros(2, 2 * max(self.problem.shape[0], self.plans.stride))

    def probe(self, modes: int) -> ProbeArrays:
        """Return zeros for a probe."""
        return ProbeArrays(self.waves(modes), self.waves(modes))

    def load_probe(self, arrays: ProbeArrays, probe: NDArray[np.complexfloating[Any]]) -> None:
        """Copy a probe, shape (modes, ny, nx), and its transform."""
        load_probe(*arrays, np.ascontiguousarray(probe, np.complex64).view(_F32), self.plans)

    def as_complex(self, waves: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return a view of waves of shape (modes, ny, nx)."""
        ny, nx = self.problem.shape
        return waves.view(np.complex64)[:, :ny, :nx]

    def inverse(self, spectrum: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the unnormalised inverse transform of a spectrum, shape (modes, ny, nx), which overwrites it."""
        transform_columns(self.plans.columns_backward, spectrum, self.plans)
        transform_rows(self.plans.rows_backward, spectrum, self.plans)
        return self.as_complex(spectrum)

    def check(self, state: State) -> None:
        """Raise `TypeError` if the arrays of a state are not those that the loops read.

        The compiled loops check nothing: an array of another type or layout would be read as wrong numbers.
        """
        for array, shape in ((state.object, self.problem.full_shape), (state.probe[0], self.problem.shape)):
            if array.shape != shape or array.dtype != np.complex64 or not array.flags.c_contiguous:
                raise TypeError(
                    f"a state needs contiguous complex64 arrays of shape {shape}, not {array.dtype} {array.shape}"
                )

    def flat(self, waves: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Check stored exit waves, and return them as (frames, modes, 2 * ny * nx)."""
        if waves.shape != shape or waves.dtype != np.complex64 or not waves.flags.c_contiguous:
            raise TypeError(f"waves need contiguous complex64 arrays of shape {shape}, not {waves.dtype} {waves.shape}")
        return waves.reshape(*shape[:2], -1).view(_F32)

    def frame_parameters(self, state: State) -> FrameParameters:
        """Return the parameters of every frame, or of every exposure in a fly scan."""
        if self.problem.exposures:
            state = self.problem.exposures.spread(state, self.problem.pixels)
        corners, shifts = self.problem.windows(state.positions)
        npos, opr_modes = len(corners), state.opr_modes
        probe_factors = np.ones(npos) if state.probe_factors is None else state.probe_factors
        opr = self.probe(0 if opr_modes is None else len(opr_modes))
        if opr_modes is not None:
            self.load_probe(opr, opr_modes)
        opr_weights = np.zeros((npos, 0)) if state.opr_weights is None else state.opr_weights
        pointing = np.zeros((0, 2)) if state.pointing is None else state.pointing
        shifts, factors, weights, angles = (
            np.ascontiguousarray(each, _F32) for each in (shifts, probe_factors, opr_weights, pointing)
        )
        return FrameParameters(np.ascontiguousarray(corners), shifts, factors, weights, opr.spectrum, angles)

    def detector(self, state: State) -> DetectorArrays | None:
        """Return the detector, with scratch for one thread; None: it is ideal."""
        problem, frame = self.problem, self.problem.counts.shape[1:]
        if problem.detector is None and state.background is None:
            return None
        detector = problem.detector or ideal((frame[0], frame[1]))
        added = 0 if state.background is None else state.background
        kernel = detector.kernel.astype(_F32)
        flat, background, cap = (
            np.ascontiguousarray(each, _F32) for each in (detector.flat, detector.background + added, detector.cap)
        )
        planes, line = transforms.zeros(4, *problem.shape), transforms.zeros(problem.shape[1] + len(kernel))
        sums = transforms.zeros(2 * (state.background is not None), *frame)
        return DetectorArrays(flat, background, cap, kernel, detector.oversample, planes, line, sums)

    def near_field(self) -> NearField | None:
        """Return the propagation to a detector in the near field, with scratch for one thread; None: far field."""
        if self.problem.propagator is None:
            return None
        (ny, nx), plans = self.problem.shape, self.plans
        transfer = self.waves(1)
        self.as_complex(transfer)[0] = self.problem.propagator.transfer / (ny * nx)
        ramps = transforms.zeros(2 * ny), transforms.zeros(2 * plans.stride), transforms.zeros(2 * plans.columns)
        return NearField(transfer[0], *ramps, transforms.zeros(plans.stride), transforms.zeros(plans.stride))
