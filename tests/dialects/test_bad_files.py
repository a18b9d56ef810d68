"""Files with errors that programs make: each is refused with a remedy, or read correctly with a finding."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cxi_files as cxi
import h5py
import numpy as np
import pytest

import exitwave
from exitwave.analysis.summary import summarise
from exitwave.cxi.schema import path
from exitwave.dialects.registry import DIALECTS
from exitwave.errors import InputError
from exitwave.reconstruction.loading import load_counts
from exitwave.scan import Scan

MASK = f"{cxi.DETECTOR}/mask"
PIXELS = f"{cxi.DETECTOR}/data"
BASIS = np.array([[0, -cxi.PIXEL], [-cxi.PIXEL, 0], [0, 0]])
TALL = {f"{cxi.GEOMETRY}/translation": cxi.POSITIONS.T}

VARIANTS: dict[str, dict[str, Any]] = {
    "cxi16": {},
    "cdtools": {f"{cxi.DETECTOR}/basis_vectors": BASIS},
    "sharp": {f"{cxi.DETECTOR}/probe_mask": np.ones((cxi.NY, cxi.NX))},
    "pynx": {"@creator": "PyNX", **TALL},
    "nxcxi_ptycho": {
        "entry_1/definition": "NXcxi_ptycho",
        "entry_1/instrument_1/beam_1/incident_beam_energy": cxi.JOULES,
        "entry_1/instrument_1/beam_1/incident_beam_energy@units": "J",
        f"{cxi.DETECTOR}/translation": f"->/{cxi.GEOMETRY}/translation",
    },
}
"""Smallest set of entries by which a file is detected as a dialect."""


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(cxi.FRAMES.shape, "i4")
    layout[...] = h5py.VirtualSource("gone.h5", "data", cxi.FRAMES.shape)
    del file[PIXELS]
    file.create_virtual_dataset(PIXELS, layout)


def _external(file: h5py.File) -> None:
    del file[PIXELS]
    file[PIXELS] = h5py.ExternalLink("gone.h5", "/entry/data")


def _circle(file: h5py.File) -> None:
    del file[PIXELS]
    file[PIXELS] = h5py.SoftLink("/entry_1/data_1/data")


@dataclass(frozen=True)
class Bad:
    """An error in a file, the expected message or the code of the finding, and the settings that repair it."""

    name: str
    entries: dict[str, Any] = field(default_factory=dict)
    change: Callable[[h5py.File], None] | None = None
    refusal: str = ""
    code: str = ""
    repair: dict[str, str] = field(default_factory=dict)


def _energies(value: Any, unit: str = "") -> dict[str, Any]:
    """Return an energy at the path of CXI and at that of NeXus."""
    places = (f"{cxi.SOURCE}/energy", "entry_1/instrument_1/beam_1/incident_beam_energy")
    entries: dict[str, Any] = dict.fromkeys(places, value)
    return entries | ({f"{place}@units": unit for place in places} if unit else {})


MANY = np.full(cxi.NPOS, cxi.DISTANCE)
BAD = [
    Bad("mask inverted", {MASK: (~cxi.BAD).astype("u1")}, refusal="mask=inverted", repair={"mask": "inverted"}),
    Bad("joules called eV", _energies(cxi.JOULES, "eV"), refusal=f"--set energy={cxi.JOULES:g}J",
        repair={"energy": f"{cxi.JOULES!r}J"}),
    Bad("energies that differ", _energies(np.linspace(1e-15, 2e-15, cxi.NPOS)), refusal="One number is needed",
        repair={"energy": "9keV"}),
    Bad("a distance for each frame, all the same", {f"{cxi.DETECTOR}/distance": MANY}),
    Bad("distances that differ", {f"{cxi.DETECTOR}/distance": MANY + np.arange(cxi.NPOS)}, repair={"distance": "2m"},
        refusal="2 to 8"),
    Bad("two probes", {f"{cxi.SOURCE}/illumination": cxi.PROBE, f"{cxi.DETECTOR}/probe": cxi.PROBE * 2}, code="W207"),
    Bad("a virtual stack without its source", change=_virtual, refusal="without its source gone.h5:data"),
    Bad("an external link to nowhere", change=_external, refusal="gone.h5:/entry/data"),
    Bad("links in a circle", change=_circle, refusal="form a loop"),
    Bad("positions in um", {f"{cxi.GEOMETRY}/translation": cxi.POSITIONS * 1e6}, refusal="positions=um",
        repair={"positions": "um"}),
    Bad("no distance", {f"{cxi.DETECTOR}/distance": None}, refusal="--set distance=2m", repair={"distance": "2m"}),
]  # fmt: skip


def _in_layout_of(name: str, entries: dict[str, Any]) -> dict[str, Any]:
    """Return the entries in the layout of a dialect: for PyNX, positions in rows."""
    path = f"{cxi.GEOMETRY}/translation"
    return entries | ({path: entries[path].T} if name == "pynx" and path in entries else {})


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_file_of_any_dialect(name: str, bad: Bad, tmp_path: Path) -> None:
    entries = cxi.plain(**({MASK: cxi.BAD.astype("u4")} | VARIANTS[name] | _in_layout_of(name, bad.entries)))
    file = cxi.write(tmp_path / "a.cxi", entries, bad.change)
    before = file.read_bytes()
    if bad.refusal:
        with pytest.raises(InputError) as caught:
            exitwave.open(file)
        assert bad.refusal in str(caught.value)
        assert "\n" not in str(caught.value)
    if not bad.refusal or bad.repair:
        scan = exitwave.open(file, **bad.repair)
        assert isinstance(scan, Scan)
        codes = {each.code: each.found for each in scan.findings}
        assert f"file format {name}" in codes["I307"]
        assert not bad.code or bad.code in codes
        assert scan.energy == pytest.approx(cxi.ENERGY, rel=1e-6)
        assert scan.detector.distance == cxi.DISTANCE
        np.testing.assert_allclose(scan.positions, cxi.POSITIONS, atol=1e-18)
        np.testing.assert_array_equal(scan.detector.mask, cxi.BAD)
        if scan.probe is not None:
            np.testing.assert_array_equal(scan.probe, cxi.PROBE[None])
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "uint32", "float32"])
def test_the_count_of_bad_pixels_is_no_measurement(kind: str, tmp_path: Path) -> None:
    """2^bits - 1 of the integer type, or 2^32 - 1 in floats, is left out of every sum, also after conversion."""
    frames = cxi.FRAMES.astype(kind)
    mark = np.iinfo(kind).max if kind != "float32" else np.float32(2**32 - 1)
    frames[2, 4, 5] = mark
    scan = exitwave.open(cxi.write(tmp_path / "a.cxi", cxi.plain(**{PIXELS: frames})))
    write = DIALECTS.all()["seed"].write
    assert write is not None
    assert isinstance(scan, Scan)
    lost = write(scan, tmp_path / "b.cxi", False).findings
    back = exitwave.open(tmp_path / "b.cxi")
    assert isinstance(back, Scan)
    assert not lost
    for each in (scan, back):
        stack, invalid, findings = load_counts(each)
        assert (stack == invalid).sum() == 1
        assert stack[stack != invalid].max() == cxi.FRAMES.max()
        assert [finding.code for finding in findings] == ["W233"]
        assert summarise(each)["counts"]["brightest"] == cxi.FRAMES.max()


def test_a_file_of_ptychodus_is_not_detected_as_another_cxi(tmp_path: Path) -> None:
    """Its first image is the probe, the second the object: no other variant of CXI accepts it."""
    images = {"entry_1/image_1/data": cxi.PROBE[None, None], "entry_1/image_2/data": cxi.OBJECT[None]}
    file = cxi.write(tmp_path / "a.cxi", cxi.plain(**images))
    for name in VARIANTS:
        detect = DIALECTS.all()[name].detect
        assert detect is not None
        assert detect(file) is None


def test_no_dialect_accepts_a_damaged_file_and_the_error_gives_the_reason(tmp_path: Path) -> None:
    whole = cxi.write(tmp_path / "a.cxi", cxi.plain()).read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("text", b"x,y\n" * 99), ("empty", b"")):
        file = tmp_path / name
        file.write_bytes(content)
        assert all(each.detect is None or each.detect(file) is None for each in DIALECTS.all().values())
        with pytest.raises(InputError, match=r"truncated|not an HDF5 file"):
            exitwave.open(file)
        for each in DIALECTS.all().values():
            if each.check:
                with pytest.raises(InputError):
                    each.check(file)


def test_the_error_for_an_ambiguous_energy_names_the_setting(tmp_path: Path) -> None:
    file = cxi.write(tmp_path / "a.cxi", cxi.plain(**{f"{cxi.SOURCE}/energy": 9.0}))
    with pytest.raises(InputError, match="--set energy=9keV"):
        exitwave.open(file)
    scan = exitwave.open(file, energy="9keV")
    assert isinstance(scan, Scan)
    assert scan.energy == 9000
    assert ("I304", path("energy")) in {(each.code, each.path) for each in scan.findings}
