"""Ptychodus: files as it writes them, with known values; and written files, read by ptychodus where it is installed."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import small_result, small_scan

import exitwave
from exitwave.dialects.formats.ptychodus import pair as ptychodus
from exitwave.dialects.formats.ptychodus.check import check
from exitwave.errors import InputError
from exitwave.scan import Result, Scan
from exitwave.units import H_C

ENDS = (".h5", ".npz", ".cxi")
X, Y = np.array([1e-6, 2e-6, 3e-6, 4e-6]), np.array([-1e-6, 0, 5e-6, 2e-6])


def _diffraction(file: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(file, "w") as out:
        out["indexes"] = np.array([7, 5, 3, 1])
        out["patterns"] = rng.poisson(2, (4, 6, 8)).astype(np.uint16)
        out["patterns"].attrs["detector_pixel_width_m"] = 75e-6
        out["patterns"].attrs["detector_pixel_height_m"] = 55e-6
        out["bad_pixels"] = np.arange(48).reshape(6, 8) == 9


def _product(file: Path, losses: tuple[float, ...] = (2.0, 1.0), indexes: tuple[int, ...] = (1, 3, 5, 7)) -> None:
    with h5py.File(file, "w") as out:
        out.attrs.update({"name": "moth", "comments": "", "detector_object_distance_m": 2.0, "far_field": True})
        out.attrs["probe_energy_eV"] = 9000.0
        out["object"] = np.full((1, 20, 31), 0.5 + 0.5j)
        out["object"].attrs.update({"center_x_m": 1e-6, "center_y_m": 2e-6})
        out["object"].attrs.update({"pixel_width_m": 4e-8, "pixel_height_m": 5e-8})
        out["probe"] = np.full((1, 2, 6, 8), 1j)
        out["probe_position_indexes"], out["probe_position_x_m"], out["probe_position_y_m"] = np.array(indexes), X, Y
        out["loss_values"], out["loss_epochs"] = np.array(losses), np.arange(len(losses))


def test_pair_is_matched_by_index_and_read_by_either_name(tmp_path: Path) -> None:
    _diffraction(tmp_path / "diffraction.h5")
    _product(tmp_path / "product.h5")
    for name in ("diffraction.h5", "product.h5"):
        data = exitwave.open(tmp_path / name)
        assert isinstance(data, Result)
        assert np.allclose(data.scan.positions[:, 0], X[::-1])
        assert np.allclose(data.scan.positions[:, 1], Y[::-1])
        assert (data.scan.energy, data.scan.detector.distance, data.scan.name) == (9000.0, 2.0, "moth")
        assert data.scan.detector.pixel_size == (55e-6, 75e-6)
        assert np.flatnonzero(data.scan.detector.mask).tolist() == [9]
        assert data.probe[1, 2, 3] == pytest.approx(1j * np.sqrt(48))
        assert data.errors.tolist() == [2.0, 1.0]


def test_object_has_the_coordinates_of_ptychodus(tmp_path: Path) -> None:
    """In ptychodus a window starts at (x - centre) / pixel + (N - 1) / 2 - (n - 1) / 2, here at x - n//2 pixels."""
    _diffraction(tmp_path / "diffraction.h5")
    _product(tmp_path / "product.h5")
    data = exitwave.open(tmp_path / "diffraction.h5")
    assert isinstance(data, Result)
    starts = (X[::-1] - 1e-6) / 4e-8 + (31 - 1) / 2 - (8 - 1) / 2
    assert np.allclose((data.positions[:, 0] - data.x[0]) / 4e-8 - 8 // 2, starts, atol=1e-6)


def test_product_without_losses_is_a_scan_with_a_starting_probe(tmp_path: Path) -> None:
    _diffraction(tmp_path / "diffraction.h5")
    _product(tmp_path / "product.h5", losses=())
    data = exitwave.open(tmp_path / "diffraction.h5")
    assert isinstance(data, Scan)
    assert data.probe is not None
    assert data.probe.shape == (2, 6, 8)


def test_many_frames_without_a_position_are_refused(tmp_path: Path) -> None:
    _diffraction(tmp_path / "diffraction.h5")
    _product(tmp_path / "product.h5", indexes=(1, 3, 5, 99))
    with pytest.raises(InputError, match="not finite"):  # one of four is more than a fifth
        exitwave.open(tmp_path / "diffraction.h5")


def test_user_sets_the_other_file(tmp_path: Path) -> None:
    _diffraction(tmp_path / "diffraction.h5")
    with pytest.raises(InputError, match=r"--set product=product\.h5"):
        exitwave.open(tmp_path / "diffraction.h5")
    (tmp_path / "away").mkdir()
    _product(tmp_path / "away" / "late.h5")
    data = exitwave.open(tmp_path / "diffraction.h5", product=str(tmp_path / "away" / "late.h5"))
    assert isinstance(data, Result)


@pytest.mark.parametrize("end", ENDS)
def test_round_trip_in_every_form(tmp_path: Path, end: str) -> None:
    for data in (small_scan(npos=20, side=9), small_result(small_scan(npos=20, side=8))):
        written = ptychodus.write(data, tmp_path / f"out{end}", True)
        assert all(check(file) == [] for file in written.files)
        back = exitwave.open(tmp_path / f"out{end}")
        scan, other = (each.scan if isinstance(each, Result) else each for each in (data, back))
        assert type(back) is type(data)
        assert np.array_equal(scan.patterns[:], other.patterns[:])
        assert np.array_equal(scan.positions, other.positions)
        assert np.array_equal(scan.detector.mask, other.detector.mask)
        assert scan.detector.dark is not None
        assert np.array_equal(scan.detector.dark, other.detector.dark)
        assert scan.left_out == other.left_out
        assert scan.energy == pytest.approx(other.energy, rel=1e-12)
        if isinstance(data, Result) and isinstance(back, Result):
            assert np.array_equal(data.x, back.x)
            assert np.allclose(data.probe, back.probe)


def test_scan_without_a_probe_is_read_without_a_probe(tmp_path: Path) -> None:
    written = ptychodus.write(small_scan(npos=20, side=8, probe=None), tmp_path / "out.h5", False)
    assert "no probe; ones were written instead" in {each.found for each in written.findings}
    data = exitwave.open(tmp_path / "out.h5")
    assert isinstance(data, Scan)
    assert data.probe is None


def test_ptychodus_cannot_read_a_file_of_the_schema(scan_file: Path, result_file: Path) -> None:
    found = {each.code + each.path for each in check(scan_file)}
    assert "E122/entry_1/instrument_1/source_1/energy".replace("/", "", 1) in found
    assert "E121entry_1/image_2/data" in found
    assert "W252entry_1/instrument_1/detector_1/data_dark" in found
    assert "E122entry_1/image_1/data" in {each.code + each.path for each in check(result_file)}


def test_file_without_entries_of_ptychodus_is_reported(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    assert [each.code for each in check(tmp_path / "other.npz")] == ["E121"]


@pytest.fixture
def io() -> Any:
    return pytest.importorskip("ptychodus.api.io")


@pytest.mark.parametrize("end", ENDS)
def test_ptychodus_reads_the_same_values(tmp_path: Path, io: Any, end: str) -> None:
    result = small_result(small_scan(npos=20, side=8))
    scan, target = result.scan, tmp_path / f"out{end}"
    ptychodus.write(result, target, False)
    product, patterns, bad = _read_by_ptychodus(io, target)
    geometry = product.object_.get_geometry()
    points = [geometry.map_coordinates_probe_to_object(point) for point in product.probe_positions]
    pixels = np.array([(point.y_px, point.x_px) for point in points])
    step = np.array(result.object_pixel)
    ours = (result.positions[:, [1, 0]] - np.array([result.y[0], result.x[0]])) / step
    assert np.allclose(pixels - (8 - 1) / 2, ours - 8 // 2, atol=1e-6)
    assert np.array_equal(patterns, scan.patterns[:])
    assert np.array_equal(bad, scan.detector.mask != 0)
    assert product.metadata.photon_energy_eV == pytest.approx(scan.energy, rel=1e-9)
    assert product.metadata.photon_wavelength_m == pytest.approx(H_C / scan.energy, rel=1e-6)
    assert product.metadata.detector_distance_m == scan.detector.distance
    assert np.array_equal(product.object_.get_array()[0], result.object)


def _read_by_ptychodus(io: Any, target: Path) -> tuple[Any, Any, Any]:
    """Return product, patterns and bad pixels as ptychodus reads them."""
    from ptychodus.plugins.cxi_file import CXIDiffractionFileReader, CXIProductFileIO
    from ptychodus.plugins.npz_diffraction_file import NPZDiffractionFileIO
    from ptychodus.plugins.npz_product_file import NPZProductFileIO

    if target.suffix == ".h5":
        data = io.load_diffraction_data(target)
        return io.load_product(target.with_stem("out_product")), data.get_patterns(), data.get_bad_pixels()
    reader, product = (
        (CXIDiffractionFileReader(), CXIProductFileIO().read(target))
        if target.suffix == ".cxi"
        else (NPZDiffractionFileIO(), NPZProductFileIO().read(target.with_stem("out_product")))
    )
    dataset = reader.read(target)
    return product, np.concatenate([array.get_patterns() for array in dataset]), dataset.get_bad_pixels()
