"""Check whether ptychodus 1.7 can read a file and what it would misread, from the observed behaviour of its readers."""

from pathlib import Path
from typing import Any

import h5py

from exitwave.cxi.energy import HIGHEST, LOWEST
from exitwave.cxi.hdf import resolve, whole
from exitwave.cxi.mask import HAS_SIGNAL
from exitwave.dialects.formats.ptychodus.cxi import ENERGY, FRAMES, MASK, PATHS, PIXEL
from exitwave.dialects.tools.array_file import ArrayFile, Hdf5Arrays, NpzArrays, open_arrays
from exitwave.dialects.tools.product import POSITIONS, TRANSLATION, archive_name
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.units import ELEMENTARY_CHARGE

_DIFFRACTION = (
    "patterns",
    "indexes",
    "bad_pixels",
    "patterns@detector_pixel_width_m",
    "patterns@detector_pixel_height_m",
)
_PRODUCT = (
    "@detector_object_distance_m", "@photon_energy_eV", "object", "object@center_x_m", "object@center_y_m",
    "object@pixel_height_m", "object@pixel_width_m", "probe", "probe_position_indexes", *POSITIONS,
)  # fmt: skip
_NUMBERS = (ENERGY, PATHS["@detector_object_distance_m"], *PIXEL)
_IGNORED = (
    "entry_1/instrument_1/detector_1/data_dark",
    "entry_1/instrument_1/detector_1/data_white",
    "entry_1/instrument_1/detector_1/saturation_value",
    "entry_1/instrument_1/detector_1/basis_vectors",
    "entry_1/instrument_1/beam_1/monitor",
)
_WRITE = "Write it with exitwave convert --to ptychodus"


def check(file: Path) -> list[Finding]:
    """Return findings on what ptychodus cannot read or reads wrongly; the file is a scan, a product, or CXI."""
    remarks: list[Finding] = []
    with open_arrays(file) as array_file:
        try:
            if "patterns" in array_file:
                required = _DIFFRACTION if isinstance(array_file, Hdf5Arrays) else ("patterns",)
                _check_entries(array_file, required, remarks)
            elif POSITIONS[0] in array_file or "probe_position_indexes" in array_file:
                _check_entries(array_file, _PRODUCT, remarks)
            elif isinstance(array_file, Hdf5Arrays) and isinstance(resolve(array_file.opened, "/entry_1"), h5py.Group):
                _check_cxi(array_file, remarks)
            else:
                remarks.append(finding("E121", "", "none of them", "patterns, a product or a CXI entry", _WRITE))
        except InputError as error:
            remarks.append(finding("E121", "", f"{error.what}: {error.found}", "a file that can be read", error.remedy))
    return remarks


def _check_entries(array_file: ArrayFile, names: tuple[str, ...], remarks: list[Finding]) -> None:
    """Require the entries of some names."""
    for name in names:
        stored_as = archive_name(name) if isinstance(array_file, NpzArrays) else name
        legacy = name == "@photon_energy_eV" and isinstance(array_file, Hdf5Arrays) and "@probe_energy_eV" in array_file
        if stored_as not in array_file and not legacy:
            remarks.append(finding("E121", stored_as, "nothing", "an entry that ptychodus requires", _WRITE))


def _check_cxi(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    """Check the entries of a CXI file that ptychodus reads."""
    path = next((name for name in FRAMES if name in array_file), None)
    frames = None if path is None else _dataset(array_file, path)
    if frames is None or frames.ndim != 3:
        found = "nothing" if frames is None else f"shape {frames.shape}"
        remarks.append(finding("E121", FRAMES[0], found, "patterns of shape (N, y, x)", _WRITE))
    else:
        _check_mask(array_file, frames, remarks)
    _check_scalars(array_file, remarks)
    _check_energy(array_file, remarks)
    _check_positions(array_file, frames, remarks)
    _check_images(array_file, frames, remarks)
    for name in _IGNORED:
        if name in array_file:
            remarks.append(finding("W252", name, "an entry", "nothing, because ptychodus ignores it"))


def _dataset(array_file: Hdf5Arrays, name: str) -> Any:
    found = resolve(array_file.opened, f"/{name}")
    return found if isinstance(found, h5py.Dataset) else None


def _check_scalars(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    """Find numbers that are stored as arrays of one element, which float() refuses since NumPy 2.4."""
    for name in _NUMBERS:
        number = _dataset(array_file, name)
        if number is None:
            remarks.append(finding("W252", name, "nothing", "a number", "Enter it in ptychodus after loading"))
        elif number.shape != ():
            remarks.append(finding("E121", name, f"shape {number.shape}", "a scalar, shape ()", _WRITE))


def _check_energy(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    number = _dataset(array_file, ENERGY)
    if number is None or number.shape != () or number.dtype.kind not in "iuf":
        return
    energy = float(whole(number)) / ELEMENTARY_CHARGE
    if not LOWEST <= energy <= HIGHEST:
        found = f"{whole(number):g}, which ptychodus reads as joules: {energy:.3g} eV"
        remarks.append(finding("E122", ENERGY, found, "joules", _WRITE))


def _check_mask(array_file: Hdf5Arrays, frames: Any, remarks: list[Finding]) -> None:
    mask = _dataset(array_file, MASK)
    if mask is None:
        return
    if mask.shape != frames.shape[1:]:
        remarks.append(finding("E121", MASK, f"shape {mask.shape}", f"shape {frames.shape[1:]}", _WRITE))
        return
    values = array_file.array(MASK)
    if values is not None and values.dtype.kind in "iu" and (values == HAS_SIGNAL).any():
        found = f"{int((values == HAS_SIGNAL).sum())} good pixels with the value 0x1000"
        remarks.append(finding("E122", MASK, found, "0 for a good pixel", _WRITE))


def _check_positions(array_file: Hdf5Arrays, frames: Any, remarks: list[Finding]) -> None:
    path, expected = PATHS[TRANSLATION], "positions of shape (N, 2) or (N, 3)"
    positions = _dataset(array_file, path)
    if positions is None:
        remarks.append(finding("E121", path, "nothing", expected, _WRITE))
    elif positions.ndim != 2 or positions.shape[1] < 2:
        remarks.append(finding("E121", path, f"shape {positions.shape}", expected, _WRITE))
    elif frames is not None and frames.ndim == 3 and len(positions) != len(frames):
        found = f"{len(positions)} positions for {len(frames)} frames"
        remarks.append(finding("E122", path, found, f"shape ({len(frames)}, 3)", _WRITE))


def _check_images(array_file: Hdf5Arrays, frames: Any, remarks: list[Finding]) -> None:
    """Check probe (image_1) and object (image_2). ptychodus reads positions, probe and object only together."""
    probe, image = _dataset(array_file, PATHS["probe"]), _dataset(array_file, PATHS["object"])
    if image is None:
        found = "nothing; ptychodus reads positions and probe only together with the object"
        remarks.append(finding("E121", PATHS["object"], found, "the object in image_2", _WRITE))
    if probe is not None and frames is not None and frames.ndim == 3 and probe.shape[-2:] != frames.shape[1:]:
        found = f"an array of shape {probe.shape}, which ptychodus reads as the probe"
        remarks.append(finding("E122", PATHS["probe"], found, f"a probe of shape {frames.shape[1:]}", _WRITE))
