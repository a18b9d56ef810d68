"""What is written for people: PNG, TIFF and NPZ."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from samples import small_result, small_scan
from typer.testing import CliRunner

import exitwave
from exitwave.cli import app
from exitwave.dialects.registry import known
from exitwave.errors import OutputError
from exitwave.scan import Result, Scan


def _write(name: str, data: Scan | Result, target: Path) -> list[Path]:
    write = known()[name].write
    assert write is not None
    return list(write(data, target, False).files)


def test_tiff_has_amplitude_and_phase_and_the_pixel(tmp_path: Path) -> None:
    result = small_result(small_scan())
    (file,) = _write("tiff", result, tmp_path / "object.tif")
    with tifffile.TiffFile(file) as tiff:
        image, about, tags = tiff.asarray(), tiff.imagej_metadata, tiff.pages[0].tags
    upright = result.object[::-1]
    assert image.dtype == np.float32
    assert np.allclose(image[0] * np.exp(1j * image[1]), upright, atol=1e-6)
    assert about is not None
    assert (about["unit"], about["Labels"]) == ("cm", ["amplitude", "phase (rad)"])
    assert tags["ResolutionUnit"].value == 3
    for name, pixel in zip(("YResolution", "XResolution"), result.object_pixel, strict=True):
        pixels, centimetres = tags[name].value
        assert 1e-2 * centimetres / pixels == pytest.approx(pixel, rel=1e-6)


def test_tiff_of_slices_and_of_a_scan(tmp_path: Path) -> None:
    result = small_result(small_scan())
    thick = replace(result, object=np.stack([result.object, 2 * result.object]), z=np.array([0, 3e-6]))
    (file,) = _write("tiff", thick, tmp_path / "thick.tif")
    with tifffile.TiffFile(file) as tiff:
        assert tiff.series[0].axes == "ZCYX"
        assert np.allclose(tiff.asarray()[1, 0], 2 * np.abs(result.object[::-1]))
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["spacing"] == pytest.approx(3e-4)
    scan = small_scan(left_out={"the beam was off": (1,)})
    counts = np.delete(scan.patterns[:], 1, axis=0) * (scan.detector.mask == 0)
    (file,) = _write("tiff", scan, tmp_path / "scan.tif")
    assert np.allclose(tifffile.imread(file), counts.sum(axis=0)[::-1])


def test_png_is_two_pictures_of_a_result_and_one_of_a_scan(tmp_path: Path) -> None:
    scan = small_scan()
    files = _write("png", small_result(scan), tmp_path / "star.png")
    assert [file.name for file in files] == ["star_amplitude.png", "star_phase.png"]
    files += _write("png", scan, tmp_path / "scan.png")
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 500
            assert np.ptp(np.asarray(picture.convert("L"))) > 100


def test_png_writes_both_or_none(tmp_path: Path) -> None:
    (tmp_path / "star_phase.png").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        _write("png", small_result(small_scan()), tmp_path / "star.png")
    assert [file.name for file in tmp_path.iterdir()] == ["star_phase.png"]


def test_npz_has_plain_names_and_comes_back(tmp_path: Path) -> None:
    result = small_result(small_scan())
    (file,) = _write("npz", result, tmp_path / "result.npz")
    with np.load(file) as arrays:
        assert {"frames", "positions", "energy", "mask", "dark", "probe", "object", "x", "y"} <= set(arrays)
        assert np.array_equal(arrays["object"], result.object)
        assert arrays["positions"].shape == (len(result.positions), 3)
        plain = {name: arrays[name] for name in ("frames", "positions", "energy", "distance", "pixel_size")}
    assert isinstance(exitwave.open(file), Result)
    np.savez_compressed(tmp_path / "own.npz", **plain)
    scan = exitwave.open(tmp_path / "own.npz")
    assert isinstance(scan, Scan)
    assert np.array_equal(scan.patterns[:], result.scan.patterns[:])


def test_convert_writes_pictures(result_file: Path, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["convert", str(result_file), str(tmp_path / "star.png"), "--to", "png"])
    assert answer.exit_code == 0, answer.output
    assert "star_phase.png" in answer.stdout
