"""The pair of PtychoShelves: object pixel and wavelength in the parameters, sign and transposition by the user."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan

RNG = np.random.default_rng(11)
COUNTS = RNG.poisson(9, (7, 10, 8)).astype(np.float32)
PLACES = RNG.normal(size=(2, 7)) * 1e-6
WAVELENGTH, PIXEL = 1.24e-10, 20e-9


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "data_roi0_dp.hdf5", "w") as file:
        file["dp"] = COUNTS
    with h5py.File(tmp_path / "data_roi0_para.hdf5", "w") as file:
        file["ppX"], file["ppY"] = PLACES[0][:, None], PLACES[1][None]
        file["lambda"], file["dx"], file["angle"] = [[WAVELENGTH]], [[PIXEL]], [[0.0]]
    return tmp_path / "data_roi0_dp.hdf5"


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_the_pair_is_read_by_either_name(pair: Path) -> None:
    scan = _open(pair, pixel_size="75um")
    assert "foldslice" in scan.findings[0].found
    assert np.array_equal(scan.patterns[:], COUNTS)
    assert scan.positions[:, :2] == pytest.approx(PLACES.T, abs=1e-18)
    assert scan.wavelength == pytest.approx(WAVELENGTH)
    assert scan.object_pixel[1] == pytest.approx(PIXEL)
    assert scan.detector.distance == pytest.approx(PIXEL * 8 * 75e-6 / WAVELENGTH)
    other = _open(pair.with_name("data_roi0_para.hdf5"), distance="2m")
    assert other.object_pixel == pytest.approx((PIXEL, PIXEL))


def test_sign_and_axes_are_the_users(pair: Path) -> None:
    scan = _open(pair, pixel_size="75um", negate="xy", transpose="yes")
    assert scan.positions[:, :2] == pytest.approx(-PLACES.T, abs=1e-18)
    assert np.array_equal(scan.patterns[:], COUNTS.swapaxes(1, 2))
    with pytest.raises(InputError, match="transpose=yes or no"):
        _open(pair, pixel_size="75um", transpose="maybe")


def test_a_pair_that_lacks_something_is_refused(pair: Path) -> None:
    with pytest.raises(InputError, match="--set distance=2m"):
        _open(pair)
    pair.with_name("data_roi0_para.hdf5").unlink()
    with pytest.raises(InputError, match="no data_roi0_para"):
        _open(pair, dialect="foldslice")
