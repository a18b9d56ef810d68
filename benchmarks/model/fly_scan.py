"""Fly scan against the step scan of the same dose: error of the object, from a defocus off by 15 %.

``python benchmarks/model/fly_scan.py`` prints a Markdown table. Beside the error it has what tells the two reasons for
one apart:

- the error to which as many iterations lead from the true object and probe. Where it is as large, nothing is left to be
  found: the noise of the counts alone takes the truth away.
- the error of the detail whose period along the motion is longer than twice the way, over the step scan's. Of a weak
  object a frame tells of the frequency f with the contrast sin(pi f L) / (pi f L), of these at least 0.64.
"""

from dataclasses import replace

import numpy as np

import exitwave
from exitwave.analysis.compare import Comparison
from exitwave.scan import Result, Scan
from exitwave.simulation.presets import Preset, preset

FRAMES, DETECTOR, PHOTONS, DEFOCUS = 200, 128, 2e6, 1.15
WAYS = {0.025: (1, 4), 0.05: (1, 4), 0.25: (1, 4, 8, 16), 0.5: (1, 4, 8, 16), 1.0: (1, 4, 8, 16)}
"""Ways in a frame in diameters of the probe, and with how many exposures of the model each is reconstructed."""


def main() -> None:
    """Print the table."""
    print(
        "| way in a frame | exposures of the model | error | held out | error of the object | over the step scan's "
        "| of coarse detail | from the truth |"
    )
    print("|---|---|---|---|---|---|---|---|")
    step = _reconstructed(_scan(0.0), 1)
    reference = exitwave.compare(step)
    _row(step, reference, 0.0, 1)
    for fly, counts in WAYS.items():
        scan = _scan(fly)
        for exposures in counts:
            _row(_reconstructed(scan, exposures), reference, fly, exposures)


def _scan(fly: float) -> Scan:
    """Return a scan whose starting probe is out of focus."""
    scan = exitwave.simulate("26-ID", frames=FRAMES, detector=DETECTOR, photons=PHOTONS, fly=fly)
    optics = preset("26-ID")
    assert isinstance(optics, Preset)
    probe, _ = replace(optics, defocus=DEFOCUS * optics.defocus).probe((DETECTOR, DETECTOR))
    return replace(scan, probe=probe[None].astype(np.complex64))


def _reconstructed(scan: Scan, exposures: int) -> Result:
    """Return the result of the algorithm's own settings, with so many exposures of a frame."""
    settings = {}
    if exposures > 1:
        assert scan.truth is not None
        settings = {"fly": {"exposures": exposures, "motion": tuple(scan.truth.model["motion"])}}
    return exitwave.reconstruct(scan, threads=1, **settings)


def _row(result: Result, step: Comparison, fly: float, exposures: int) -> None:
    """Print what was found, beside the step scan's."""
    found, truth = exitwave.compare(result), result.scan.truth
    assert truth is not None
    way = float(truth.model["motion"][0]) / found.pixel[1] if fly else 0.0
    coarse = _coarse(found, way) / _coarse(step, way)
    words = [f"{fly:g} probes, {way:.1f} pixels", exposures, f"{result.errors[-1]:.4f}"]
    words += [f"{result.holdout_errors[-1]:.4f}", f"{found.error:.4f}", f"{found.error / step.error:.2f}"]
    words += [f"{coarse:.2f}", f"{_from_truth(result):.4f}"]
    print("| " + " | ".join(map(str, words)) + " |", flush=True)


def _coarse(found: Comparison, way: float) -> float:
    """Return the error of an object at frequencies below 1 / (2 way), a way in pixels, along x."""
    apart = np.where(found.area, found.object - found.reference, 0)
    detail = np.where(found.area, found.reference - found.reference[found.area].mean(), 0)
    kept = 2 * way * np.abs(np.fft.fftfreq(found.area.shape[1])) < 1
    a, b = (np.linalg.norm(np.fft.fft(each)[:, kept]) for each in (apart, detail))
    return float(a / b)


def _from_truth(result: Result) -> float:
    """Return the error of the object after as many iterations from the true object and probe."""
    truth = result.scan.truth
    assert truth is not None
    start = replace(result, object=truth.object, x=truth.x, y=truth.y, probe=truth.probe)
    return exitwave.compare(exitwave.reconstruct(start, threads=1)).error


if __name__ == "__main__":
    main()
