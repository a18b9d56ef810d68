"""PtychoNN: arrays of its newer archives, and the patches for training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.formats import ptychonn
from exitwave.frames import Frames
from exitwave.positions import to_pixels
from exitwave.scan import Scan

SETTINGS = {"energy": "8keV", "distance": "2m", "pixel_size": "75um"}


def test_positions_are_y_x(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).poisson(4, (3, 8, 8)).astype(np.int32)
    position = np.array([[1e-6, 2e-6], [3e-6, 4e-6], [5e-6, -6e-6]])
    np.savez(tmp_path / "a.npz", reciprocal=frames, position=position, real=np.ones((3, 8, 8), np.complex64))
    data = exitwave.open(tmp_path / "a.npz", **SETTINGS)
    assert isinstance(data, Scan)
    assert np.array_equal(data.patterns[:], frames)
    assert np.allclose(data.positions[:, :2], position[:, ::-1])
    assert "I309" in {each.code for each in data.findings}


def test_patches_are_the_windows_of_the_frames(tmp_path: Path) -> None:
    result = small_result(small_scan(npos=20, side=8))
    ptychonn.write(result, tmp_path / "a.npz", False)
    row, column = np.rint(to_pixels(result.positions, result.y, result.x))[7].astype(int) - 4
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["real"].dtype == np.complex64
        assert archive["real"].shape == archive["reciprocal"].shape == (20, 8, 8)
        assert np.array_equal(archive["real"][7], result.object[row : row + 8, column : column + 8])


@pytest.mark.parametrize(("side", "reported"), [(8, False), (9, True)])
def test_side_that_is_not_a_power_of_two_is_reported(tmp_path: Path, side: int, reported: bool) -> None:
    written = ptychonn.write(small_scan(npos=20, side=side), tmp_path / "a.npz", False)
    assert ("frames of 9 x 9 pixels" in {each.found for each in written.findings}) == reported


def test_counts_that_lose_digits_are_reported(tmp_path: Path) -> None:
    counts = np.full((20, 8, 8), 2**24 + 1, np.uint32)
    written = ptychonn.write(replace(small_scan(npos=20, side=8), patterns=Frames(counts)), tmp_path / "a.npz", False)
    assert [each.found for each in written.findings if each.code == "W208"] == ["counts changed by up to 1"]
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["reciprocal"].dtype == np.float32
