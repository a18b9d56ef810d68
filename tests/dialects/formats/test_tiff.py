"""TIFF: amplitude and phase of a result, the sum of the frames of a scan, and the pixel size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from samples import small_result, small_scan

from exitwave.dialects.registry import DIALECTS
from exitwave.scan import Result, Scan


def _write(data: Scan | Result, target: Path) -> list[Path]:
    write = DIALECTS.all()["tiff"].write
    assert write is not None
    return list(write(data, target, False).files)


def test_image_has_amplitude_phase_and_pixel_size(tmp_path: Path) -> None:
    result = small_result(small_scan())
    (file,) = _write(result, tmp_path / "object.tif")
    with tifffile.TiffFile(file) as tiff:
        image, metadata, tags = tiff.asarray(), tiff.imagej_metadata, tiff.pages[0].tags
    upright = result.object[::-1]
    assert image.dtype == np.float32
    assert np.allclose(image[0] * np.exp(1j * image[1]), upright, atol=1e-6)
    assert metadata is not None
    assert (metadata["unit"], metadata["Labels"]) == ("cm", ["amplitude", "phase (rad)"])
    assert tags["ResolutionUnit"].value == 3
    for name, pixel in zip(("YResolution", "XResolution"), result.object_pixel, strict=True):
        pixels, centimetres = tags[name].value
        assert 1e-2 * centimetres / pixels == pytest.approx(pixel, rel=1e-6)


def test_image_of_slices_and_of_a_scan(tmp_path: Path) -> None:
    result = small_result(small_scan())
    thick = replace(result, object=np.stack([result.object, 2 * result.object]), z=np.array([0, 3e-6]))
    (file,) = _write(thick, tmp_path / "thick.tif")
    with tifffile.TiffFile(file) as tiff:
        assert tiff.series[0].axes == "ZCYX"
        assert np.allclose(tiff.asarray()[1, 0], 2 * np.abs(result.object[::-1]))
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["spacing"] == pytest.approx(3e-4)
    scan = small_scan(left_out={"the beam was off": (1,)})
    counts = np.delete(scan.patterns[:], 1, axis=0) * (scan.detector.mask == 0)
    (file,) = _write(scan, tmp_path / "scan.tif")
    assert np.allclose(tifffile.imread(file), counts.sum(axis=0)[::-1])
