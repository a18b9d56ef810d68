"""Fourier ring correlation: down to which detail two images agree."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

SOFT = 0.5
"""Share of each side over which the window falls off (cosine)."""
RINGS = 7
"""Rings over which the curve is smoothed before it is asked where it crosses the threshold."""


@dataclass(frozen=True)
class FRC:
    """A Fourier ring correlation and the resolution it gives."""

    frequency: NDArray[np.float64]
    """Spatial frequency of every ring in 1/m, shape (rings,); the ring at zero is left out."""
    correlation: NDArray[np.float64]
    """Correlation of every ring, -1 to 1, shape (rings,)."""
    threshold: NDArray[np.float64]
    """Half-bit threshold of every ring, shape (rings,)."""
    resolution: float
    """Half period in metres, 1/(2 f), where the curve falls below the threshold: equals the pixel size at Nyquist."""
    limited_by_pixel: bool
    """Whether the correlation stays above the threshold up to Nyquist, so that the resolution is the pixel size."""
    halves: str = ""
    """What was halved for the two images, counts or frames; empty where they are no halves of one scan."""


def threshold(count: NDArray[np.float64], bits: float = 0.5) -> NDArray[np.float64]:
    """Return the correlation at which a ring carries ``bits`` of information per pixel.

    T = (s + 2 sqrt(s/n) + 1/sqrt(n)) / (1 + s + 2 sqrt(s/n)) with s = (2**bits - 1)/2, the signal-to-noise ratio of
    each half of the data: 0.2071 for half a bit, 0.5 for one bit.

    Parameters
    ----------
    count : ndarray
        Number n of independent Fourier pixels in the ring; less than one counts as one.
    bits : float
        Information per pixel in the two halves together.

    Returns
    -------
    ndarray
        The threshold, of the shape of ``count``.

    References
    ----------
    M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005), equation 17.
    """
    n = np.maximum(count, 1.0)
    signal = (2.0**bits - 1.0) / 2.0
    cross = 2.0 * np.sqrt(signal / n)
    return (signal + cross + 1.0 / np.sqrt(n)) / (1.0 + signal + cross)


def frc(a: NDArray[Any], b: NDArray[Any], pixel: tuple[float, float], *, truth: bool = False) -> FRC:
    """Return the Fourier ring correlation Re(sum F_a F_b*) / sqrt(sum |F_a|^2 sum |F_b|^2) of two images.

    Both are taken about their mean under a Tukey window. The window leaves fewer independent Fourier pixels in a ring,
    n (sum w^2)^2 / (N sum w^4) instead of n, and the threshold counts these. The resolution is where the curve
    crosses, next to where it does so when a straight line fitted to `RINGS` takes the place of each: where it falls
    slowly, one ring alone scatters below too soon.

    Parameters
    ----------
    a, b : ndarray of complex, shape (ny, nx)
        Two registered images, of one scale and without a ramp between them.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    truth : bool
        Whether b is free of noise. It then correlates with a as C = sqrt(2 T/(1 + T)), where two halves of the data
        behind a would correlate as T, and the threshold is raised by this.

    Returns
    -------
    FRC

    References
    ----------
    W. O. Saxton and W. Baumeister, J. Microsc. 127, 127 (1982). For ``truth``: P. B. Rosenthal and R. Henderson,
    J. Mol. Biol. 333, 721 (2003). For smoothing: R. P. J. Nieuwenhuizen et al., Nat. Methods 10, 557 (2013).
    """
    from scipy.signal.windows import tukey  # slow to import, and a file that holds an FRC does not need it

    window = np.outer(*(tukey(n, SOFT) for n in a.shape))
    one, two = (fft.fft2(window * (wave - np.sum(window * wave) / window.sum())) for wave in (a, b))
    fy, fx = (fft.fftfreq(n, step) for n, step in zip(a.shape, pixel, strict=True))
    width = max(abs(fy[1]), abs(fx[1]))
    rings = int(0.5 / max(pixel) / width * (1 + 1e-9))
    ring = np.rint(np.hypot(fy[:, None], fx) / width).astype(np.int64).ravel()

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(ring, weights=values.ravel(), minlength=rings + 1)
        return np.asarray(sums[1 : rings + 1], dtype=np.float64)

    power = total(np.abs(one) ** 2) * total(np.abs(two) ** 2)
    cross = total(np.real(one * np.conj(two)))
    correlation = np.divide(cross, np.sqrt(power), out=np.zeros(rings), where=power > 0)
    independent = total(np.ones(a.shape)) * np.sum(window**2) ** 2 / (window.size * np.sum(window**4))
    limit = threshold(independent)
    if truth:
        limit = np.sqrt(2 * limit / (1 + limit))
    frequency = width * np.arange(1, rings + 1)
    cut, limited = _crossing(frequency, correlation - limit)
    return FRC(frequency, correlation, limit, max(pixel) if limited else 0.5 / cut, limited)


def _crossing(frequency: NDArray[np.float64], excess: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the frequency at which ``excess`` falls below zero, and False; or the last one, and True."""
    from scipy.signal import savgol_filter

    smooth = savgol_filter(excess, RINGS, 1) if len(excess) >= RINGS else excess
    about, own = _downward(frequency, smooth), _downward(frequency, excess)
    if not len(about):
        return float(frequency[-1]), True
    near = own if len(own) else about
    return float(near[np.argmin(np.abs(near - about[0]))]), False


def _downward(frequency: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies at which ``excess`` falls below zero; the first one where it starts below."""
    i = np.flatnonzero((excess[:-1] >= 0) & (excess[1:] < 0))
    share = excess[i] / (excess[i] - excess[i + 1])
    inside = frequency[i] + share * (frequency[i + 1] - frequency[i])
    return np.concatenate([frequency[:1], inside]) if excess[0] < 0 else inside
