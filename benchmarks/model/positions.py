"""Errors of refined positions: after jitter, after an affine distortion, and on a measured scan.

``python benchmarks/model/positions.py`` prints Markdown tables. ``EXITWAVE_DATA`` names the folder of measured data.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exitwave

SEEDS, PIXEL = (3, 4, 5, 6), exitwave.simulate(frames=2, detector=128).object_pixel[0]
TURN, SCALE = np.deg2rad(1), 1.02
DISTORTION = SCALE * np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])


def main() -> None:
    """Print the tables."""
    print("| jitter (px rms) | seed | error (px rms) | robust | frames with errors over 2 px |")
    print("|---|---|---|---|---|")
    for jitter in (0, 0.5, 3, 6):
        for seed in SEEDS:
            off = _position_errors(_refined(_scan(seed, position_error=jitter * PIXEL))) / PIXEL
            about_median = off - np.median(off, axis=0)
            lost = int((np.hypot(*about_median.T) > 2).sum())
            found = f"{np.sqrt((off**2).mean()):.3f} | {np.median(np.abs(about_median)) / 0.6745:.3f} | {lost}"
            print(f"| {jitter:g} | {seed} | {found} |", flush=True)
    print("\n| distortion by 2 % and 1 degree, seed | scale (%) | asymmetry | rotation | shear |")
    print("|---|---|---|---|---|")
    for seed in SEEDS:
        for name, first in (("held first", {"probe_update": {"enabled": False}}), ("refined", {})):
            left = _distortion(_refined(_scan(seed, affine=DISTORTION), first, affine={}))
            print(f"| {seed}, probe {name} | " + " | ".join(f"{100 * value:.4f}" for value in left) + " |", flush=True)
    if os.environ.get("EXITWAVE_DATA"):
        _measured(Path(os.environ["EXITWAVE_DATA"]) / "velociprobe_siemens_star.cxi")


def _scan(seed: int, **settings: Any) -> exitwave.Scan:
    """Return a scan of 100 frames with three modes, whose starting probe is the true one."""
    known: dict[str, Any] = {"frames": 100, "detector": 128, "step": 14 * PIXEL, "scan": "jitter", "photons": 5e7}
    return exitwave.simulate("26-ID", modes=3, seed=seed, **known, **settings)


def _refined(scan: exitwave.Scan, first: dict[str, Any] | None = None, **settings: Any) -> exitwave.Result:
    """Refine alternately with the object, which finds large errors, then jointly, which is exact."""
    coarse = {"iterations": 60, "position_update": settings} | (first or {})
    rested = {"schedule": {"start": 20}}
    fine = {"algorithm": "ML", "noise": "Poisson", "iterations": 80, "position_update": rested}
    return exitwave.reconstruct(scan, threads=2, stages=[coarse, fine])


def _position_errors(result: exitwave.Result) -> NDArray[np.float64]:
    """Return the errors of the positions in metres without their mean, shape (npos, 2)."""
    off = (result.positions - result.scan.truth.positions)[:, :2]
    return off - off.mean(0)


def _distortion(result: exitwave.Result) -> list[float]:
    """Return scale, asymmetry, rotation and shear of the positions relative to the true ones."""
    true = result.scan.truth.positions[:, :2]
    (a, b), (c, d) = np.linalg.lstsq(true - true.mean(0), _position_errors(result), rcond=None)[0]
    return [(a + d) / 2, (a - d) / 2, (b - c) / 2, (b + c) / 2]


def _measured(path: Path) -> None:
    """Print the held-out error and the time of a measured scan, without and with refinement."""
    print("\n| measured scan | error | held out | seconds |")
    print("|---|---|---|---|")
    for name, refine in (("not refined", False), ("refined", True)):
        *_, last = exitwave.iterate(exitwave.open(path), position_update=refine, threads=1, iterations=25)
        result = last.result()
        errors = f"{result.errors[-1]:.5f} | {result.holdout_errors[-1]:.5f}"
        print(f"| {name} | {errors} | {last.seconds['run']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
