"""The peak of memory of a reconstruction, each measured in its own process.

python memory.py FILE ALGORITHM     run some iterations; print the peak of this process in bytes
"""

import sys
from pathlib import Path
from typing import Any

import driver
import peer
import scans
from common import OUT, Effort, Pythons, announce, table, thread_counts

import exitwave
from exitwave.engine.algorithms.registry import ALGORITHMS

GRADIENT = tuple(name for name, each in ALGORITHMS.all().items() if not each.keeps_waves)
"""The algorithms that keep no exit waves."""
ITERATIONS = 3
"""Number of iterations after which an algorithm has allocated all its arrays."""
FACTOR, FIXED_BYTES = 1.3, 300e6
"""The limit: this factor times the frames as integers, plus the bytes of everything else."""


def measure(effort: Effort, pythons: Pythons) -> dict[str, Any]:
    """Return the peak of every algorithm in bytes, ready for JSON."""
    frames, size = effort.large
    path, data = OUT / "large.cxi", OUT / "large.npz"
    announce(f"memory: writing {frames} frames of {size} x {size}")
    scan = scans.large_scan(frames, size)
    scan.save(path, overwrite=True)
    found: dict[str, Any] = {"frames": frames, "size": size, "bytes": frames * size**2 * 2, "rows": []}
    for algorithm in GRADIENT:
        announce(f"memory: Exitwave {algorithm}")
        exitwave.reconstruct(scans.subpixel_scan(64, 32), algorithm=algorithm, iterations=1)  # compiles into the cache
        peak = int(peer.call([sys.executable, __file__, path, algorithm]).splitlines()[-1])
        found["rows"].append({"program": "Exitwave", "algorithm": algorithm, "peak": peak})
    path.unlink()
    runs = ((peer.PTYCHI, "rPIE"), (peer.PTYCHI, "LSQ-ML"), (peer.PTYLAB, "mPIE"))
    if pythons:
        scans.save_for_peer(scan, data)
    for program, algorithm in runs:
        if program in pythons:
            announce(f"memory: {program.name} {algorithm}")
            job = peer.job(algorithm, thread_counts()[-1], [1], batch=50)
            peak = peer.run(program, pythons[program], data, [job])["peak"]
            found["rows"].append({"program": program.name, "algorithm": algorithm, "peak": peak})
    data.unlink(missing_ok=True)
    return found


def reconstruct(path: Path, algorithm: str) -> int:
    """Reconstruct a file with a few iterations, and return the largest resident set in bytes."""
    exitwave.reconstruct(exitwave.open(path), algorithm=algorithm, iterations=ITERATIONS, probe="file")
    return driver.peak_memory()


def limit(found: dict[str, Any]) -> float:
    """Return the limit of memory for a reconstruction in bytes."""
    return FACTOR * found["bytes"] + FIXED_BYTES


def markdown(found: dict[str, Any]) -> list[str]:
    """Return the paragraphs and the table of the report."""
    rows = [
        [row["program"], row["algorithm"], f"{row['peak'] / 1e6:.0f}", f"{row['peak'] / limit(found):.2f}"]
        for row in found["rows"]
    ]
    return [
        "## Memory",
        f"{ITERATIONS} iterations (peers: 1) over {found['frames']} frames of {found['size']} x {found['size']} from a "
        f"file, which are {found['bytes'] / 1e6:.0f} MB as 16-bit integers; the peak of a separate "
        f"process, all cores. The limit is {FACTOR:g} times the frames and {FIXED_BYTES / 1e6:.0f} MB: "
        f"{limit(found) / 1e6:.0f} MB.",
        table(["Program", "Algorithm", "Peak (MB)", "Peak / limit"], rows),
    ]


if __name__ == "__main__":
    print(reconstruct(Path(sys.argv[1]), sys.argv[2]))
