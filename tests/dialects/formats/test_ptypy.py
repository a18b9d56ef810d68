"""Ptypy: a .ptyd file as ptypy documents it, with chunks and known values."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.formats import ptypy
from exitwave.errors import InputError
from exitwave.scan import Scan

POSITIONS = np.array([[1e-6, 2e-6], [3e-6, 4e-6], [5e-6, -6e-6], [0, 1e-6], [2e-6, 2e-6]])
FRAMES = np.random.default_rng(0).poisson(4, (5, 8, 8)).astype(np.int32)


def _write_example(file: Path, weights: Any = None, centre: tuple[float, float] = (4.0, 4.0)) -> Path:
    """Write two chunks, the second in a linked file as ptypy does."""
    weights = np.ones(FRAMES.shape) if weights is None else weights
    with h5py.File(f"{file}.part001", "w") as part, h5py.File(file, "w") as out:
        out["meta/energy"], out["meta/distance"], out["meta/psize"] = 8.8, 2.0, np.array([75e-6, 55e-6])
        out["meta/center"], out["meta/shape"] = np.array(centre), np.array([8, 8])
        for group, rows in ((out.create_group("chunks/0"), slice(3)), (part, slice(3, 5))):
            group["data"], group["positions"], group["weights"] = FRAMES[rows], POSITIONS[rows], weights[rows]
            group["indices"] = np.arange(5)[rows]
        out["chunks/1"] = h5py.ExternalLink(f"{file.name}.part001", "/")
    return file


def test_chunks_become_one_scan(tmp_path: Path) -> None:
    data = exitwave.open(_write_example(tmp_path / "a.ptyd"))
    assert isinstance(data, Scan)
    assert np.array_equal(data.patterns[:], FRAMES)
    assert np.array_equal(data.patterns[1:4], FRAMES[1:4])
    assert np.allclose(data.positions[:, :2], POSITIONS[:, ::-1])
    assert data.energy == pytest.approx(8800)
    assert data.detector.pixel_size == (75e-6, 55e-6)
    assert not data.detector.mask.any()


def test_weight_of_zero_marks_a_bad_pixel_of_its_frame(tmp_path: Path) -> None:
    weights = np.ones(FRAMES.shape)
    weights[:, 2, 3] = 0
    data = exitwave.open(_write_example(tmp_path / "a.ptyd", weights))
    assert isinstance(data, Scan)
    assert np.argwhere(data.detector.mask).tolist() == [[2, 3]]
    weights[4, 5, 6] = 0
    data = exitwave.open(_write_example(tmp_path / "b.ptyd", weights))
    assert isinstance(data, Scan)
    assert data.detector.mask.shape == (5, 8, 8)
    assert np.argwhere(data.detector.mask[4]).tolist() == [[2, 3], [5, 6]]


def test_zero_frequency_off_centre_is_reported(tmp_path: Path) -> None:
    data = exitwave.open(_write_example(tmp_path / "a.ptyd", centre=(3.0, 4.0)))
    assert isinstance(data, Scan)
    assert "I309" in {each.code for each in data.findings}


def test_missing_chunk_is_refused(tmp_path: Path) -> None:
    file = _write_example(tmp_path / "a.ptyd")
    Path(f"{file}.part001").unlink()
    with pytest.raises(InputError, match="link has no target"):
        exitwave.open(file)


def test_written_file_is_as_ptypy_documents(tmp_path: Path) -> None:
    result = small_result(small_scan(npos=20, side=8))
    written = ptypy.write(result, tmp_path / "a.ptyd", False)
    assert "object and probe" in {each.found for each in written.findings}
    with h5py.File(tmp_path / "a.ptyd") as file:
        assert file["meta/energy"][()] == pytest.approx(8.80025)
        assert file["meta/weight2d"][3, 4] == 0
        assert file["meta/weight2d"][0, 0] == 1
        assert np.allclose(file["chunks/0/positions"], result.positions[:, [1, 0]])
        assert {file[f"meta/{name}"].attrs["type"] for name in ("energy", "distance", "num_frames")} == {"scalar"}
