"""Speed and memory of the preparation of a scan, beside h5py that only reads and rewrites the same file.

    python prepare.py [--megabytes 2000] [--repeats 2]

The file has sparse frames of 512 x 512 with dark current and 0.3 % bad pixels that are not in its mask. Both write
gzip with shuffle, one chunk per frame. Each runs in its own process, alternating; the best run is reported.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from common import announce, table
from driver import peak_memory

import exitwave
from exitwave.cxi.schema import path
from exitwave.frames import Frames
from exitwave.positions import fermat_spiral
from exitwave.scan import Detector, Scan

SIDE, BLOCK = 512, 16
CASES = {
    "h5py, read and rewritten": [],
    "prepare": [],
    "prepare --bin 2": ["--bin", "2"],
    "prepare --crop 256 --bin 2 --background subtract": ["--crop", "256", "--bin", "2", "--background", "subtract"],
}


class SpeckledFrames(Frames):
    """Frames of speckle in a hollow cone, with dark current, hot and dead pixels; computed when they are sliced."""

    def __init__(self, frames: int) -> None:
        self.path, self.dataset = None, ""
        self.shape, self.dtype = (frames, SIDE, SIDE), np.dtype(np.float32)
        yy, xx = np.mgrid[:SIDE, :SIDE] - SIDE // 2
        radius = np.hypot(yy - 5, xx + 3)
        self._mean = 40.0 * ((radius > 35) & (radius < 75)) + 3 * np.exp(-radius / 40) + 0.05
        rng = np.random.default_rng(0)
        self._hot, self._dead = rng.random((2, SIDE, SIDE)) < 0.0015

    def __getitem__(self, index):
        """Return some frames."""
        indices = np.arange(len(self))[index]
        stack = np.array([self._frame(int(frame)) for frame in indices.ravel()], np.float32)
        return stack.reshape(*indices.shape, SIDE, SIDE)

    def _frame(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        coarse = rng.standard_exponential((SIDE // 2, SIDE // 2)).repeat(2, 0).repeat(2, 1)
        counts = rng.poisson(self._mean * coarse + 0.1)
        counts[self._hot], counts[self._dead] = 2**20 - 1, 0
        return counts


def write_scan(file: Path, frames: int) -> None:
    """Write the raw scan."""
    dark, mask = np.full((SIDE, SIDE), 0.1, np.float32), np.zeros((SIDE, SIDE), np.uint8)
    detector = Detector(2.0, (75e-6, 75e-6), mask, saturation=2.0**20 - 1, dark=dark)
    scan = Scan(SpeckledFrames(frames), fermat_spiral(frames, 100e-9), 10_000.0, detector, name="speckle")
    replace(scan, description="frames for a benchmark").save(file)


def rewrite(file: Path, out: Path) -> None:
    """Read and rewrite the frames with h5py alone."""
    with h5py.File(file) as source, h5py.File(out, "w") as target:
        frames = source[path("frames")]
        how = {"chunks": (1, SIDE, SIDE), "compression": "gzip", "shuffle": True}
        copy = target.create_dataset("data", frames.shape, frames.dtype, **how)
        for start in range(0, len(frames), BLOCK):
            copy[start : start + BLOCK] = frames[start : start + BLOCK]


def run(file: Path, out: Path, options: list[str]) -> None:
    """Prepare the scan as the command line does."""
    from exitwave.cli import app

    app(["prepare", str(file), str(out), "--overwrite", *options], standalone_mode=False)


def job(file: Path, out: Path, case: str) -> None:
    """Run one case, and print its seconds and the peak of this process in bytes."""
    exitwave.open(file)
    start = time.perf_counter()
    if case.startswith("h5py"):
        rewrite(file, out)
    else:
        run(file, out, CASES[case])
    print(time.perf_counter() - start, peak_memory())


def main() -> None:
    """Measure all cases alternately and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=2000)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    frames = max(64, round(arguments.megabytes * 1e6 / (4 * SIDE**2)))
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "raw.cxi", Path(folder) / "out.cxi"
        announce(f"writing {frames} frames of {SIDE} x {SIDE}")
        write_scan(file, frames)
        found: dict[str, tuple[float, int]] = {}
        for case in list(CASES) * arguments.repeats:
            command = [sys.executable, __file__, str(file), str(out), case]
            words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1].split()
            found[case] = min(found.get(case, (np.inf, 0)), (float(words[0]), int(words[1])))
            announce(f"{case}: {words[0]} s")
            out.unlink()
        size = frames * SIDE**2 * 4 / 1e6
        base = found[next(iter(CASES))][0]
        rows = [[case, f"{size / s:.0f}", f"{base / s:.2f}", f"{peak / 1e6:.0f}"] for case, (s, peak) in found.items()]
        print(f"{frames} frames of {SIDE} x {SIDE}, {size:.0f} MB, {file.stat().st_size / 1e6:.0f} MB on disk\n")
        print(table(["", "MB/s of frames", "rate / h5py's", "peak memory (MB)"], rows))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[3] in CASES:
        job(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    else:
        main()
