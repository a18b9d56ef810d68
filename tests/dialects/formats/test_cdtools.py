"""CXI of cdtools: wavelength, basis_vectors of shape (3, 2); and cdtools itself where it is installed."""

from pathlib import Path

import cxi_files as cxi
import h5py
import numpy as np
import pytest
from samples import small_scan

import exitwave
from exitwave.cxi.schema import path
from exitwave.dialects.registry import DIALECTS
from exitwave.scan import Result, Scan

CDTOOLS = DIALECTS.all()["cdtools"]


def written_by_cdtools(**others):
    bits = np.where(cxi.BAD, 1, 0).astype(np.uint32)
    bits[5] = 0x1000  # signal, no defect
    own = {
        "cxi_version": 160,
        "number_of_entries": 1,
        f"{cxi.SOURCE}/wavelength": np.float32(cxi.WAVELENGTH),
        f"{cxi.SOURCE}/energy": np.float32(cxi.JOULES),
        f"{cxi.DETECTOR}/mask": bits,
        f"{cxi.DETECTOR}/basis_vectors": np.array([[0, -cxi.PIXEL], [-cxi.PIXEL, 0], [0, 0]], np.float32),
        f"{cxi.DETECTOR}/qe_mask": np.full((cxi.NY, cxi.NX), 0.5, np.float32),
        f"{cxi.DETECTOR}/translation": f"->/{cxi.GEOMETRY}/translation",
        f"{cxi.GEOMETRY}/intensities": np.arange(1.0, 8),
        "entry_1/data_1/intensities": f"->/{cxi.GEOMETRY}/intensities",
    }
    return cxi.plain(**(own | others))


def test_file_with_known_values_is_read(tmp_path: Path) -> None:
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", written_by_cdtools()))
    assert isinstance(scan, Scan)
    assert [(each.code, "cdtools" in each.found) for each in scan.findings] == [("I307", True)]
    assert scan.energy == pytest.approx(9000, rel=1e-6)
    np.testing.assert_array_equal(scan.positions, cxi.POSITIONS)
    np.testing.assert_array_equal(scan.detector.mask, cxi.BAD)
    assert scan.detector.flat is not None
    assert (scan.detector.flat == 0.5).all()
    assert scan.monitor is not None
    assert scan.monitor.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_basis_vectors_of_the_other_sign_negate_the_positions(tmp_path: Path) -> None:
    """Sample and probe move in opposite directions: with rows along +y and columns along -x only y changes its sign."""
    vectors = np.array([[0, -cxi.PIXEL], [cxi.PIXEL, 0], [0, 0]])
    entries = written_by_cdtools(**{f"{cxi.DETECTOR}/basis_vectors": vectors})
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", entries))
    assert isinstance(scan, Scan)
    np.testing.assert_array_equal(scan.positions, cxi.POSITIONS * [1, -1, 1])


def test_written_file_has_the_entries_that_cdtools_reads(tmp_path: Path) -> None:
    target = tmp_path / "a.cxi"
    assert CDTOOLS.write is not None
    CDTOOLS.write(small_scan(monitor=np.arange(1.0, 201)), target, False)
    with h5py.File(target) as file:
        assert file[path("wavelength")][()] == pytest.approx(1.23984198e-6 / 8800.25, rel=1e-9)
        assert file[path("basis_vectors")][()].tolist() == [[0, -55e-6], [-75e-6, 0], [0, 0]]
        assert set(np.unique(file[path("mask")])) == {0, 1}
        np.testing.assert_array_equal(file[f"{cxi.DETECTOR}/qe_mask"], file[path("flat")])
        assert file["entry_1/data_1/intensities"].shape == (200,)
    assert CDTOOLS.check is not None
    assert {each.code for each in CDTOOLS.check(target)} == {"W252"}


def test_profile_reports_what_cdtools_cannot_read(scan_file: Path) -> None:
    assert CDTOOLS.check is not None
    assert {each.level for each in CDTOOLS.check(scan_file)} == {
        "warning"
    }  # cdtools reads the wavelength instead of the energy
    with h5py.File(scan_file, "r+") as file:
        file[path("distance")].attrs["units"] = "mm"
        del file[path("wavelength")], file[path("positions")]
        file[path("positions")] = small_scan().positions.T
    found = {(each.code, each.path) for each in CDTOOLS.check(scan_file) if each.level == "error"}
    assert found == {("E122", path("energy")), ("E122", path("distance")), ("E121", path("positions"))}


def test_measured_file_of_cdtools(measured: Path, tmp_path: Path) -> None:
    """Near field at PETRA III P25, 12.66 keV: mask and positions are as cdtools wrote them, also after conversion."""
    file = measured / "petra_p25_near_field.cxi"
    scan = exitwave.open(file)
    assert isinstance(scan, Scan)
    assert any("cdtools" in each.found for each in scan.findings if each.code == "I307")
    assert scan.energy == pytest.approx(12.66e3, rel=2e-4)
    with h5py.File(file) as stored:
        positions, mask = stored[path("positions")][()], stored[path("mask")][()]
    np.testing.assert_array_equal(scan.positions, positions.astype(np.float64))
    np.testing.assert_array_equal(scan.detector.mask, (mask != 0) & (mask != 0x1000))
    official = exitwave.open(file, dialect="cxi16")
    assert isinstance(official, Scan)
    np.testing.assert_array_equal(official.positions, scan.positions)
    seed = DIALECTS.all()["seed"].write
    assert seed is not None
    seed(scan, tmp_path / "seed.cxi", False)
    back = exitwave.open(tmp_path / "seed.cxi")
    assert isinstance(back, Scan)
    assert back.findings == ()
    assert back.energy == scan.energy
    np.testing.assert_array_equal(back.positions, scan.positions)
    np.testing.assert_array_equal(back.detector.mask, scan.detector.mask)
    for frame in (0, 117, 199):
        np.testing.assert_array_equal(back.patterns[frame], scan.patterns[frame])


@pytest.mark.parametrize("kind", ["scan", "result"])
def test_cdtools_reads_the_written_file(kind: str, tmp_path: Path, scan_file: Path, result_file: Path) -> None:
    """cdtools reads the same energy, positions in object pixels, mask, patterns, dark frame and flat field."""
    pytest.importorskip("cdtools")
    import torch
    from cdtools.datasets import Ptycho2DDataset
    from cdtools.tools import initializers, interactions

    data = exitwave.open(scan_file if kind == "scan" else result_file)
    scan = data.scan if isinstance(data, Result) else data
    assert CDTOOLS.write is not None
    CDTOOLS.write(data, tmp_path / "a.cxi", False)
    read = Ptycho2DDataset.from_cxi(tmp_path / "a.cxi")
    assert float(read.wavelength) == pytest.approx(scan.wavelength, rel=1e-6)
    np.testing.assert_array_equal(read.patterns.numpy(), scan.patterns[:])
    np.testing.assert_array_equal(read.mask.numpy(), scan.detector.mask == 0)
    np.testing.assert_array_equal(read.background.numpy(), scan.detector.dark)
    np.testing.assert_array_equal(read.qe_mask.numpy(), scan.detector.flat)
    geometry = read.detector_geometry
    assert float(geometry["distance"]) == pytest.approx(scan.detector.distance, rel=1e-6)
    shape = torch.Size(scan.patterns.shape[1:])
    basis = initializers.exit_wave_geometry(geometry["basis"], shape, read.wavelength, geometry["distance"])
    pixels = interactions.translations_to_pixel(basis, read.translations).numpy()
    py, px = scan.object_pixel
    np.testing.assert_allclose(pixels, scan.positions[:, 1::-1] / [py, px], atol=1e-3)
