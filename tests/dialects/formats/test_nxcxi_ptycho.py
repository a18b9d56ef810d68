"""NXcxi_ptycho: source_1/energy is that of the storage ring, positions in detector_1, rasters with four axes."""

from pathlib import Path

import cxi_files as cxi
import h5py
import numpy as np
import pytest
from samples import small_scan

import exitwave
from exitwave.cxi.schema import path
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import InputError
from exitwave.scan import Scan

NXCXI = DIALECTS.all()["nxcxi_ptycho"]
BEAM = "entry_1/instrument_1/beam_1"


def nexus(**others):
    """Return the entries that the definition requires, with a storage ring of 3 GeV, in joules."""
    translation = f"{cxi.DETECTOR}/translation"
    own = {
        "entry_1/definition": "NXcxi_ptycho",
        "entry_1/title": "a scan",
        f"{cxi.SOURCE}/energy": 4.8065e-10,
        f"{cxi.SOURCE}/probe": "x-ray",
        f"{BEAM}/incident_beam_energy": 9.0,
        f"{BEAM}/incident_beam_energy@units": "keV",
        f"{cxi.DETECTOR}/distance": 2000.0,
        f"{cxi.DETECTOR}/distance@units": "mm",
        f"{cxi.GEOMETRY}/translation": f"->/{translation}",
        translation: cxi.POSITIONS * 1e6,
        f"{translation}@units": "um",
        f"{cxi.DETECTOR}/pixel_mask": np.where(cxi.BAD, 2, 0).astype(np.uint32),
    }
    return cxi.plain(**(own | others))


def test_file_with_known_values_is_read(tmp_path: Path) -> None:
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", nexus()))
    assert isinstance(scan, Scan)
    assert [each.code for each in scan.findings] == ["I307", "W204", "W204"]  # um and mm
    assert "NXcxi_ptycho" in scan.findings[0].found
    assert scan.energy == pytest.approx(9000, rel=1e-12)
    assert scan.detector.distance == pytest.approx(2)
    np.testing.assert_allclose(scan.positions, cxi.POSITIONS, atol=1e-18)
    np.testing.assert_array_equal(scan.detector.mask, cxi.BAD)


def test_frames_of_a_raster_are_read_row_by_row(tmp_path: Path) -> None:
    frames = np.arange(6 * cxi.NY * cxi.NX, dtype=np.int32).reshape(2, 3, cxi.NY, cxi.NX)
    translation = f"{cxi.DETECTOR}/translation"
    entries = nexus(**{f"{cxi.DETECTOR}/data": frames, translation: cxi.POSITIONS[:6] * 1e6})
    file = cxi.write(tmp_path / "a.cxi", {entry.replace("entry_1", "entry"): value for entry, value in entries.items()})
    with h5py.File(file, "r+") as opened:
        for entry in ("data_1/data", "data_1/translation", "sample_1/geometry_1/translation"):
            name = entry.rpartition("/")[2]
            del opened[f"entry/{entry}"]
            opened[f"entry/{entry}"] = h5py.SoftLink(f"/entry/instrument_1/detector_1/{name}")
    scan = exitwave.open(file)
    assert isinstance(scan, Scan)
    assert "I308" in {each.code for each in scan.findings}
    assert scan.patterns.shape == (6, cxi.NY, cxi.NX)
    np.testing.assert_array_equal(scan.patterns[4], frames[1, 1])
    np.testing.assert_array_equal(scan.patterns[1:5, 2], frames.reshape(6, cxi.NY, cxi.NX)[1:5, 2])


def test_written_file_follows_the_definition(tmp_path: Path) -> None:
    target, scan = tmp_path / "a.cxi", small_scan(monitor=np.arange(1.0, 201))
    assert NXCXI.write is not None
    NXCXI.write(scan, target, False)
    with h5py.File(target) as file:
        assert file["entry_1/definition"][()] == b"NXcxi_ptycho"
        assert path("energy") not in file
        assert file[f"{BEAM}/incident_beam_energy"].attrs["units"] == "J"
        assert file[f"{BEAM}/incident_beam_energy"][()] == pytest.approx(8800.25 * 1.602176634e-19)
        stored = file[f"{cxi.DETECTOR}/translation"]
        assert isinstance(file.get(path("positions"), getlink=True), h5py.SoftLink)
        np.testing.assert_array_equal(stored, scan.positions)
        assert dict(stored.attrs) == {"units": "m", "axes": "translation:y:x", "interpretation": "image"}
        np.testing.assert_array_equal(file["entry_1/data/y"], scan.positions[:, 1])
        assert file["entry_1/data"].attrs["signal"] == "data"
        assert file["entry_1/instrument_1/monitor_1/data"].shape == (200,)
    assert NXCXI.check is not None
    assert {each.code for each in NXCXI.check(target)} == {"W252", "W254"}


def test_profile_reports_missing_entries(scan_file: Path) -> None:
    assert NXCXI.check is not None
    found = {(each.code, each.path) for each in NXCXI.check(scan_file) if each.level == "error"}
    assert ("E122", path("energy")) in found
    assert ("E121", "/entry_1/definition") in found
    assert ("E121", path("incident_beam_energy")) in found


def test_file_without_the_definition_is_refused(scan_file: Path) -> None:
    with pytest.raises(InputError, match="does not follow the definition"):
        exitwave.open(scan_file, dialect="nxcxi_ptycho")
