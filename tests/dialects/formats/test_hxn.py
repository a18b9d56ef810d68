"""Files of HXN: amplitudes with the first axis along x and zero frequency at [0, 0], stage positions in um."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import COUNTS, POSITIONS, hxn, hxn_matlab

import exitwave
from exitwave.scan import Result, Scan


def test_file_of_the_program_is_transposed_and_centred(tmp_path: Path) -> None:
    scan = exitwave.open(hxn(tmp_path, 60.0), angle="0")
    assert isinstance(scan, Scan)
    assert "hxn" in scan.findings[0].found
    assert np.array_equal(scan.patterns[:], COUNTS)
    assert np.array_equal(scan.patterns[2:4, 3], COUNTS[2:4, 3])
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * POSITIONS)
    assert scan.wavelength == pytest.approx(0.137e-9)
    assert (scan.detector.distance, scan.detector.pixel_size) == (2.05, pytest.approx((75e-6, 75e-6)))


@pytest.mark.parametrize(("angle", "factor"), [(0, 1), (30, 3**0.5 / 2), (-30, 3**0.5 / 2), (90, 1), (-90, -1)])
def test_x_is_multiplied_by_the_factor_of_the_angle(tmp_path: Path, angle: float, factor: float) -> None:
    scan = exitwave.open(hxn(tmp_path, angle), negate="none")
    assert isinstance(scan, Scan)
    assert scan.positions[:, 0] == pytest.approx(1e-6 * factor * POSITIONS[:, 0])
    assert scan.positions[:, 1] == pytest.approx(1e-6 * POSITIONS[:, 1])


def test_matlab_file_with_an_object_is_a_result(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    probe, image = rng.normal(size=(*COUNTS.shape[1:], 2)) @ [1, 1j], rng.normal(size=(40, 50)) + 2j
    matlab = hxn_matlab(tmp_path, probe, image)
    result = exitwave.open(matlab)
    assert isinstance(result, Result)
    assert result.object == pytest.approx(image, rel=1e-6)
    assert result.probe[0] == pytest.approx(probe, rel=1e-6)
    assert result.scan.energy == pytest.approx(9050)
    assert result.scan.detector.distance == pytest.approx(2.05)
    assert result.positions[:, :2] == pytest.approx(1e-6 * POSITIONS)
    with h5py.File(matlab, "r+") as file:
        del file["obj"]
    assert isinstance(exitwave.open(matlab), Scan)
