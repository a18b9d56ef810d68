"""Fly scan over half a probe against the step scan of the same dose: error of the object, from a defocus off by 15 %.

``python benchmarks/model/fly_scan.py`` prints a Markdown table.
"""

from dataclasses import replace

import numpy as np

import exitwave
from exitwave.simulate.presets import Preset, preset

FRAMES, DETECTOR, PHOTONS, DEFOCUS = 200, 128, 2e6, 1.15


def main() -> None:
    """Print the table."""
    step = _scan(0.0)
    print("| way in a frame | exposures of the model | error | held out | error of the object | over the step scan's |")
    print("|---|---|---|---|---|---|")
    reference = _row(step, 0.0, 1, None)
    for fly in (0.25, 0.5, 1.0):
        scan = _scan(fly)
        for exposures in (1, 4, 8, 16):
            _row(scan, fly, exposures, reference)


def _scan(fly: float) -> exitwave.Scan:
    """Return a scan whose starting probe is out of focus."""
    scan = exitwave.simulate("26-ID", frames=FRAMES, detector=DETECTOR, photons=PHOTONS, fly=fly)
    optics = preset("26-ID")
    assert isinstance(optics, Preset)
    probe, _ = replace(optics, defocus=DEFOCUS * optics.defocus).probe((DETECTOR, DETECTOR))
    return replace(scan, probe=probe[None].astype(np.complex64))


def _row(scan: exitwave.Scan, fly: float, exposures: int, reference: float | None) -> float:
    """Reconstruct, print a row, and return the error of the object."""
    settings = {}
    if exposures > 1:
        settings = {"fly": {"exposures": exposures, "motion": tuple(scan.truth.model["motion"])}}
    result = exitwave.reconstruct(scan, threads=1, **settings)
    error = exitwave.compare(result).error
    found = [f"{fly:g} probes", exposures, f"{result.errors[-1]:.4f}", f"{result.holdout_errors[-1]:.4f}"]
    found += [f"{error:.4f}", f"{error / (reference or error):.2f}"]
    print("| " + " | ".join(map(str, found)) + " |", flush=True)
    return error


if __name__ == "__main__":
    main()
