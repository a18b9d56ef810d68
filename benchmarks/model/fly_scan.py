"""Fly scan beside the step scan of the same dose: error of the object, from a defocus that is wrong by 15 %.

``python benchmarks/model/fly_scan.py`` prints a Markdown table. Two more columns separate the causes of the error:

- the error after as many iterations from the true object and probe. Where it is as large as the error, the noise of the
  counts is the only cause.
- the error of the detail whose period along the motion is longer than twice the motion L, relative to the step scan. A
  frame of a weak object has the contrast sin(pi f L) / (pi f L) at the frequency f, which is at least 0.64 for this
  detail.
"""

from dataclasses import replace

import numpy as np

import exitwave
from exitwave.analysis.compare import Comparison
from exitwave.scan import Result, Scan
from exitwave.simulation.presets import Preset, preset

FRAMES, DETECTOR, PHOTONS, DEFOCUS = 200, 128, 2e6, 1.15
MOTIONS = {0.025: (1, 4), 0.05: (1, 4), 0.25: (1, 4, 8, 16), 0.5: (1, 4, 8, 16), 1.0: (1, 4, 8, 16)}
"""Motion in a frame in diameters of the probe, and the numbers of exposures in the model."""


def main() -> None:
    """Print the table."""
    print(
        "| motion in a frame | exposures of the model | error | held out | error of the object "
        "| relative to the step scan | of coarse detail | from the truth |"
    )
    print("|---|---|---|---|---|---|---|---|")
    step = _reconstructed(_scan(0.0), 1)
    reference = exitwave.compare(step)
    _row(step, reference, 0.0, 1)
    for fly, counts in MOTIONS.items():
        scan = _scan(fly)
        for exposures in counts:
            _row(_reconstructed(scan, exposures), reference, fly, exposures)


def _scan(fly: float) -> Scan:
    """Return a scan whose starting probe has a wrong defocus."""
    scan = exitwave.simulate("26-ID", frames=FRAMES, detector=DETECTOR, photons=PHOTONS, fly=fly)
    optics = preset("26-ID")
    assert isinstance(optics, Preset)
    probe, _ = replace(optics, defocus=DEFOCUS * optics.defocus).probe((DETECTOR, DETECTOR))
    return replace(scan, probe=probe[None].astype(np.complex64))


def _reconstructed(scan: Scan, exposures: int) -> Result:
    """Return the result of the default settings, with this number of exposures in a frame."""
    settings = {}
    if exposures > 1:
        assert scan.truth is not None
        settings = {"fly": {"exposures": exposures, "motion": tuple(scan.truth.model["motion"])}}
    return exitwave.reconstruct(scan, threads=1, **settings)


def _row(result: Result, step: Comparison, fly: float, exposures: int) -> None:
    """Print the errors of a result beside those of the step scan."""
    found, truth = exitwave.compare(result), result.scan.truth
    assert truth is not None
    motion = float(truth.model["motion"][0]) / found.pixel[1] if fly else 0.0
    coarse = _coarse(found, motion) / _coarse(step, motion)
    words = [f"{fly:g} probes, {motion:.1f} pixels", exposures, f"{result.errors[-1]:.4f}"]
    words += [f"{result.holdout_errors[-1]:.4f}", f"{found.error:.4f}", f"{found.error / step.error:.2f}"]
    words += [f"{coarse:.2f}", f"{_from_truth(result):.4f}"]
    print("| " + " | ".join(map(str, words)) + " |", flush=True)


def _coarse(found: Comparison, motion: float) -> float:
    """Return the error of an object at frequencies along x below 1 / (2 motion), with the motion in pixels."""
    difference = np.where(found.area, found.object - found.reference, 0)
    detail = np.where(found.area, found.reference - found.reference[found.area].mean(), 0)
    kept = 2 * motion * np.abs(np.fft.fftfreq(found.area.shape[1])) < 1
    a, b = (np.linalg.norm(np.fft.fft(part)[:, kept]) for part in (difference, detail))
    return float(a / b)


def _from_truth(result: Result) -> float:
    """Return the error of the object after as many iterations from the true object and probe."""
    truth = result.scan.truth
    assert truth is not None
    start = replace(result, object=truth.object, x=truth.x, y=truth.y, probe=truth.probe)
    return exitwave.compare(exitwave.reconstruct(start, threads=1)).error


if __name__ == "__main__":
    main()
