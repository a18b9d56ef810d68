"""Run a batch of twenty scans, one of them corrupt, kill one of its workers, and run the batch again.

python batch.py     writes small simulated scans and their results into a new folder of out/, and prints the counts
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import OUT, announce

from exitwave.simulation import simulate

SCANS, CORRUPT, KILL_AFTER = 20, 7, 4
"""Number of scans, index of the truncated one, and number of finished scans after which a worker is killed."""
SETTINGS = ("--iterations", "40", "--workers", "2")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="batch-", dir=OUT))
    scans = _scans(folder / "scans")
    out = folder / "results"
    before = _stamps(out)
    for title, kill in (("first run", True), ("restart", False)):
        begin = time.perf_counter()
        code, lines = _run(scans, out, kill=kill)
        after = _stamps(out)
        print(f"{title}: exit code {code}, {time.perf_counter() - begin:.0f} s, {len(after)} results")
        print(f"  lines about scans: {sum(line.startswith('[') for line in lines)} of {SCANS}")
        print(f"  done: {sum('] done:' in line for line in lines)}")
        print(f"  already done: {sum('] already done:' in line for line in lines)}")
        print(f"  results written or replaced: {sum(before.get(name) != stamp for name, stamp in after.items())}")
        print(f"  lines of a traceback: {sum('Traceback' in line for line in lines)}")
        for line in lines:
            if not line.startswith("[") or "failed" in line:
                print(f"  output: {line}")
        before = after


def _scans(folder: Path) -> list[Path]:
    """Write the scans, one of them truncated, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"scan_{number:02}.cxi" for number in range(SCANS)]
    announce(f"writing {SCANS} scans into {folder}")
    for number, path in enumerate(paths):
        simulate(frames=50, detector=128, step=150e-9, seed=number).save(path, overwrite=True)
    os.truncate(paths[CORRUPT], paths[CORRUPT].stat().st_size // 2)
    return paths


def _stamps(out: Path) -> dict[str, int]:
    """Return the time of the last change of every result, by name."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*_result.cxi")}


def _run(scans: list[Path], out: Path, *, kill: bool) -> tuple[int, list[str]]:
    """Run the batch, and return its exit code and output; with ``kill``, kill a worker after `KILL_AFTER` scans."""
    command = [sys.executable, "-m", "exitwave", "batch", *map(str, scans), "-o", str(out), *SETTINGS]
    batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = list[str]()
    assert batch.stdout is not None
    for line in batch.stdout:
        lines.append(line.rstrip())
        announce(lines[-1])
        if kill and line.startswith(f"[ {KILL_AFTER}/"):
            _kill_busy(batch.pid)
    return batch.wait(), lines


def _kill_busy(pid: int) -> None:
    """Kill the worker of a batch that uses the most processor time."""
    workers = [child for child in psutil.Process(pid).children(recursive=True) if "spawn_main" in str(child.cmdline())]
    while True:
        for worker in workers:
            worker.cpu_percent()
        time.sleep(0.5)
        busy = max(workers, key=lambda worker: worker.cpu_percent())
        if busy.is_running():
            announce(f"killing worker {busy.pid} of {len(workers)}")
            os.kill(busy.pid, signal.SIGKILL)
            return


if __name__ == "__main__":
    main()
