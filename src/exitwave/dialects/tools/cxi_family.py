"""Shared by the variants of CXI: detection, the reader, and a writer whose file is amended for another program."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.energy import JOULES
from exitwave.cxi.hdf import Layout, members, open_file, reading, resolve, text, whole
from exitwave.cxi.mask import cxi_bits
from exitwave.cxi.read import DEFAULT_LAYOUT, read
from exitwave.cxi.schema import ENTRY, OBJECT, TABLE, path
from exitwave.cxi.write import write_result, write_scan
from exitwave.dialects.dialect import Evidence, Settings, Strength, Written
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.scan import Result, Scan, scan_in, with_scan
from exitwave.units import ELEMENTARY_CHARGE

WRITTEN_FOR = "exitwave_dialect"
"""Attribute of the root with the file format that Exitwave wrote; other programs ignore it."""
MOST_NUMBERS = 10**6
"""Largest number of energies that are read: more are not one for each frame."""
AXES = "translation:y:x"
"""Names of the dimensions of a stack of frames in CXI."""

Amend = Callable[[h5py.File, Scan | Result], list[Finding]]
"""Changes a file after the schema into one of another program; returns findings on what is lost."""


def detect_with(name: str, test: Callable[[h5py.File], Evidence | None]) -> Callable[[Path], Evidence | None]:
    """Return a function ``detect`` that accepts files written for ``name``, and files that ``test`` accepts."""

    def detect(file: Path) -> Evidence | None:
        try:
            with open_file(file) as opened:
                made_for = written_for(opened)
                if made_for:
                    return Evidence(Strength.MARK, f"written for {name}") if made_for == name else None
                return None if is_from_ptychodus(opened) else test(opened)
        except Exception:  # h5py raises many types for a damaged file
            return None

    return detect


def written_for(file: h5py.File) -> str:
    """Return the file format for which Exitwave wrote a file, or an empty string."""
    return text(file.attrs.get(WRITTEN_FOR))


def is_from_ptychodus(file: h5py.File) -> bool:
    """Return whether a CXI file is from ptychodus: its first image is the probe, the second the object."""
    first, second = (file.get(f"{ENTRY}/image_{n}/data") for n in (1, 2))
    both = isinstance(first, h5py.Dataset) and isinstance(second, h5py.Dataset)
    return f"{ENTRY}/ptychodus" in file or (both and first.ndim == 4)


def in_joules(file: h5py.File) -> bool:
    """Return whether the energy of a CXI file is in joules, by its unit or by its magnitude."""
    energy = resolve(file, path("energy"))
    if not isinstance(energy, h5py.Dataset) or not 0 < (energy.size or 0) <= MOST_NUMBERS or energy.dtype.kind != "f":
        return False
    largest = float(np.max(whole(energy)))
    return text(energy.attrs.get("units")).strip() in ("J", "joule", "joules") or 0 < largest < JOULES


def read_cxi(
    file: Path, settings: Settings, layout: Layout = DEFAULT_LAYOUT, normal: tuple[str, ...] = ()
) -> Scan | Result:
    """Read a CXI file by `exitwave.cxi.read.read`, without findings on what is ``normal``: these codes, and joules."""
    data = read(file, settings, layout)
    scan = scan_in(data)
    findings = tuple(each for each in scan.findings if each.code not in ("W201", *normal))
    return with_scan(data, replace(scan, findings=findings))


def image_layout(file: Path) -> Layout:
    """Return the layout of a file with several images: the object is the last that is complex and in real space."""
    last = 0
    with reading(file) as opened:
        for name in members(resolve(opened, ENTRY)):
            head, _, number = name.rpartition("_")
            if head == "image" and number.isdecimal() and _is_object(resolve(opened, f"{ENTRY}/{name}")):
                last = max(last, int(number))
    moved = {each.key: (each.path.replace("image_1", f"image_{last}"),) for each in TABLE if OBJECT in each.path}
    return replace(DEFAULT_LAYOUT, paths=dict(DEFAULT_LAYOUT.paths) | moved)


def _is_object(image: Any) -> bool:
    data = image.get("data") if isinstance(image, h5py.Group) else None
    complex_image = isinstance(data, h5py.Dataset) and data.dtype.kind == "c"
    return complex_image and text(image.get("data_space")) != "diffraction"


def write_with(name: str, amend: Amend) -> Callable[[Scan | Result, Path, bool], Written]:
    """Return a function ``write`` that writes a file after the schema and applies ``amend`` to it."""

    def write(data: Scan | Result, target: Path, overwrite: bool) -> Written:
        lost = _shared_losses(scan_in(data), name)

        def change(file: h5py.File) -> None:
            file.attrs[WRITTEN_FOR] = name
            lost.extend(amend(file, data))

        if isinstance(data, Result):
            findings = write_result(data, target, overwrite=overwrite, embed=True, amend=change)
        else:
            findings = write_scan(data, target, overwrite=overwrite, amend=change)
        return Written((target,), (*findings, *lost))

    return write


def _shared_losses(scan: Scan, name: str) -> list[Finding]:
    """Return findings on data that no variant of CXI can hold."""
    lost = []
    unused = len(scan.patterns) - len(scan.used_frames)
    if unused:
        remedy = f"{name} will use them; remove them from the scan first"
        lost.append(finding("W251", path("left_out"), f"{unused} frames that are left out", "none", remedy))
    if scan.detector.mask.ndim == 3:
        remedy = "One mask was written: a pixel that is bad in any frame is bad in all"
        lost.append(finding("W251", path("frame_mask"), "a mask for each frame", "one mask", remedy))
    return lost


def replace_dataset(file: h5py.File, path: str, value: Any, units: str = "") -> h5py.Dataset:
    """Write a small dataset; replace an existing entry."""
    if path in file:
        del file[path]
    dataset = file.create_dataset(path, data=value, track_times=False)
    if units:
        dataset.attrs["units"] = units
    return dataset


def replace_link(file: h5py.File, path: str, target: str) -> None:
    """Write a soft link; replace an existing entry."""
    if file.get(path, getlink=True) is not None:
        del file[path]
    file[path] = h5py.SoftLink(target)


def amend_energy(file: h5py.File, scan: Scan) -> None:
    """Write the energy in joules."""
    replace_dataset(file, path("energy"), scan.energy * ELEMENTARY_CHARGE, "J")
    file[path("source")].attrs.pop("units", None)


def amend_axes(file: h5py.File) -> None:
    """Write the names of the dimensions of the frames."""
    file[path("frames")].attrs["axes"] = np.bytes_(AXES)


def amend_mask(file: h5py.File, scan: Scan) -> None:
    """Write the mask as CXI bits."""
    replace_dataset(file, path("mask"), cxi_bits(~scan.detector.always_good, scan.detector.pixel_mask))


def default_basis(scan: Scan) -> Any:
    """Return the default ``basis_vectors`` of CXI in metres, shape (2, 3): rows along -y, columns along -x."""
    py, px = scan.detector.pixel_size
    return np.array([[0, -py, 0], [-px, 0, 0]])
