"""Effect of detector faults on the object, with and without them in the model: ``python -m model.detector``."""

from dataclasses import replace
from typing import Any

import numpy as np

import exitwave
from exitwave.frames import Frames
from exitwave.scan import Scan

SCAN: dict[str, Any] = {"frames": 200, "detector": 128, "photons": 2e6}
MASKED, SATURATED, HOT = 0.05, 0.01, 1e6


def frozen(scan: Scan) -> Scan:
    """Return the scan with its frames in memory."""
    return replace(scan, patterns=Frames(scan.patterns[:]))


def masked(scan: Scan, value: float) -> Scan:
    """Return the scan with some pixels masked; their counts are ``value``."""
    bad = np.random.default_rng(1).random(scan.patterns.shape[1:]) < MASKED
    stack = np.where(bad, np.float32(value), scan.patterns[:])
    detector = replace(scan.detector, mask=(bad | (scan.detector.mask != 0)).astype(np.uint8), pixel_mask=None)
    return replace(scan, patterns=Frames(stack), detector=detector)


def saturated(scan: Scan) -> Scan:
    """Return the scan with the brightest counts saturated."""
    stack = scan.patterns[:]
    cap = float(np.quantile(stack, 1 - SATURATED))
    return replace(
        scan, patterns=Frames(np.minimum(stack, np.float32(cap))), detector=replace(scan.detector, saturation=cap)
    )


def error(scan: Scan, **settings: Any) -> float:
    """Return the error of the object of the default algorithm against the truth."""
    return exitwave.compare(exitwave.reconstruct(scan, threads=1, **settings)).error


def main() -> None:
    """Print the table."""
    clean = frozen(exitwave.simulate(**SCAN))
    best = error(clean)
    print(f"Clean: {best:.4f}\n\n| Fault | Model | Object error | Relative to clean |\n|---|---|---|---|")

    def row(fault: str, model: str, scan: Scan, **settings: Any) -> None:
        found = error(scan, **settings)
        print(f"| {fault} | {model} | {found:.4f} | {found / best - 1:+.1%} |", flush=True)

    refined: dict[str, dict[str, Any]] = {
        "refined, one number": {"background_update": {"form": "scalar"}},
        "refined, radial": {"background_update": {"form": "radial"}},
        "refined, pixels": {"background_update": True},
    }
    for level in (0.1, 1.0):
        scan = frozen(exitwave.simulate(**SCAN, background=level))
        row(f"background {level}", "none", scan)
        row(f"background {level}", "number", scan, detector={"background": level})
        for name, settings in refined.items():
            row(f"background {level}", name, scan, **settings)
    row("5 % masked at 1e6", "mask", masked(clean, HOT))
    full = saturated(clean)
    for choice in ("exclude", "cap"):
        row("1 % saturated", choice, full, detector={"saturated": choice})
    for level in (0.1, 1.0):
        scan = masked(saturated(frozen(exitwave.simulate(**SCAN, background=level))), HOT)
        row(f"background {level}, masked, saturated", "none, exclude", scan)
        for choice in ("exclude", "cap"):
            row(f"background {level}, masked, saturated", f"number, {choice}", scan,
                detector={"background": level, "saturated": choice})  # fmt: skip
            row(f"background {level}, masked, saturated", f"refined, {choice}", scan,
                background_update=True, detector={"saturated": choice})  # fmt: skip
    scan = frozen(exitwave.simulate(**SCAN, flat=0.1))
    row("flat field 10 %", "none", scan, detector={"flat": False})
    row("flat field 10 %", "flat", scan)
    scan = frozen(exitwave.simulate(**SCAN, blur=0.6))
    row("point spread 0.6 pixels", "none", scan)
    row("point spread 0.6 pixels", "blur", scan, detector={"blur": 0.6})


if __name__ == "__main__":
    main()
