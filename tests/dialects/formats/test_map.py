"""A YAML map of any HDF5 file: paths, units, order of axes, signs; unknown keys are refused with the nearest key."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app
from exitwave.errors import InputError
from exitwave.scan import Scan

RNG = np.random.default_rng(9)
COUNTS = RNG.poisson(30, (6, 8, 11)).astype(np.uint16)
POSITIONS = RNG.normal(size=(6, 2)) * 2
GEOMETRY = {"energy": "8.8 keV", "distance": {"path": "/z"}, "pixel_size": {"path": "/pixel", "unit": "um"}}
MAP = {"file": "raw.h5", "frames": "/frames", "positions": {"path": "/xy", "unit": "um"}, **GEOMETRY}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["frames"], file["xy"], file["pixel"], file["z"] = COUNTS, POSITIONS, 75.0, 1900.0
        file["z"].attrs["units"] = "mm"
        file["amplitude"] = np.fft.ifftshift(np.sqrt(COUNTS.astype(float)), axes=(1, 2))
        file["turned"] = COUNTS.transpose(2, 1, 0)
        file["raster"] = COUNTS.reshape(2, 3, 8, 11).swapaxes(2, 3)
        file["x"], file["y"] = POSITIONS[:, 0].reshape(2, 3), POSITIONS[:, 1].reshape(2, 3)
        good = np.ones((8, 11), np.uint8)
        good[2, 3] = 0
        file["good"], file["dark"] = good, np.full((8, 11), 0.5)
        file["probe"] = np.ones((8, 11), np.complex64)
    return tmp_path / "raw.h5"


def _map(folder: Path, **changes: object) -> Path:
    words = {key: value for key, value in (MAP | changes).items() if value is not None}
    (folder / "scan.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    return folder / "scan.yaml"


def _open(file: Path, **settings: str) -> Scan:
    scan = exitwave.open(file, **settings)
    assert isinstance(scan, Scan)
    return scan


def test_map_is_opened_in_place_of_the_file(raw: Path, tmp_path: Path) -> None:
    more = {"mask": {"path": "/good", "bad": "zero"}, "dark": "/dark", "probe": "/probe", "name": "a star"}
    scan = _open(_map(tmp_path, **more))
    assert np.array_equal(scan.patterns[:], COUNTS)
    assert scan.positions[:, :2] == pytest.approx(POSITIONS * 1e-6)
    assert (scan.energy, scan.detector.distance) == (8800, pytest.approx(1.9))
    assert scan.detector.pixel_size == pytest.approx((75e-6, 75e-6))
    assert np.argwhere(scan.detector.mask).tolist() == [[2, 3]]
    assert scan.detector.dark == pytest.approx(np.full((8, 11), 0.5))
    assert (scan.name, scan.path) == ("a star", raw)


def test_one_map_for_many_files(raw: Path, tmp_path: Path) -> None:
    plan = _map(tmp_path, file=None)
    assert np.array_equal(_open(raw, dialect="map", map=str(plan)).patterns[:], COUNTS)
    with pytest.raises(InputError, match=r"--set map=FILE"):
        _open(plan)


@pytest.mark.parametrize(
    "frames",
    [
        {"path": "/turned", "axes": ["x", "y", "frame"]},
        {"path": "/raster", "axes": ["frame", "frame", "x", "y"]},
        {"path": "/amplitude", "values": "amplitude", "zero_frequency": "corner"},
    ],
)
def test_frames_with_any_order_of_axes_are_read_lazily(raw: Path, tmp_path: Path, frames: dict[str, object]) -> None:
    patterns = _open(_map(tmp_path, frames=frames)).patterns
    assert np.array_equal(patterns[:], COUNTS)
    assert np.array_equal(patterns[1:4, 2], COUNTS[1:4, 2])
    assert np.array_equal(patterns[-1], COUNTS[-1])
    assert np.array_equal(np.concatenate([block for _, block in patterns.blocks(4)]), COUNTS)


def test_positions_from_arrays_rows_and_text(raw: Path, tmp_path: Path) -> None:
    with h5py.File(raw, "r+") as file:
        file["rows"] = np.concatenate([np.zeros((1, 6)), POSITIONS.T])
    (tmp_path / "positions.txt").write_text("time sx sy\n" + "".join(f"0 {x} {y}\n" for x, y in POSITIONS))
    for source in (
        {"x": "/x", "y": "/y"},
        {"path": "/rows", "columns": [1, 2]},
        {"file": "positions.txt", "columns": ["sx", "sy"]},
    ):
        scan = _open(_map(tmp_path, positions=source | {"unit": "um", "negate": "y"}))
        assert scan.positions[:, :2] == pytest.approx(POSITIONS * [1e-6, -1e-6])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame": "/frames"}, r"Unknown key in the map.*\(frame\)\. Did you mean frames"),
        ({"frames": {"path": "/frames", "value": "amplitude"}}, r"frames\.value\)\. Did you mean values"),
        ({"frames": {"path": "/frames", "values": "amplitudes"}}, r"frames\.values in the map: Input should be"),
        ({"frames": {"path": "/frames", "axes": ["frame", "y", "y"]}}, "name x and y once"),
        ({"frames": None}, r"The map lacks frames"),
        ({"positions": {"path": "/xy", "file": "a.csv"}}, "give one of path, file"),
        ({"positions": {"path": "/xy"}}, "unit of the positions is not known"),
        ({"distance": {"path": "/pixel"}}, "has no unit"),
        ({"distance": "/nowhere"}, "path of a quantity does not exist"),
        ({"energy": "8.8 parsec"}, "Unknown unit of energy"),
        ({"frames": "/nowhere"}, "lacks the frames"),
        ({"file": "nothing.h5"}, "nothing.h5 does not exist"),
        ({"frames": {"path": "/frames", "axes": ["frame", "frame", "x", "y"]}}, "number of axes differs"),
    ],
)
def test_invalid_map_is_refused(raw: Path, tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _open(_map(tmp_path, **changes))


@pytest.mark.parametrize("words", ["", "a: [", "- 1", "a: &x [*x]", "[" * 9000, "d: 2020-99-99", "\0"])
def test_file_without_a_map_is_refused(tmp_path: Path, words: str) -> None:
    (tmp_path / "scan.yml").write_text(words)
    with pytest.raises(InputError, match="not a YAML map"):
        _open(tmp_path / "scan.yml")


def test_verbs_accept_a_map(raw: Path, tmp_path: Path) -> None:
    run, plan = CliRunner().invoke, str(_map(tmp_path))
    answer = run(app, ["inspect", plan])
    assert answer.exit_code == 0, answer.output
    assert "6 x 8 x 11 uint16" in answer.stdout
    answer = run(app, ["convert", plan, str(tmp_path / "scan.cxi"), "--to", "seed"])
    assert answer.exit_code == 0, answer.output
    assert np.array_equal(_open(tmp_path / "scan.cxi").patterns[:], COUNTS)
