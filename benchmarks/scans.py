"""The simulated scans that every program gets: the same frames, positions and starting probe."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from exitwave.positions import split, to_pixels
from exitwave.scan import Frames, Scan
from exitwave.simulate import SimulatedFrames, simulate

SEED = 1


def subpixel_scan(size: int, frames: int) -> Scan:
    """Return a 26-ID scan with frames of size x size, one probe mode and the true probe to start from."""
    scan = simulate("26-ID", detector=size, frames=frames, modes=1, photons=2e6, seed=SEED)
    return replace(scan, patterns=Frames(scan.patterns[:]))


def whole_pixel_scan(scan: Scan) -> Scan:
    """Return the same experiment with every position moved to the nearest object pixel, simulated anew."""
    truth = scan.truth
    whole = np.rint(to_pixels(truth.positions, truth.y, truth.x)).astype(int)
    positions = truth.positions.copy()
    positions[:, 0], positions[:, 1] = truth.x[whole[:, 1]], truth.y[whole[:, 0]]
    moved = replace(truth, positions=positions)
    frames = SimulatedFrames(moved, scan.detector, SEED)
    return replace(scan, patterns=Frames(frames[:]), positions=positions, truth=moved)


def subpixel_share(scan: Scan) -> float:
    """Return the share of the frames that do not sit on whole pixels, in the engine's precision."""
    pixels = to_pixels(scan.positions, scan.truth.y, scan.truth.x).astype(np.float32).astype(float)
    return float(split(pixels, scan.patterns.shape[1:])[1].any(axis=1).mean())


def save_for_peer(scan: Scan, path: Path) -> None:
    """Write the scan as plain arrays: counts with zero frequency at n//2, pixels (row, column), unitary-FFT probe."""
    np.savez(
        path,
        patterns=scan.patterns[:],
        probe=scan.probe,
        pixels=to_pixels(scan.positions, scan.truth.y, scan.truth.x),
        object_shape=scan.truth.object.shape,
    )
