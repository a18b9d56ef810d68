"""The scans of the benchmark: the same frames, positions and starting probe for each program."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import exitwave
from exitwave.frames import Frames
from exitwave.positions import object_grid, split, to_pixels
from exitwave.scan import Detector, Scan
from exitwave.simulation import SimulatedFrames, simulate
from exitwave.simulation.presets import preset

SEED = 1
PHOTONS = 2e6
SMALLEST = 128
"""Pixels along the smallest frame that covers the whole lens."""
DEFOCUS = 1.15
"""Defocus of the starting probe relative to the true one."""
MEASURED = "velociprobe_siemens_star.cxi"
"""The measured scan, in the folder that EXITWAVE_DATA names, or in the tests' folder beside the project."""


class NoDataError(Exception):
    """The measured scan was not found; the message names the folder."""


def subpixel_scan(size: int, frames: int, modes: int = 1) -> Scan:
    """Return a 26-ID scan with frames of size x size and the true probe as the starting probe."""
    side = max(size, SMALLEST)
    scan = simulate("26-ID", detector=side, frames=frames, modes=modes, photons=PHOTONS, seed=SEED)
    scan = coarse(scan, size) if size < side else scan
    return replace(scan, patterns=Frames(scan.patterns[:]))


def coarse(scan: Scan, size: int) -> Scan:
    """Return the same experiment, simulated again with larger detector pixels and so with smaller windows."""
    truth, n = scan.truth, scan.patterns.shape[1]
    cut = slice((n - size) // 2, (size - n) // 2)
    pixels = tuple(pixel * n / size for pixel in scan.detector.pixel_size)
    masks = {"mask": scan.detector.mask[cut, cut], "pixel_mask": scan.detector.pixel_mask[cut, cut]}
    detector = replace(scan.detector, pixel_size=pixels, **masks)
    smaller = {
        "object": truth.object[cut, cut],
        "probe": truth.probe[:, cut, cut],
        "y": truth.y[cut],
        "x": truth.x[cut],
    }
    smaller_truth = replace(truth, **{name: np.ascontiguousarray(array) for name, array in smaller.items()})
    frames = SimulatedFrames(smaller_truth, detector, SEED)
    return replace(scan, patterns=frames, detector=detector, probe=smaller_truth.probe, truth=smaller_truth)


def whole_pixel_scan(scan: Scan) -> Scan:
    """Return the same experiment with each position moved to the nearest object pixel, simulated again."""
    truth = scan.truth
    whole = np.rint(to_pixels(truth.positions, truth.y, truth.x)).astype(int)
    positions = truth.positions.copy()
    positions[:, 0], positions[:, 1] = truth.x[whole[:, 1]], truth.y[whole[:, 0]]
    moved = replace(truth, positions=positions)
    frames = SimulatedFrames(moved, scan.detector, SEED)
    return replace(scan, patterns=Frames(frames[:]), positions=positions, truth=moved)


def subpixel_share(scan: Scan) -> float:
    """Return the fraction of the frames that are not on whole pixels, in the engine's precision."""
    pixels = to_pixels(scan.positions, scan.truth.y, scan.truth.x).astype(np.float32).astype(float)
    return float(split(pixels, scan.patterns.shape[1:])[1].any(axis=1).mean())


def defocused_scan(frames: int) -> Scan:
    """Return a 26-ID scan with frames of 128 x 128, and a starting probe whose defocus is wrong by 15 %."""
    scan, optics = simulate("26-ID", scan="fermat", detector=128, frames=frames, photons=PHOTONS), preset("26-ID")
    probe, _ = replace(optics, defocus=DEFOCUS * optics.defocus).probe((128, 128))
    off = np.asarray(probe[None] * np.sqrt(PHOTONS), np.complex64)
    return replace(scan, patterns=Frames(scan.patterns[:]), probe=off)


def measured_scan() -> Scan:
    """Return the measured Siemens star with the probe of its file.

    Raises
    ------
    NoDataError
        If the file was not found.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("EXITWAVE_DATA", default)) / MEASURED
    if not path.is_file():
        raise NoDataError(f"{MEASURED} was not found in {path.parent}; set EXITWAVE_DATA to its folder")
    scan = exitwave.open(path)
    assert isinstance(scan, Scan)
    return replace(scan, patterns=Frames(scan.patterns[:]))


def save_for_peer(scan: Scan, path: Path, left_out: Sequence[int] = ()) -> None:
    """Write the scan without some frames as plain arrays, the input of `driver.py`.

    Counts have zero frequency at n//2, and none is masked. Positions are pixels (row, column) on the object's grid. The
    probe is that of a unitary transform with the power of a mean frame, as Exitwave starts.
    """
    assert not scan.detector.mask.any()
    kept = np.setdiff1d(np.arange(len(scan.patterns)), left_out)
    patterns, probe = scan.patterns[:][kept], scan.probe.reshape(-1, *scan.patterns.shape[1:])
    y, x = object_grid(scan.positions, scan.patterns.shape[1:], scan.object_pixel)
    power = patterns.sum((1, 2), dtype=np.float64).mean()
    probe = probe * np.sqrt(power / (np.abs(probe) ** 2).sum())
    pixels = to_pixels(scan.positions, y, x)[kept]
    np.savez(path, patterns=patterns, probe=probe.astype(np.complex64), pixels=pixels, object_shape=(y.size, x.size))


class SparseFrames(Frames):
    """Many frames with few photons, computed when they are sliced: shape (npos, n, n), uint16.

    Each is noise about the same mean pattern; they are only for the measurement of memory.
    """

    def __init__(self, frames: int, size: int) -> None:
        self.path, self.dataset, self.shape, self.dtype = None, "", (frames, size, size), np.dtype(np.uint16)

    def __getitem__(self, index: Any) -> np.ndarray:
        numbers, n = np.atleast_1d(np.arange(len(self))[index]), self.shape[1]
        radius = np.hypot(*(np.indices((n, n)) - n // 2))
        expected = 200 * np.exp(-radius / 8)
        stack = [np.random.default_rng([SEED, j]).poisson(expected) for j in numbers]
        return np.asarray(stack, self.dtype)


def large_scan(frames: int, size: int) -> Scan:
    """Return a scan with the positions and the probe of a 26-ID scan, and `SparseFrames`."""
    scan = simulate("26-ID", detector=size, frames=frames, photons=1e4)
    detector = Detector(scan.detector.distance, scan.detector.pixel_size, scan.detector.mask)
    return replace(scan, patterns=SparseFrames(frames, size), detector=detector, truth=None)
