"""Synthetic results with known truth, for the tests of analysis and figures."""

import numpy as np
from numpy.typing import NDArray

from exitwave.frames import Frames
from exitwave.positions.grid import object_grid
from exitwave.scan import Detector, Result, Scan, Truth

PIXEL = (12e-9, 10e-9)
ENERGY = 8800.0


def smooth(shape: tuple[int, int], cut: float, seed: int) -> NDArray[np.float64]:
    """Return a smooth random field of unit variance, with frequencies up to about ``cut`` cycles per pixel."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    spectrum = np.fft.fft2(np.random.default_rng(seed).normal(size=shape))
    field = np.fft.ifft2(spectrum * np.exp(-(fy**2 + fx**2) / (2 * cut**2))).real
    return field / field.std()


def specimen(shape: tuple[int, int], seed: int = 0, phase: float = 0.8) -> NDArray[np.complex128]:
    """Return a complex object with independent smooth absorption and phase."""
    return np.exp(-0.1 * np.abs(smooth(shape, 0.04, seed)) + 1j * phase * smooth(shape, 0.03, seed + 1))


def zone_plate(shape: tuple[int, int], modes: int = 1) -> NDArray[np.complex64]:
    """Return the defocused probe of a zone plate with a central stop, and weaker odd modes; 1e6 counts in total."""
    qy, qx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    radius = np.hypot(qy, qx)
    pupil = (radius < 0.2) * (radius > 0.07) * np.exp(60j * np.pi * radius**2)
    factors = [np.ones(shape), qx + 0 * qy, qy + 0 * qx][:modes]
    focus = np.array([np.fft.fftshift(np.fft.ifft2(pupil * factor)) for factor in factors])
    share = np.array([1.0, 0.1, 0.04])[:modes] * 1e6
    power = np.sum(np.abs(focus) ** 2, axis=(1, 2))
    return (focus * np.sqrt(share / power)[:, None, None]).astype(np.complex64)


def spiral(npos: int, step: float) -> NDArray[np.float64]:
    """Return a Fermat spiral in metres, shape (npos, 3)."""
    index = np.arange(npos)
    angle, radius = index * np.pi * (3 - np.sqrt(5)), step * np.sqrt(index)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), 0.0 * index])


def blank_scan(shape: tuple[int, int], npos: int = 12, step: float = 60e-9) -> Scan:
    """Return a scan of empty frames with an object pixel of `PIXEL` and a few bad pixels."""
    reach = 1.23984198e-6 / ENERGY
    mask = np.zeros(shape, np.uint8)
    mask[3:5] = 1
    detector = Detector(1.0, (reach / shape[0] / PIXEL[0], reach / shape[1] / PIXEL[1]), mask)
    return Scan(Frames(np.zeros((npos, *shape), np.float32)), spiral(npos, step), ENERGY, detector)


def known_result(shape: tuple[int, int] = (96, 104), modes: int = 1, npos: int = 30, seed: int = 0) -> Result:
    """Return a result that equals the truth, covered within a disc; its frames are empty."""
    scan = blank_scan(shape, npos)
    y, x = object_grid(scan.positions, shape, PIXEL)
    object = specimen((y.size, x.size), seed).astype(np.complex64)
    rows, columns = np.linspace(-1, 1, y.size)[:, None], np.linspace(-1, 1, x.size)
    covered = (np.hypot(rows, columns) < 0.8).astype(np.float32)
    probe = zone_plate(shape, modes)
    truth = Truth(object, x, y, probe, scan.positions)
    scan = Scan(scan.patterns, scan.positions, ENERGY, scan.detector, probe=probe, truth=truth)
    errors = (0.4 * 0.8 ** np.arange(20) + 0.02).astype(np.float32)
    held_out = np.array([2, 5])
    return Result(scan, object, probe, x, y, scan.positions, covered, errors, 1.1 * errors, held_out, "ePIE", {}, {})
