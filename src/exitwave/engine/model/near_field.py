"""The near field: a detector so near that it sees an image of the sample in Fresnel diffraction.

In the far field the detector sees F psi; in the near field the wave has come a distance z, plane wave by plane wave,

    A psi = F^-1 [ H F psi ],   H(f) = exp(2 pi i z (sqrt(1 / lambda^2 - f^2) - 1 / lambda))

(J. W. Goodman, Introduction to Fourier Optics, 3rd ed., eq. 3-66), where in the cone beam of a source at z1 before the
sample z is z1 z2 / (z1 + z2), on pixels demagnified by z1 / (z1 + z2); see `Scan.propagation_distance`.

The detector sees where the exit wave is. It is the sample that moves, while probe and detector stand still; but the
frame's wave is the probe shifted by the rest s of the position, times a window of the object on whole pixels. So the
wave is shifted back on its way, by exp(2 pi i f s) beside H. The derivative of the wave at the detector by the position
is then A of the shifted-back product of the shifted probe and the derivative of the object, as `backend.RESPONSES` have
it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError


@dataclass(frozen=True, eq=False)
class Propagator:
    """The way from the sample to a detector in the near field."""

    transfer: NDArray[np.complex128]
    """H, of modulus 1, shape (ny, nx), zero frequency at [0, 0]."""

    def forth(self, waves: NDArray[np.complexfloating], rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return exit waves at the detector, shape (..., ny, nx), of a frame whose probe was shifted by the rest."""
        return self._filter(waves, self.transfer * self._back(rest))

    def back(self, waves: NDArray[np.complexfloating], rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return the inverse and adjoint of `forth`."""
        return self._filter(waves, (self.transfer * self._back(rest)).conj())

    def _filter(self, waves: NDArray[np.complexfloating], factor: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray(np.fft.ifft2(np.fft.fft2(waves) * factor))

    def _back(self, rest: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Return exp(2 pi i f s), which shifts back by s pixels (row, column)."""
        fy, fx = (np.fft.fftfreq(n) for n in self.transfer.shape)
        return np.asarray(np.exp(2j * np.pi * (fy[:, None] * float(rest[0]) + fx * float(rest[1]))))


def refuse_moves(way: Propagator | None) -> None:
    """Refuse to move positions together with object and probe in the near field, where they move the image too."""
    if way:
        remedy = "Refine them with another algorithm, and continue from its result"
        raise InputError("ML does not refine positions in the near field", found="position_update", remedy=remedy)
