"""PtyLab: a file with known values; and a file of Exitwave, read by PtyLab where it is installed."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.formats import ptylab
from exitwave.errors import InputError
from exitwave.positions import to_pixels
from exitwave.scan import Detector, Result, Scan

ENCODER = np.array([[1e-6, 2e-6], [3e-6, 4e-6], [5e-6, -6e-6]])
FRAMES = np.random.default_rng(0).poisson(4, (3, 8, 8)).astype(np.uint16)


def _write_example(file: Path, **more: Any) -> Path:
    with h5py.File(file, "w") as out:
        for name, value in ({"ptychogram": FRAMES, "encoder": ENCODER} | more).items():
            out[name] = value
        out["wavelength"], out["dxd"], out["zo"] = np.array([[1.55e-10]]), 75e-6, 2.0
    return file


def test_positions_are_y_x_and_the_wavelength_gives_the_energy(tmp_path: Path) -> None:
    data = exitwave.open(_write_example(tmp_path / "a.hdf5"))
    assert isinstance(data, Scan)
    assert np.allclose(data.positions[:, :2], ENCODER[:, ::-1])
    assert data.energy == pytest.approx(1.23984198e-6 / 1.55e-10)
    assert data.detector.distance == 2.0
    assert data.detector.pixel_size == (75e-6, 75e-6)
    assert np.array_equal(data.patterns[:], FRAMES)


@pytest.mark.parametrize(
    ("code", "oriented"),
    [(1, FRAMES[:, :, ::-1]), (2, FRAMES[:, ::-1]), (4, FRAMES.swapaxes(1, 2)), (5, FRAMES.swapaxes(1, 2)[:, :, ::-1])],
)
def test_frames_are_oriented_by_the_orientation_of_the_file(tmp_path: Path, code: int, oriented: Any) -> None:
    data = exitwave.open(_write_example(tmp_path / "a.hdf5", orientation=code))
    assert isinstance(data, Scan)
    assert np.array_equal(data.patterns[:], oriented)


def test_encoder_of_matlab_is_transposed_and_an_unknown_orientation_refused(tmp_path: Path) -> None:
    frames = np.concatenate([FRAMES, FRAMES])
    encoder = np.concatenate([ENCODER, ENCODER + 1e-6])
    data = exitwave.open(_write_example(tmp_path / "a.hdf5", ptychogram=frames, encoder=encoder.T))
    assert isinstance(data, Scan)
    assert np.allclose(data.positions[:, :2], encoder[:, ::-1])
    with pytest.raises(InputError, match="Unknown orientation"):
        exitwave.open(_write_example(tmp_path / "b.hdf5", orientation=9))


def test_object_has_the_coordinates_of_ptylab(tmp_path: Path) -> None:
    image = np.full((1, 1, 1, 1, 40, 40), 0.5j, np.complex64)
    more = {"object": image, "probe": np.ones((1, 1, 2, 1, 8, 8), np.complex64), "encoder_corrected": ENCODER + 1e-8}
    data = exitwave.open(_write_example(tmp_path / "a.hdf5", **more))
    assert isinstance(data, Result)
    assert data.object.shape == (40, 40)
    assert data.probe.shape == (2, 8, 8)
    assert data.x[20] == 0
    assert np.allclose(data.positions[:, :2], ENCODER[:, ::-1] + 1e-8)


def test_unmet_requirements_of_ptylab_are_reported(tmp_path: Path) -> None:
    found = [each.found for each in ptylab.write(small_scan(npos=20, side=8), tmp_path / "a.hdf5", False).findings]
    assert "detector pixels of 7.5e-05 m x 5.5e-05 m" in found
    assert "3 bad pixels" in found


def test_ptylab_reads_the_same_values(tmp_path: Path) -> None:
    module = pytest.importorskip("PtyLab")
    detector = Detector(2.0, (75e-6, 75e-6), np.zeros((8, 8), np.uint8))
    result = small_result(small_scan(npos=20, side=8, detector=detector))
    ptylab.write(result.scan, tmp_path / "a.hdf5", False)
    data = module.ExperimentalData(tmp_path / "a.hdf5")
    state = module.Reconstruction(data, module.Params())
    assert np.array_equal(data.ptychogram, result.scan.patterns[:])
    assert data.wavelength == pytest.approx(result.scan.wavelength)
    assert (data.zo, data.dxd) == (2.0, 75e-6)
    assert state.dxo == pytest.approx(result.scan.object_pixel[0])
    y, x = exitwave.positions.object_grid(result.scan.positions, (8, 8), result.scan.object_pixel)
    middle = np.array([y.size // 2, x.size // 2])
    ours = np.round(to_pixels(result.scan.positions, y, x) - middle) + state.No // 2 - 8 // 2
    assert np.abs(state.positions - ours).max() == 0
