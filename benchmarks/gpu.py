"""Speed of Exitwave on a GPU, compared with the device's memory bandwidth, the CPU, and pty-chi on the same device.

    python benchmarks/gpu.py [throughput] [quality] [peer] [file] [--device cuda] [--quick]

By default all parts run. pty-chi is measured only if its environment exists: benchmarks/.venv-ptychi, or the
Python that EXITWAVE_PTYCHI_PYTHON names. Writes benchmarks/out/gpu.md and gpu.json. --quick --device torch-cpu is a
test of the script that runs anywhere in a minute; its numbers have no meaning.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ours
import peer
import scans
import torch
from common import OUT, announce, table

import exitwave
from exitwave.engine.backends.device import describe, resolve
from exitwave.scan import Scan

ALGORITHMS = ("rPIE", "mPIE", "LSQ-ML", "PIE", "Adam", "ML", "DM", "RAAR", "ePIE")


@dataclass(frozen=True)
class Effort:
    """Amount of work."""

    frames: dict[int, int]
    """Number of frames of a scan, by their size."""
    modes: tuple[int, ...]
    batches: tuple[int | None, ...]
    """Frames that share an update; None: the engine's choice."""
    seconds: float
    """Time of one measurement; at least one pass is measured."""
    iterations: int
    """Iterations of the comparison of quality."""
    file: tuple[int, int, int, int]
    """Number of frames, their size, modes and iterations of the run from file to file."""
    copied: int
    """Bytes of the copy that measures the memory bandwidth."""


FULL = Effort(
    {64: 4000, 128: 4000, 256: 2000, 512: 500}, (1, 2, 4, 8), (None, 256), 0.5, 50, (5000, 256, 3, 200), 2**30
)
QUICK = Effort({64: 32}, (1, 2), (None,), 0.02, 3, (40, 64, 2, 2), 2**24)


def bandwidth(device: str, size: int) -> float:
    """Return the bytes per second that a copy on the device reads and writes, best of 10."""
    source = torch.ones(size // 4, device=device.removeprefix("torch-"))
    target, best = torch.empty_like(source), 0.0
    for _ in range(10):
        start = _now(device)
        target.copy_(source)
        best = max(best, 2 * size / (_now(device) - start))
    return best


def _now(device: str) -> float:
    """Return the time after all work of the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def moved(size: int, modes: int) -> int:
    """Return the bytes that one frame of a gradient moves if every transform is exactly one pass over memory.

    For each mode four transforms (sub-pixel shift of the probe, to the detector, back, adjoint shift), each of which
    reads and writes a complex wave. Once per frame: its counts, its window of the object, and the object's sums, read
    and written.
    """
    return size**2 * (4 * 16 * modes + 2 + 8 + 2 * (8 + 4))


def throughput(effort: Effort, device: str) -> list[dict[str, Any]]:
    """Return a row for each size, number of modes, algorithm and batch."""
    copy = bandwidth(device, effort.copied)
    announce(f"a copy moves {copy / 1e9:.0f} GB/s")
    rows = []
    for size, frames in effort.frames.items():
        for modes in effort.modes:
            scan = scans.subpixel_scan(size, frames, modes)
            for algorithm, batch in _cases(effort):
                rate = ours.throughput(scan, effort.seconds, algorithm=algorithm, device=device, **_batch(batch))
                row = {"size": size, "modes": modes, "algorithm": algorithm, "batch": batch, "rate": rate}
                rows.append(row | {"share": rate * moved(size, modes) / copy, "copy": copy})
                announce(f"{size} x {size}, {modes} modes, {algorithm}, batch {batch}: {rate:,.0f} frames/s")
    return rows


def _cases(effort: Effort) -> Iterator[tuple[str, int | None]]:
    """Yield algorithms and batches."""
    for algorithm in ALGORITHMS:
        has_batches = algorithm in ("rPIE", "mPIE", "LSQ-ML", "PIE", "Adam")
        yield from ((algorithm, batch) for batch in (effort.batches if has_batches else (None,)))


def _batch(batch: int | None) -> dict[str, int]:
    return {} if batch is None else {"batch": batch}


def quality(effort: Effort, device: str) -> list[dict[str, Any]]:
    """Return the seconds until the held-out error is within 1 % of the CPU's last one, and the objects' difference."""
    scan, rows = scans.defocused_scan(max(60, effort.frames.get(128, 60) // 10)), []
    for algorithm in ("mPIE", "LSQ-ML", "rPIE"):
        settings = {"algorithm": algorithm, "iterations": effort.iterations}
        steps, objects = {}, {}
        for name in ("cpu", device):
            steps[name], kept = ours.follow(scan, {effort.iterations}, device=name, **settings)
            objects[name] = kept[effort.iterations].object
        goal = 1.01 * steps["cpu"][-1].holdout_error
        reached = {name: _first(progress, goal) for name, progress in steps.items()}
        difference = np.linalg.norm(objects[device] - objects["cpu"]) / np.linalg.norm(objects["cpu"])
        row = {"algorithm": algorithm, "cpu": reached["cpu"], "device": reached[device]}
        rows.append(row | {"difference": float(difference)})
        announce(f"{algorithm}: {rows[-1]}")
    return rows


def _first(steps: list[Any], goal: float) -> float:
    """Return the seconds of iterating after which the held-out error is at most a goal, or infinity."""
    return next((step.seconds["run"] for step in steps if step.holdout_error <= goal), float("inf"))


def beside_peer(effort: Effort, device: str) -> list[dict[str, Any]]:
    """Return frames per second of Exitwave and pty-chi on one scan and device, alternating, best of 2."""
    named, folder = os.environ.get(peer.PTYCHI.variable), peer.HERE / ".venv-ptychi"
    if not (named or folder.exists()):
        announce(f"pty-chi is not available: set {peer.PTYCHI.variable} to a Python that has it")
        return []
    python, gpu, rows = peer.interpreter(peer.PTYCHI), device.startswith("cuda"), {}
    for size, number in effort.frames.items():
        scan, data = scans.subpixel_scan(size, number), OUT / f"gpu-{size}.npz"
        scans.save_for_peer(scan, data)
        for _ in range(2):
            for algorithm in ("rPIE", "LSQ-ML"):
                for batch in (b for b in (50, 100, 250, 1000) if b <= number):
                    rate = ours.throughput(scan, effort.seconds, algorithm=algorithm, device=device, batch=batch)
                    job = peer.job(algorithm, os.cpu_count() or 1, [1, 3], gpu=gpu, batch=batch)
                    (seconds,) = peer.run(peer.PTYCHI, python, data, [job])["seconds"]
                    theirs = 2 * number / (seconds[1] - seconds[0])
                    for program, found in (("Exitwave", rate), ("pty-chi", theirs)):
                        key = size, algorithm, program
                        rows[key] = max(rows.get(key, (0.0, 0)), (found, batch))
    keys = ("size", "algorithm", "program", "rate", "batch")
    return [dict(zip(keys, (*key, *best), strict=True)) for key, best in rows.items()]


def from_file_to_file(effort: Effort, device: str) -> list[dict[str, Any]]:
    """Return the seconds of the command from a scan in a file to a result in a file, including its start."""
    frames, size, modes, iterations = effort.file
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scan.cxi"
        _large(frames, size).save(source)
        command = [sys.executable, "-m", "exitwave", "reconstruct", str(source), "--json", "--device", device]
        command += ["--modes", str(modes), "--iterations", str(iterations), "--probe", "file", "--as-is"]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        total = time.perf_counter() - start
    steps = json.loads(done.stdout)["seconds"]
    return [{"frames": frames, "size": size, "modes": modes, "iterations": iterations, "total": total, "steps": steps}]


def _large(frames: int, size: int) -> Scan:
    """Return a scan with many frames that is computed quickly."""
    return scans.large_scan(frames, size) if size >= scans.SMALLEST else scans.subpixel_scan(size, frames)


def markdown(found: dict[str, Any]) -> str:
    """Return the report."""
    parts = [f"# GPU\n\n{found['device']}; Exitwave {exitwave.__version__}, PyTorch {torch.__version__}."]
    if rows := found.get("throughput"):
        head = ["size", "modes", "algorithm", "batch", "frames/s", "frames x modes/s", "share of a copy's bandwidth"]
        parts.append(f"A copy moves {rows[0]['copy'] / 1e9:.0f} GB/s.\n\n{table(head, [_rate_cells(r) for r in rows])}")
    if rows := found.get("quality"):
        head = ["algorithm", "CPU, s", "device, s", "ratio", "difference of the objects"]
        parts.append(
            "Seconds to within 1 % of the CPU's last held-out error:\n\n"
            + table(head, [_quality_cells(r) for r in rows])
        )
    if rows := found.get("peer"):
        head = ["size", "algorithm", "program", "frames/s", "batch"]
        cells = [[f"{r['size']}", r["algorithm"], r["program"], f"{r['rate']:,.0f}", f"{r['batch']}"] for r in rows]
        parts.append(table(head, cells))
    for r in found.get("file", ()):
        run = f"{r['frames']} frames of {r['size']} x {r['size']}, {r['modes']} modes, {r['iterations']} iterations"
        spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in r["steps"].items())
        parts.append(f"From file to file, {run}: {r['total']:.1f} s ({spent}).")
    return "\n\n".join(parts) + "\n"


def _rate_cells(row: dict[str, Any]) -> list[str]:
    cells = f"{row['size']}", f"{row['modes']}", row["algorithm"], f"{row['batch'] or 'default'}"
    return [*cells, f"{row['rate']:,.0f}", f"{row['rate'] * row['modes']:,.0f}", f"{row['share']:.0%}"]


def _quality_cells(row: dict[str, Any]) -> list[str]:
    cpu, device = row["cpu"], row["device"]
    return [row["algorithm"], f"{cpu:.2f}", f"{device:.2f}", f"{cpu / device:.1f}", f"{row['difference']:.1e}"]


PARTS = {"throughput": throughput, "quality": quality, "peer": beside_peer, "file": from_file_to_file}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or torch-cpu")
    parser.add_argument("--quick", action="store_true", help="a short run of all parts")
    arguments = parser.parse_args()
    device, effort = resolve(arguments.device), QUICK if arguments.quick else FULL
    OUT.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"device": describe(device)}
    for name in arguments.part or PARTS:
        found[name] = PARTS[name](effort, device)
        (OUT / "gpu.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        (OUT / "gpu.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
