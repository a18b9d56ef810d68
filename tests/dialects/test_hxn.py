"""Files of HXN: amplitudes with the first axis along x and zero frequency at [0, 0], stage positions in um."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import exitwave
from exitwave.scan import Result, Scan

RNG = np.random.default_rng(8)
COUNTS = RNG.poisson(40, (6, 9, 12)).astype(float)
POINTS = RNG.normal(size=(2, 6)) * 2


def _program(folder: Path, angle: float = 0.0) -> Path:
    """Write what the program would: the centred counts (N, y, x) as amplitudes (N, x, y) shifted to the corner."""
    with h5py.File(folder / "scan_1.h5", "w") as file:
        file["diffamp"] = np.sqrt(np.fft.ifftshift(COUNTS.swapaxes(1, 2), axes=(1, 2)))
        file["points"], file["angle"] = POINTS, angle
        file["z_m"], file["lambda_nm"], file["ccd_pixel_um"] = 2.05, 0.137, 75.0
    return folder / "scan_1.h5"


def test_the_programs_file_is_turned_round(tmp_path: Path) -> None:
    scan = exitwave.open(_program(tmp_path, 60.0), angle="0")
    assert isinstance(scan, Scan)
    assert "hxn" in scan.findings[0].found
    assert np.array_equal(scan.patterns[:], COUNTS)
    assert np.array_equal(scan.patterns[2:4, 3], COUNTS[2:4, 3])
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * POINTS.T)
    assert scan.wavelength == pytest.approx(0.137e-9)
    assert (scan.detector.distance, scan.detector.pixel_size) == (2.05, pytest.approx((75e-6, 75e-6)))


@pytest.mark.parametrize(("angle", "factor"), [(0, 1), (30, 3**0.5 / 2), (-30, 3**0.5 / 2), (90, 1), (-90, -1)])
def test_x_is_narrowed_by_the_angle(tmp_path: Path, angle: float, factor: float) -> None:
    scan = exitwave.open(_program(tmp_path, angle), negate="none")
    assert isinstance(scan, Scan)
    assert scan.positions[:, 0] == pytest.approx(1e-6 * factor * POINTS[0])
    assert scan.positions[:, 1] == pytest.approx(1e-6 * POINTS[1])


def test_a_matlab_file_is_a_result_where_it_has_an_object(tmp_path: Path) -> None:
    place = tmp_path / "scan.mat"
    pair = np.dtype([("real", "f8"), ("imag", "f8")])
    waves = (RNG.normal(size=(9, 12)) + 1j * RNG.normal(size=(9, 12)), RNG.normal(size=(40, 50)) + 2j)
    with h5py.File(place, "w") as file:
        file["det_data"] = COUNTS.astype("u2")
        file["det_dist"], file["det_pixel_size"], file["energy"] = [[2.05e6]], [[75.0]], [[9.05]]
        file["pos_xy"] = np.concatenate([np.arange(6)[None], POINTS])
        for name, wave in zip(("prb", "obj"), waves, strict=True):
            file[name] = np.rec.fromarrays([wave.real, wave.imag], dtype=pair)
    result = exitwave.open(place)
    assert isinstance(result, Result)
    assert result.object == pytest.approx(waves[1], rel=1e-6)
    assert result.probe[0] == pytest.approx(waves[0], rel=1e-6)
    assert result.scan.energy == pytest.approx(9050)
    assert result.scan.detector.distance == pytest.approx(2.05)
    assert result.positions[:, :2] == pytest.approx(1e-6 * POINTS.T)
    with h5py.File(place, "r+") as file:
        del file["obj"]
    assert isinstance(exitwave.open(place), Scan)
