"""Fourier ring correlation (FRC): the finest detail on which two images agree."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAPER = 0.5
"""Share of each side over which the Tukey window falls off."""
SMOOTHING = 7
"""Rings over which the curve is smoothed to find the crossing with the threshold."""


@dataclass(frozen=True)
class FRC:
    """A Fourier ring correlation and the resolution that follows from it."""

    frequency: NDArray[np.float64]
    """Spatial frequency of every ring in 1/m, shape (rings,), without the ring at zero."""
    correlation: NDArray[np.float64]
    """Correlation of every ring, -1 to 1, shape (rings,)."""
    threshold: NDArray[np.float64]
    """Half-bit threshold of every ring, shape (rings,)."""
    resolution: float
    """Half period in metres, 1/(2 f), with the frequency f from which on the curve stays below the threshold; at
    Nyquist it is the pixel size."""
    limited_by_pixel: bool
    """Whether the correlation stays above the threshold up to Nyquist, so that the resolution is the pixel size."""
    halves: str = ""
    """What was halved for the two images, counts or frames; empty if they are not halves of one scan."""


def threshold(count: NDArray[np.float64], bits: float = 0.5) -> NDArray[np.float64]:
    """Return the correlation at which a ring carries ``bits`` of information per pixel.

    T = (s + 2 sqrt(s/n) + 1/sqrt(n)) / (1 + s + 2 sqrt(s/n)) with s = (2**bits - 1)/2, the signal-to-noise ratio of
    each half of the data: 0.2071 for half a bit, 0.5 for one bit.

    Parameters
    ----------
    count : ndarray
        Number n of independent Fourier pixels in the ring; values below one count as one.
    bits : float
        Information per pixel in the two halves together.

    Returns
    -------
    ndarray
        The threshold, same shape as ``count``.

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

    The mean of each image is subtracted, and a Tukey window is applied. The window reduces the number of independent
    Fourier pixels in a ring from n to n (sum w^2)^2 / (N sum w^4), which the threshold takes into account. The
    resolution is at the crossing with the threshold that is nearest to the last crossing of a smoothed curve (a
    straight line fitted to every `SMOOTHING` rings). So single rings below the threshold, by noise or by an error of
    coarse structure, do not decide it. Without a signal, a smoothed ring of n Fourier pixels has the standard deviation
    1 / sqrt(2 n `SMOOTHING`), and by chance it crosses the threshold, more than 0.207 + 0.9 / sqrt(n), only with more
    than 5 standard deviations; after a gap, `SMOOTHING` successive rings must be above.

    Parameters
    ----------
    a, b : ndarray of complex, shape (ny, nx)
        Two registered images, of one scale and without a phase ramp between them.
    pixel : tuple of float
        Pixel size (y, x) in metres.
    truth : bool
        Whether b is free of noise. It then correlates with a as C = sqrt(2 T/(1 + T)), where two halves of the data
        behind a would correlate as T, and the threshold is raised accordingly.

    Returns
    -------
    FRC

    References
    ----------
    W. O. Saxton and W. Baumeister, J. Microsc. 127, 127 (1982). For ``truth``: P. B. Rosenthal and R. Henderson,
    J. Mol. Biol. 333, 721 (2003). For smoothing: R. P. J. Nieuwenhuizen et al., Nat. Methods 10, 557 (2013).
    """
    from scipy import fft  # slow to import, and not needed to read a file that holds an FRC
    from scipy.signal.windows import tukey

    window = np.outer(*(tukey(n, TAPER) for n in a.shape))
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
    cut, limited = _last_crossing(frequency, correlation - limit)
    return FRC(frequency, correlation, limit, max(pixel) if limited else 0.5 / cut, limited)


def _last_crossing(frequency: NDArray[np.float64], excess: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the frequency from which on ``excess`` stays below zero, and False; if it never does the last, and True.

    The excess is above zero where the smoothed curve is, in `SMOOTHING` successive rings or from the first ring on. A
    few rings that correlate by chance do not make so many.
    """
    from scipy.signal import savgol_filter

    smooth = savgol_filter(excess, SMOOTHING, 1) if len(excess) >= SMOOTHING else excess
    edges = np.flatnonzero(np.diff(np.concatenate([[False], smooth >= 0, [False]]).astype(np.int8)))
    stops = [stop for start, stop in zip(edges[::2], edges[1::2], strict=True) if not 0 < start > stop - SMOOTHING]
    if not stops:
        return float(frequency[0]), False
    if stops[-1] == len(excess):
        return float(frequency[-1]), True
    near = _downward(frequency[stops[-1] - 1 : stops[-1] + 1], smooth[stops[-1] - 1 : stops[-1] + 1])[0]
    exact = _downward(frequency, excess)
    return float(exact[np.argmin(np.abs(exact - near))] if len(exact) else near), False


def _downward(frequency: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies at which ``excess`` falls below zero."""
    i = np.flatnonzero((excess[:-1] >= 0) & (excess[1:] < 0))
    return frequency[i] + excess[i] / (excess[i] - excess[i + 1]) * (frequency[i + 1] - frequency[i])
