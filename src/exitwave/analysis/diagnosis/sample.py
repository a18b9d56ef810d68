"""The frames that a diagnosis looks at, and what all its tests want to know of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import percentile_filter

from exitwave.frames import counted
from exitwave.scan import Scan

PIXELS = 2**24
"""Detector pixels that are looked at, in as many frames as have them."""
FEWEST = 16
"""Frames that are looked at, however large they are."""
TRANSFORMED = 64
"""Frames whose Fourier transforms are looked at."""
HOT, HOT_COUNTS = 5.0, 10.0
"""A hot pixel has so many times the counts of its neighbours, and so many more of them."""
EXTENT = 1e-3
"""Where the autocorrelation of the exit waves ends, relative to its middle."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Some frames of a scan, evenly spread over those in use."""

    scan: Scan
    """Where they are from."""
    frames: NDArray[np.int64]
    """Their indices, shape (n,)."""
    of: int
    """Number of frames in use."""
    stack: NDArray[np.float32]
    """Their counts, shape (n, ny, nx), 0 where they are negative or not finite."""
    good: NDArray[np.bool_]
    """Which pixels are not masked and count in most frames, shape (ny, nx)."""

    @property
    def whole(self) -> bool:
        """Whether these are all frames in use."""
        return len(self.frames) == self.of

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean counts of every pixel, masked ones too, shape (ny, nx)."""
        return self.stack.mean(axis=0, dtype=np.float64)

    @cached_property
    def hot(self) -> NDArray[np.bool_]:
        """Pixels that are not masked and always far brighter than nearly all of their neighbours, shape (ny, nx)."""
        usual = percentile_filter(np.where(self.good, self.mean, 0), 84, size=5)
        least = self.stack.min(axis=0)  # speckles and focused beams come and go
        noise = np.sqrt((usual + 1) / len(self.frames))
        bright = self.mean > HOT * usual + HOT_COUNTS * noise
        return np.asarray(self.good & bright & (least > usual))

    @cached_property
    def dark(self) -> NDArray[np.float64]:
        """Counts without the beam that the detector knows of, shape (ny, nx)."""
        known = self.scan.detector.dark
        return np.zeros(self.good.shape) if known is None else known.astype(np.float64)

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """Pixels that are neither masked nor hot, shape (ny, nx)."""
        return self.good & ~self.hot

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Counts of every frame on clean pixels, without the dark ones, shape (n,)."""
        return self._noise - self.dark[self.clean].sum()

    @cached_property
    def time(self) -> NDArray[np.float64]:
        """When the frames were counted, from -1/2 at the first to 1/2 at the last of the scan, shape (n,)."""
        return self.frames / max(len(self.scan.patterns) - 1, 1) - 0.5

    @cached_property
    def autocorrelation(self) -> NDArray[np.float64]:
        """Mean |A_j(r)|^2 over frames, A_j the autocorrelation of an exit wave, shape (ny, nx), r = 0 at n//2.

        A_j is the Fourier transform of a pattern, here of its share in the counts. What all patterns have in common is
        taken away, and so is what the counting noise adds, 1/counts at every r. What remains is as wide as the beam,
        however curved its phase is: the wave scattered at one place meets that of another up to a diameter away.
        """
        chosen = np.unique(np.linspace(0, len(self.frames) - 1, TRANSFORMED).astype(int))
        chosen = chosen[self.totals[chosen] > 0]
        power, mean = np.zeros(self.good.shape), np.zeros(self.good.shape, np.complex128)
        if len(chosen) < 2:
            return power
        for index in chosen:
            share = np.where(self.clean, self.stack[index] - self.dark, 0) / self.totals[index]
            wave = fft.ifft2(fft.ifftshift(share), norm="ortho")
            mean += wave / len(chosen)
            power += np.abs(wave) ** 2 / len(chosen)
        varies = (power - np.abs(mean) ** 2) * len(chosen) / (len(chosen) - 1)
        return np.asarray(fft.fftshift(varies - self.floor))

    @cached_property
    def floor(self) -> float:
        """What the counting noise adds to |A_j(r)|^2 at every r: sum of the variances of the shares / (ny nx)."""
        lit = self.totals > 0
        return float(np.mean(self._noise[lit] / self.totals[lit] ** 2)) / self.good.size

    @cached_property
    def _noise(self) -> NDArray[np.float64]:
        """Variance of the counts of every frame on clean pixels, shape (n,)."""
        return np.array([frame[self.clean].sum(dtype=np.float64) for frame in self.stack])

    @cached_property
    def reach(self) -> float | None:
        """Pixels over which the exit waves extend, about a diameter of the beam; None where noise hides it."""
        ring = radial_mean(self.autocorrelation)
        middle = float(ring[3:6].mean())  # the innermost pixels have what the sample does not scatter
        below = np.flatnonzero(ring[3:] < EXTENT * middle)
        return float(3 + below[0]) if middle > 0 and below.size else None


def take(scan: Scan) -> Sample:
    """Return the frames to look at: as many as make `PIXELS`, but `FEWEST` or more; those left out are not in use."""
    used = scan.wanted
    shape = scan.patterns.shape[1:]
    number = min(len(used), max(FEWEST, PIXELS // int(np.prod(shape))))
    chosen = used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))] if len(used) else used
    stack, broken = np.zeros((len(chosen), *shape), np.float32), np.zeros(shape, np.int64)
    for index, frame in enumerate(scan.patterns.pick(chosen)):
        real = counted(frame)
        stack[index] = np.where(real, frame, 0)
        broken += ~real
    return Sample(scan, chosen, len(used), stack, scan.detector.always_good & (broken <= len(chosen) / 2))


def radial_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over rings one pixel wide about n//2, up to the nearest edge."""
    rows, columns = (np.arange(n) - n // 2 for n in image.shape)
    ring = np.hypot(rows[:, None], columns).astype(np.int64).ravel()
    sums = np.bincount(ring, weights=image.ravel())
    return np.asarray((sums / np.maximum(np.bincount(ring), 1))[: min(image.shape) // 2])
