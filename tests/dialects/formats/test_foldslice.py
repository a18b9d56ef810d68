"""The pair of PtychoShelves: object pixel and wavelength from the file; sign and transposition set by the user."""

from pathlib import Path

import numpy as np
import pytest
from beamline_files import COUNTS, POSITIONS, SHAPE, foldslice

import exitwave
from exitwave.errors import InputError
from exitwave.scan import Scan

WAVELENGTH, PIXEL = 1.24e-10, 20e-9


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return foldslice(tmp_path, WAVELENGTH, PIXEL)


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_pair_is_read_by_either_name(pair: Path) -> None:
    scan = _open(pair, pixel_size="75um")
    assert "foldslice" in scan.findings[0].found
    assert np.array_equal(scan.patterns[:], COUNTS)
    assert scan.positions[:, :2] == pytest.approx(1e-6 * POSITIONS)
    assert scan.wavelength == pytest.approx(WAVELENGTH)
    assert scan.object_pixel[1] == pytest.approx(PIXEL)
    assert scan.detector.distance == pytest.approx(PIXEL * SHAPE[1] * 75e-6 / WAVELENGTH)
    other = _open(pair.with_name("data_roi0_para.hdf5"), distance="2m")
    assert other.object_pixel == pytest.approx((PIXEL, PIXEL))


def test_user_sets_sign_and_transposition(pair: Path) -> None:
    scan = _open(pair, pixel_size="75um", negate="xy", transpose="yes")
    assert scan.positions[:, :2] == pytest.approx(-1e-6 * POSITIONS)
    assert np.array_equal(scan.patterns[:], COUNTS.swapaxes(1, 2))
    with pytest.raises(InputError, match="transpose=yes or no"):
        _open(pair, pixel_size="75um", transpose="maybe")


def test_incomplete_pair_is_refused(pair: Path) -> None:
    with pytest.raises(InputError, match="--set distance=2m"):
        _open(pair)
    pair.with_name("data_roi0_para.hdf5").unlink()
    with pytest.raises(InputError, match="no data_roi0_para"):
        _open(pair, dialect="foldslice")
