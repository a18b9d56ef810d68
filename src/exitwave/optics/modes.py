"""Incoherent probe modes: orthogonal sets, their powers, and the diameter of a probe."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.errors import InputError

Modes = NDArray[np.complexfloating[Any, Any]]


def starting_modes(probe: Modes, n: int, fraction: float = 0.1) -> Modes:
    """Return orthogonal modes for the start of a mixed-state reconstruction from one probe.

    The further modes are the probe times x^a y^b (x, y from the centre of its intensity; a + b = 1, 2, ...), made
    orthogonal by the Gram-Schmidt process. These are the first modes that a source of finite size adds; of a Gaussian
    probe they are the Hermite-Gauss modes.

    Parameters
    ----------
    probe : ndarray of shape (ny, nx) or (1, ny, nx)
        The coherent probe.
    n : int
        Number of modes.
    fraction : float
        Total power of modes 1 to n-1, relative to the power of all modes; each has half the power of the previous one.

    Returns
    -------
    ndarray of shape (n, ny, nx)
        Modes with the dtype and total power of the probe; mode 0 is the probe times a real factor.

    Raises
    ------
    InputError
        If the probe has several modes or is zero, or n < 1.
    """
    ny, nx = probe.shape[-2:]
    flat = probe.reshape(-1, ny * nx).astype(np.complex128)
    power = float(np.sum(np.abs(flat) ** 2))
    if len(flat) != 1 or n < 1 or not power > 0:
        raise InputError(
            "Starting modes need one probe that is not zero",
            found=f"shape {probe.shape}, {n} modes",
            remedy="Give one mode of shape (1, ny, nx) that is not empty",
        )
    weight = np.abs(flat[0]) ** 2 / power
    y, x = (axis.ravel().astype(np.float64) for axis in np.indices((ny, nx)))
    y, x = y - np.sum(weight * y), x - np.sum(weight * x)
    scale = np.sqrt(np.sum(weight * (y**2 + x**2))) + 1e-12
    orders = [(total - b, b) for total in range(n) for b in range(total + 1)][:n]
    products = np.stack([flat[0] * (x / scale) ** a * (y / scale) ** b for a, b in orders], axis=1)
    basis, triangle = np.linalg.qr(products)
    basis *= np.exp(1j * np.angle(np.diag(triangle)))
    halves = 0.5 ** np.arange(1, n)
    powers = np.array([1.0]) if n == 1 else np.concatenate([[1 - fraction], fraction * halves / halves.sum()])
    return (basis * np.sqrt(power * powers)).T.reshape(n, ny, nx).astype(probe.dtype)


def orthogonalise(modes: Modes) -> Modes:
    """Return orthogonal modes of the same mixed state, the strongest first.

    Parameters
    ----------
    modes : ndarray of shape (n, ny, nx)
        Modes, orthogonal or not.

    Returns
    -------
    ndarray of shape (n, ny, nx)
        Orthogonal modes U^H A of the same dtype, with the unitary U of the Hermitian Gram matrix A A^H = U S^2 U^H of
        the modes A. The total intensity of every pixel is the same, also in any plane after propagation.

    References
    ----------
    Thibault and Menzel, Nature 494, 68 (2013), Methods.
    """
    flat = modes.reshape(len(modes), -1).astype(np.complex128)
    _, unitary = np.linalg.eigh(flat @ flat.conj().T)
    unitary = unitary[:, ::-1]
    # The phase of an eigenvector is arbitrary. Its largest component is made real, so that orthogonal modes are kept.
    largest = np.take_along_axis(unitary, np.abs(unitary).argmax(axis=0)[None], axis=0)
    unitary = unitary * np.exp(-1j * np.angle(largest))
    return (unitary.conj().T @ flat).reshape(modes.shape).astype(modes.dtype)


def mode_powers(modes: Modes) -> NDArray[np.float64]:
    """Return the relative powers of modes of shape (n, ny, nx), shape (n,); zeros if all modes are zero."""
    power = np.sum(np.abs(modes).astype(np.float64) ** 2, axis=(1, 2))
    return np.asarray(power / power.sum() if power.any() else power)


def probe_diameter(probe: Modes, pixel: tuple[float, float]) -> float:
    """Return the diameter in metres of a disc with the effective area of the probe, (sum I)^2 / (sum I^2).

    This is exact for a uniform disc; four times the standard deviation (2 w) for a Gaussian beam.

    Parameters
    ----------
    probe : ndarray of shape (ny, nx) or (modes, ny, nx)
        The probe; I is its intensity, summed over modes.
    pixel : tuple of float
        Pixel (y, x) in metres.

    Raises
    ------
    InputError
        If the probe is zero.
    """
    intensity = np.sum(np.abs(probe.reshape(-1, *probe.shape[-2:])).astype(np.float64) ** 2, axis=0)
    if not intensity.max() > 0:
        raise InputError("The probe is zero", found=f"shape {probe.shape}", remedy="Give a probe with intensity")
    intensity /= intensity.max()
    area = intensity.sum() ** 2 / np.sum(intensity**2) * pixel[0] * pixel[1]
    return float(2 * np.sqrt(area / np.pi))
