"""The seam between algorithms and backends: a handful of fused passes over frames.

With the exit wave psi_jk = P_jk O_j (the probe of the frame shifted to its sub-pixel position, the object seen through
its window), the unitary Fourier transform F and the measured intensity I_j, every pass rests on

    chi_jk = F^-1 [ (sqrt(I_j) / sqrt(sum_k |F psi_jk|^2) - 1) F psi_jk ]

which is 0 on pixels without a measurement. (Where the wave is zero up to rounding, below `Problem.floor`, the
correction fades to zero: the measured amplitude must not take a random phase.) An algorithm sees nothing else of the
data, and a backend knows no algorithm.

A thick sample (`engine.slices`) has slices O_1, O_2, .. with the propagation A between them: psi_1 = P O_1 and
psi_(l+1) = O_(l+1) A psi_l, of which the last is the exit wave. The correction at slice l is chi_l, with
chi_(l-1) = A^-1 conj(O_l) chi_l, and takes the place of chi; the wave A psi_(l-1) that enters the slice takes the
place of P.

The detector may be less than ideal (`engine.detector`): the modelled counts are then m = A sum_k |F psi_k|^2 + B, and
chi = F^-1 [ A^T (sqrt(I) / sqrt(m) - 1) F psi ].

A frame's probe is a_j (P_k + [k = 0] sum_m v_jm U_m): the modes, to the first of which some variations are added with
the frame's own weights, and all of it times the frame's own scale; then it is tilted (`State.tilts`). What the frames
have of their own belongs to `engine.model`, which learns from the responses that a pass writes down.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.problem import Problem

Noise = Literal["amplitude", "intensity", "Poisson"]
"""What the counts I scatter like about the model m = sum_k |F psi_jk|^2. Half the negative log-likelihood of a pixel:

- ``"amplitude"``: (sqrt(I) - sqrt(m))^2. The square root of counts has the variance 1/4, whatever their mean.
- ``"intensity"``: (I - m)^2 / (4 (I + r)). Gaussian counts of variance I, and r of the readout.
- ``"Poisson"``: (m - I - (I + r) log((m + r) / (I + r))) / 2. Poisson counts on top of a readout of mean and
  variance r, which keeps a photon where the model is dark from outweighing all others.

All three agree where the model is close to the counts, so that steps have one scale.
"""
NOISE: tuple[Noise, ...] = get_args(Noise)
READOUT = 1.0
"""Variance r of the readout in counts. Poisson model: D. L. Snyder et al., J. Opt. Soc. Am. A 12, 272 (1995)."""


OWN = ("positions", "scales", "variations", "weights", "tilts", "spacing", "background", "distance")
"""The fields of a `State` that belong to `engine.model`."""
LASTING = ("settling since", "pupil", "spacing", "distance")
"""What is not about object and probe in the memory of a `State`."""


@dataclass
class State:
    """What an algorithm improves."""

    object: NDArray[np.complexfloating[Any]]
    """Complex transmission, shape (rows, columns), of a thick sample (slices, rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """Probe modes, shape (modes, ny, nx)."""
    rng: np.random.Generator
    """The source of every random choice."""
    iteration: int = 0
    """Iterations done in this stage."""
    settling: bool = False
    """Whether this is the last part of the stage, in which an algorithm trades speed for less noise."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What an algorithm carries from one iteration to the next."""
    positions: NDArray[np.float64] | None = None
    """Object pixel (row, column) under the probe's centre, shape (npos, 2); None: those of the problem.

    This array and those below are replaced, never changed in place: a backend that has seen one knows its content.
    """
    scales: NDArray[np.float64] | None = None
    """Factor a_j of the probe in every frame, shape (npos,); None: 1."""
    variations: NDArray[np.complexfloating[Any]] | None = None
    """What varies in the first mode from frame to frame, U_m, shape (variations, ny, nx); None: nothing."""
    weights: NDArray[np.float64] | None = None
    """How much of it, v_jm, shape (npos, variations)."""
    tilts: NDArray[np.float64] | None = None
    """Shift t_j of every frame's pattern towards higher rows and columns in detector pixels, shape (npos, 2); None: 0.

    The probe of the frame, shifted to its position, is multiplied by exp(2 pi i (t_y (r - ny//2) / ny +
    t_x (c - nx//2) / nx)), with row r and column c of the frame's window.
    """
    spacing: NDArray[np.float64] | None = None
    """Distance from one slice to the next, relative to that of the problem, shape (); None: 1."""
    background: NDArray[np.float64] | None = None
    """Counts without the beam, beside those that the problem knows of, shape (ny, nx) of a frame; None: 0."""
    distance: NDArray[np.float64] | None = None
    """Distance of a far-field detector, relative to that of the problem, shape (); None: 1. Positions say it too."""

    def forget(self) -> None:
        """Make an algorithm start afresh from object and probe, which something else has moved."""
        self.memory = {key: value for key, value in self.memory.items() if key in LASTING}

    @property
    def own(self) -> dict[str, NDArray[Any]]:
        """What the model of the experiment has learnt beside object and probe, by name."""
        return {name: value for name in OWN if (value := getattr(self, name)) is not None}


class Misfit(NamedTuple):
    """The two sums behind the error metric E = sum M (sqrt(I) - sqrt(model))^2 / sum M I.

    The difference may be a tensor on a device, for which nobody has waited yet; adding it to another is no waiting.
    """

    difference: float
    signal: float

    @property
    def error(self) -> float:
        """The error metric; NaN where there is no signal."""
        return float(self.difference) / float(self.signal) if self.signal else float("nan")


@dataclass(frozen=True)
class Sums:
    """What one pass over some frames adds up, all at the same object and probe.

    Object, illumination, probe and transmission are where the state's arrays are. They belong to the backend, which
    writes the sums of its next pass there: copy what is to be kept.
    """

    object: NDArray[np.complexfloating[Any]]
    """sum_jk conj(P_k) chi_jk on the object's grid, shape of the object."""
    illumination: NDArray[np.floating[Any]]
    """sum_jk |P_k|^2 on the object's grid, shape of the object."""
    probe: NDArray[np.complexfloating[Any]]
    """sum_j conj(O_j) chi_jk, shifted back to the unshifted probe, shape (modes, ny, nx)."""
    transmission: NDArray[np.floating[Any]]
    """sum_j |O_j|^2 on the probe's grid, shape (ny, nx)."""
    misfit: Misfit
    """The error metric's two sums."""
    loss: float = 0.0
    """Half the negative log-likelihood of the noise model that `gather` was given."""
    variations: NDArray[np.complexfloating[Any]] | None = None
    """sum_j a_j v_jm conj(O_j) chi_j0, shifted back, shape (variations, ny, nx), where there are any."""
    spacing: float = 0.0
    """sum_j <Z_j, chi_j> with Z = d psi / d spacing, of a thick sample that was asked for responses."""
    background: NDArray[np.float64] | None = None
    """sum_j (I_j - m_j) / m_j and the number of frames j, over those with a measurement, shape (2, ny, nx) of a frame;
    where the state has a background. A saturated pixel below its model counts, with 0."""


RESPONSES = ("difference", "yy", "xx", "yx", "y", "x", "power", "gain")
"""What a frame tells in a pass, in this order, and after it, where the sum of the probe is wanted, ``Re <a_j U_m O,
chi>`` for every variation, and for tilts ``<d psi / d t_y, chi>`` and ``<d psi / d t_x, chi>``.

With psi = P O the frame's exit wave, Y and X the derivatives of the object along rows and columns times P, and <a, b>
the sum of Re conj(a) b over pixels and modes: the misfit's ``difference``, <Y, Y>, <X, X>, <Y, X>, <Y, chi>, <X, chi>,
<psi, psi> and <psi, chi>. The derivatives are `gradient`'s. They are taken of the object, not of the probe, which would
also move the exit wave as a whole: the far field has the same intensity wherever that is.
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


class Weights(NamedTuple):
    """A projection step: psi <- (1 - a - b) psi + a Pi_O psi + b Pi_F (c Pi_O psi + (1 - c) psi).

    Pi_O psi = P O is the nearest wave that the object and probe explain, Pi_F the nearest with measured amplitudes.
    """

    a: float
    b: float
    c: float


class Line(NamedTuple):
    """A direction (h_O, h_P, d) through object and probe, and positions where these move too."""

    object: NDArray[np.complexfloating[Any]]
    """Shape (rows, columns)."""
    probe: NDArray[np.complexfloating[Any]]
    """Shape (modes, ny, nx)."""
    moves: NDArray[np.float64] | None = None
    """How far every frame moves in object pixels (row, column), shape (npos, 2)."""


class Sweeps(Protocol):
    """What a backend offers."""

    problem: Problem

    def gather(
        self,
        state: State,
        frames: NDArray[np.int64],
        *,
        object: bool = True,
        probe: bool = True,
        noise: Noise = "amplitude",
        responses: NDArray[np.float64] | None = None,
        slopes: bool = True,
    ) -> Sums:
        """Pass over the frames without changing the state; sums that are not wanted stay 0.

        ``responses``, shape (frames, len(RESPONSES) + variations), and 2 columns more with tilts, receives what each
        frame tells of what it has of its own; without ``slopes`` what needs the object's derivatives may be left out.

        chi_jk is minus the derivative of the noise model's loss with respect to conj(psi_jk): for the amplitude model
        what is written above, for the intensity and the Poisson model F^-1 of (I - m) / (2 (I + r)) F psi_jk and of
        (I - m) / (2 (m + r)) F psi_jk. So the sums are minus the gradients with respect to conj(O) and conj(P).
        """

    def crossing(
        self,
        state: State,
        frames: NDArray[np.int64],
        object: NDArray[np.complexfloating[Any]],
        probe: NDArray[np.complexfloating[Any]],
    ) -> float:
        """Return Re sum_jk <dO_j P_k, dP_k O_j>: how much of the exit waves two changes change alike.

        ``object`` is dO, shape (rows, columns), and ``probe`` dP, shape (modes, ny, nx). What a change does by itself
        follows from the sums of `gather`; this does not. Windows are taken at the nearest whole pixel, and the probe
        without what frames have of their own, for it only weighs two steps against each other.
        """

    def along(
        self, state: State, line: Line, frames: NDArray[np.int64], lengths: NDArray[np.float64], noise: Noise
    ) -> NDArray[np.float64]:
        """Return dL/dt and d2L/dt2 of the loss L at (O + t h_O, P + t h_P) for some lengths t, shape (lengths, 2).

        Along a line the modelled wave is A + t B + t^2 C, and its intensity a quartic in t: three transforms of a
        frame serve all lengths. (Below `Problem.floor` the amplitude model's derivatives fade to zero.) A move adds to
        the h_P of a frame how its probe changes, to first order in t.
        """

    def moves(self, state: State, frames: NDArray[np.int64], noise: Noise) -> NDArray[np.float64]:
        """Return what the frames tell of their positions, shape (frames, 5), without changing the state.

        With Y and X the waves at the detector of d P_j / d y O_j and d P_j / d x O_j, how frame j's wave changes with
        its position in object pixels (row, column), and m_y = 2 sum_k Re conj(F psi_k) Y_k its intensity: minus half
        the derivative of the loss L, ``(y, x)``, and half the Gauss-Newton matrix of L, ``(yy, xx, yx)``, with
        yy = sum m_y^2 / (4 m) over the pixels, so that the solution of ``[yy yx; yx xx] d = (y, x)`` is the move that
        takes L to its minimum, were object and probe to stay. A shift of the whole wave, of which Y and X contain much,
        changes no intensity, and so counts for nothing.
        """

    def misfit(self, state: State, frames: NDArray[np.int64]) -> Misfit:
        """Compare the model with the measurement, and nothing else."""

    def sequential(self, state: State, frames: NDArray[np.int64], object: Step | None, probe: Step | None) -> Misfit:
        """Update the state in place after every frame, in the order given; ``None`` leaves a quantity alone."""

    def project(
        self,
        state: State,
        frames: NDArray[np.int64],
        waves: NDArray[np.complexfloating[Any]],
        weights: Weights | None,
        *,
        object: bool = True,
        probe: bool = True,
    ) -> Sums:
        """Advance the frames' own exit waves in place, then sum like `gather`, with psi - P O in the place of chi.

        ``waves`` are the exit waves at the detector, F psi with zero frequency at [0, 0], shape (frames, modes, ny,
        nx). With weights of ``None`` they stay, the measurement is not looked at, and the misfit is 0.
        """

    def room(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return zeros for the frames' own exit waves, shape (frames, modes, ny, nx), which `project` changes.

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
