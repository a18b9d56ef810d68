"""The protocol between algorithms and backends: a small set of passes over frames.

With the exit wave psi_jk = P_jk O_j (the probe of the frame shifted to its sub-pixel position, times the object in the
frame's window), the unitary Fourier transform F and the measured intensity I_j, every pass uses the correction

    chi_jk = F^-1 [ (sqrt(I_j) / sqrt(sum_k |F psi_jk|^2) - 1) F psi_jk ]

which is 0 on pixels without a measurement. (Where the wave is zero up to rounding, below `Problem.floor`, the
correction fades to zero, because the measured amplitude must not take a random phase.) An algorithm has no other access
to the counts, and a backend contains no algorithm.

A thick sample (`engine.model.slices`) has slices O_1, O_2, .. with the propagation A between them: psi_1 = P O_1 and
psi_(l+1) = O_(l+1) A psi_l; the last psi is the exit wave. The correction at slice l is chi_l, with
chi_(l-1) = A^-1 conj(O_l) chi_l. It replaces chi, and the wave A psi_(l-1) that enters the slice replaces P.

The detector may be non-ideal (`engine.model.detector`): the modelled counts are m = A sum_k |F psi_k|^2 + B, and
chi = F^-1 [ A^T (sqrt(I) / sqrt(m) - 1) F psi ].

The probe of frame j is a_j (P_k + [k = 0] sum_m v_jm U_m): the OPR modes U_m with the weights v_jm of the frame are
added to the first probe mode, and the probe factor a_j multiplies all modes. Then the pointing of the frame is applied
(`State.pointing`). These per-frame parameters are refined in `engine.model` from the responses that a pass records.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.problem import Problem
from exitwave.engine.state import State
from exitwave.poisson import READOUT as READOUT

Noise = Literal["amplitude", "intensity", "Poisson"]
"""Noise model of the counts I, given the modelled counts m = sum_k |F psi_jk|^2. Half the negative log-likelihood of a
pixel is:

- ``"amplitude"``: (sqrt(I) - sqrt(m))^2. The square root of counts has the variance 1/4 for every mean.
- ``"intensity"``: (I - m)^2 / (4 (I + r)). Gaussian counts of variance I, plus readout noise of variance r.
- ``"Poisson"``: (m - I - (I + r) log((m + r) / (I + r))) / 2. Poisson counts plus a readout of mean and variance r,
  which limits the weight of a photon where the model is dark.

All three agree where the model is close to the counts, so that their steps have the same scale.
"""
NOISE: tuple[Noise, ...] = get_args(Noise)


class Misfit(NamedTuple):
    """The two sums of the error metric E = sum M (sqrt(I) - sqrt(model))^2 / sum M I.

    The difference may be a tensor whose computation on a device has not finished; adding it to another does not wait.
    """

    difference: float
    signal: float

    @property
    def error(self) -> float:
        """The error metric; NaN where there is no signal."""
        return float(self.difference) / float(self.signal) if self.signal else float("nan")


@dataclass(frozen=True)
class Sums:
    """The sums of one pass over some frames, all at the same object and probe.

    Object, probe density, probe and object density are on the same device as the arrays of the state. The backend owns
    them and overwrites them in its next pass: copy what must be kept.
    """

    object: NDArray[np.complexfloating[Any]]
    """sum_jk conj(P_k) chi_jk on the object's grid, shape of the object."""
    probe_density: NDArray[np.floating[Any]]
    """sum_jk |P_k|^2 on the object's grid, shape of the object."""
    probe: NDArray[np.complexfloating[Any]]
    """sum_j conj(O_j) chi_jk, shifted back to the unshifted probe, shape (modes, ny, nx)."""
    object_density: NDArray[np.floating[Any]]
    """sum_j |O_j|^2 on the probe's grid, shape (ny, nx)."""
    misfit: Misfit
    """The two sums of the error metric."""
    loss: float = 0.0
    """Half the negative log-likelihood of the noise model that was given to `gather`."""
    opr_modes: NDArray[np.complexfloating[Any]] | None = None
    """sum_j a_j v_jm conj(O_j) chi_j0, shifted back, shape (opr_modes, ny, nx), if the state has OPR modes."""
    slice_spacing: float = 0.0
    """sum_j <Z_j, chi_j> with Z = d psi / d spacing, for a thick sample, if responses were requested."""
    background: NDArray[np.float64] | None = None
    """sum_j (I_j - m_j) / m_j and the number of frames j, over the frames with a measurement, shape (2, ny, nx) of a
    frame, if the state has a background. A saturated pixel below its model counts as a frame, with the value 0."""


RESPONSES = ("difference", "yy", "xx", "yx", "y", "x", "power", "gain")
"""The responses of a frame in a pass, in this order. If the sum of the probe is requested, they are followed by
``Re <a_j U_m O, chi>`` for every OPR mode and, with pointing, by ``<d psi / d t_y, chi>`` and ``<d psi / d t_x, chi>``.

With the exit wave psi = P O, the derivatives Y and X of the object along rows and columns times P, and <a, b> the sum
of Re conj(a) b over pixels and modes, they are: the misfit's ``difference``, <Y, Y>, <X, X>, <Y, X>, <Y, chi>,
<X, chi>, <psi, psi> and <psi, chi>. The derivatives are those of `gradient`. They are taken of the object and not of
the probe, because the derivative of the probe also shifts the exit wave as a whole, which does not change the
intensity in the far field.
"""


def gradient(obj: NDArray[np.complexfloating[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the derivatives of an object along rows and columns, by central differences of fourth order.

    ``(8 (O[1] - O[-1]) - (O[2] - O[-2])) / 12``, periodic at the edges: B. Fornberg, Math. Comput. 51, 699 (1988).
    """

    def along(axis: int) -> NDArray[Any]:
        far, near = (np.roll(obj, -n, axis) - np.roll(obj, n, axis) for n in (2, 1))
        return (8 * near - far) / obj.real.dtype.type(12)

    return along(-2), along(-1)


class Step(NamedTuple):
    """A regularised step: ``length * numerator / ((1 - alpha) * denominator + alpha * max(denominator))``."""

    length: float
    alpha: float


class ProjectionWeights(NamedTuple):
    """A projection step: psi <- (1 - a - b) psi + a Pi_O psi + b Pi_F (c Pi_O psi + (1 - c) psi).

    Pi_O psi = P O is the nearest wave that is a product of object and probe, Pi_F the nearest with measured amplitudes.
    """

    a: float
    b: float
    c: float


class Line(NamedTuple):
    """A direction (h_O, h_P, d) through object and probe, and optionally the positions."""

    object: NDArray[np.complexfloating[Any]]
    """Shape (rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """Shape (modes, ny, nx)."""
    moves: NDArray[np.float64] | None = None
    """Displacement of every frame in object pixels (row, column), shape (npos, 2)."""


class Backend(Protocol):
    """The passes over frames that every backend implements."""

    problem: Problem
    threads: int
    """Threads of the host."""

    def take(self, array: Any) -> Any:
        """Return an array on the device of the passes: the array itself where it is there already."""

    def gather(
        self,
        state: State,
        frames: NDArray[np.int64],
        *,
        object: bool = True,
        probe: bool = True,
        noise: Noise = "amplitude",
        responses: NDArray[np.float64] | None = None,
        gradients: bool = True,
    ) -> Sums:
        """Sum the corrections of the frames without changing the state; sums that are not requested stay 0.

        ``responses``, shape (frames, len(RESPONSES) + opr_modes), and 2 columns more with pointing, receives the
        responses of every frame; without ``gradients`` the ones that need the object's derivatives may be left out.

        chi_jk is minus the derivative of the noise model's loss with respect to conj(psi_jk): for the amplitude model
        the equation above, for the intensity and the Poisson model F^-1 of (I - m) / (2 (I + r)) F psi_jk and of
        (I - m) / (2 (m + r)) F psi_jk. So the sums are minus the gradients with respect to conj(O) and conj(P).
        """

    def cross_term(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return Re sum_jk <dO_j P_k, dP_k O_j>: the overlap of the exit-wave changes of dO and of dP.

        ``object`` is dO, shape (rows, columns), and ``probe`` dP, shape (modes, ny, nx). The effect of each change
        alone follows from the sums of `gather`; this term does not. Windows are taken at the nearest whole pixel, and
        the probe without per-frame parameters, because the term only weighs two steps against each other.
        """

    def line_derivatives(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return dL/dt and d2L/dt2 of the loss L at (O + t h_O, P + t h_P) for some lengths t, shape (lengths, 2).

        Along a line the modelled wave is A + t B + t^2 C, and its intensity a quartic in t: three transforms of a
        frame serve all lengths. (Below `Problem.floor` the amplitude model's derivatives fade to zero.) A move adds the
        change of the frame's probe, to first order in t, to h_P.
        """

    def position_derivatives(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return the derivatives of the loss with respect to the positions, shape (frames, 5).

        Y and X are the waves at the detector of d P_j / d y O_j and d P_j / d x O_j, the derivatives of the frame's
        wave with respect to its position in object pixels (row, column), and m_y = 2 sum_k Re conj(F psi_k) Y_k that of
        its intensity. The columns are minus half the derivative of the loss L, ``(y, x)``, and half the Gauss-Newton
        matrix of L, ``(yy, xx, yx)``, with yy = sum m_y^2 / (4 m) over the pixels. The solution of
        ``[yy yx; yx xx] d = (y, x)`` is the move that minimises L at fixed object and probe. Y and X contain mostly a
        shift of the whole wave; it changes no intensity and does not contribute.
        """

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement."""

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame, in the order given; ``None`` leaves a quantity alone."""

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: NDArray[np.complexfloating[Any]],
        weights: ProjectionWeights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the stored exit waves of the frames in place, then sum like `gather` with psi - P O instead of chi.

        ``waves`` are the exit waves at the detector, F psi with zero frequency at [0, 0], shape (frames, modes, ny,
        nx). If the weights are ``None``, the waves stay, the counts are not read, and the misfit is 0.
        """

    def allocate_waves(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the stored exit waves, shape (frames, modes, ny, nx), which `project` changes.

        Raises
        ------
        InputError
            If they do not fit in memory.
        """

    def descend(
        self,
        target: NDArray[np.complexfloating[Any]],
        numerator: NDArray[np.complexfloating[Any]],
        denominator: NDArray[np.floating[Any]],
        step: Step,
        velocity: NDArray[np.complexfloating[Any]] | None = None,
    ) -> None:
        """Add the regularised step to the target in place, and to the velocity where there is one."""
