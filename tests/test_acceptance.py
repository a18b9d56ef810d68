"""The whole way, on measured and on simulated data, to the figures that the project promises."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import exitwave
from exitwave.analysis.ambiguities import remove_ramp
from exitwave.cxi.validate import validate


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("simulated") / "scan.cxi"
    exitwave.simulate("26-ID", scan="fermat", frames=400, detector=128, photons=2e6).save(file)
    return file


@pytest.mark.parametrize(("probe", "limit"), [("file", 0.08), ("auto", 0.12)])
def test_a_simulated_scan_comes_close_to_its_truth(simulated: Path, probe: str, limit: float, tmp_path: Path) -> None:
    result = exitwave.reconstruct(exitwave.open(simulated), probe=probe)
    comparison = exitwave.compare(result)
    assert comparison.error < limit
    assert comparison.frc.correlation.min() > 0.5
    result.save(tmp_path / "result.cxi")
    assert validate(simulated) == []
    assert validate(tmp_path / "result.cxi") == []


@pytest.mark.parametrize("probe", ["file", "auto"])
def test_the_siemens_star_is_sharp_and_explains_held_out_frames(measured: Path, probe: str) -> None:
    scan = exitwave.open(measured / "velociprobe_siemens_star.cxi")
    result = exitwave.reconstruct(scan, probe=probe, iterations=60, holdout=0.05)
    assert len(result.held_out) == 26
    assert result.holdout_errors[-1] < 1.5 * result.errors[-1]
    assert result.errors[-1] < 0.0125
    assert spoke_contrast(result) > 0.2


SPOKES, CENTRE, JUST_OUTSIDE_THE_INNER_RING = 30, (233, 214), 45
"""The measured star: number of spokes, object pixel of its centre, and a radius in pixels."""


def spoke_contrast(result: exitwave.Result) -> float:
    """Amplitude in radians of the phase's variation from spoke to gap, on a circle around the star's centre."""
    flat, _ = remove_ramp(result.object, result.mask)
    phase = np.angle(flat * np.exp(-1j * np.angle(flat[result.mask > 0].sum())))
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circle = [c + JUST_OUTSIDE_THE_INNER_RING * f(angles) for c, f in zip(CENTRE, (np.sin, np.cos), strict=True)]
    harmonics = np.abs(np.fft.rfft(map_coordinates(phase, circle, order=1))) / len(angles) * 2
    assert harmonics[10:60].argmax() + 10 == SPOKES
    return float(harmonics[SPOKES])
