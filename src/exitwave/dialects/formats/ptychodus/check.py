"""Whether ptychodus 1.7 could read a file, and what it would get wrong; from how its readers were seen to behave."""

from pathlib import Path
from typing import Any

import h5py

from exitwave.cxi.energy import HIGHEST, LOWEST
from exitwave.cxi.hdf import resolve, whole
from exitwave.cxi.mask import HAS_SIGNAL
from exitwave.dialects.formats.ptychodus.cxi import ENERGY, FRAMES, MASK, PIXEL, PLACES
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
_NUMBERS = (ENERGY, PLACES["@detector_object_distance_m"], *PIXEL)
_IGNORED = (
    "entry_1/instrument_1/detector_1/data_dark",
    "entry_1/instrument_1/detector_1/data_white",
    "entry_1/instrument_1/detector_1/saturation_value",
    "entry_1/instrument_1/detector_1/basis_vectors",
    "entry_1/instrument_1/beam_1/monitor",
)
_WRITE = "Write it with exitwave convert --to ptychodus"


def check(file: Path) -> list[Finding]:
    """Return what would go wrong if ptychodus read a file: diffraction, product, or CXI."""
    remarks: list[Finding] = []
    with open_arrays(file) as array_file:
        try:
            if "patterns" in array_file:
                _missing(array_file, _DIFFRACTION if isinstance(array_file, Hdf5Arrays) else ("patterns",), remarks)
            elif POSITIONS[0] in array_file or "probe_position_indexes" in array_file:
                _missing(array_file, _PRODUCT, remarks)
            elif isinstance(array_file, Hdf5Arrays) and isinstance(resolve(array_file.opened, "/entry_1"), h5py.Group):
                _check_cxi(array_file, remarks)
            else:
                remarks.append(finding("E121", "", "no patterns, product or CXI entry", "one of them", _WRITE))
        except InputError as error:
            remarks.append(finding("E121", "", f"{error.what}: {error.found}", "a file that can be read", error.remedy))
    return remarks


def _missing(array_file: ArrayFile, names: tuple[str, ...], remarks: list[Finding]) -> None:
    for name in names:
        place = archive_name(name) if isinstance(array_file, NpzArrays) else name
        legacy = name == "@photon_energy_eV" and isinstance(array_file, Hdf5Arrays) and "@probe_energy_eV" in array_file
        if place not in array_file and not legacy:
            remarks.append(finding("E121", place, "nothing", "an entry that ptychodus needs", _WRITE))


def _check_cxi(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    place = next((each for each in FRAMES if each in array_file), None)
    frames = None if place is None else _dataset(array_file, place)
    if frames is None or frames.ndim != 3:
        found = "nothing" if frames is None else f"shape {frames.shape}"
        remarks.append(finding("E121", FRAMES[0], found, "frames (N, y, x)", _WRITE))
    else:
        _check_mask(array_file, frames, remarks)
    _check_scalars(array_file, remarks)
    _check_energy(array_file, remarks)
    _check_positions(array_file, frames, remarks)
    _check_images(array_file, frames, remarks)
    for each in _IGNORED:
        if each in array_file:
            remarks.append(finding("W252", each, "an entry", "what ptychodus reads", "It takes no notice of it"))


def _dataset(array_file: Hdf5Arrays, name: str) -> Any:
    found = resolve(array_file.opened, f"/{name}")
    return found if isinstance(found, h5py.Dataset) else None


def _check_scalars(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    """Find numbers in an array of one, of which float() makes none since NumPy 2.4."""
    for place in _NUMBERS:
        number = _dataset(array_file, place)
        if number is None:
            remarks.append(finding("W252", place, "nothing", "a number", "Type it in after loading"))
        elif number.shape != ():
            remarks.append(finding("E121", place, f"shape {number.shape}", "a scalar, shape ()", _WRITE))


def _check_energy(array_file: Hdf5Arrays, remarks: list[Finding]) -> None:
    number = _dataset(array_file, ENERGY)
    if number is None or number.shape != () or number.dtype.kind not in "iuf":
        return
    energy = float(whole(number)) / ELEMENTARY_CHARGE
    if not LOWEST <= energy <= HIGHEST:
        found = f"{whole(number):g}, which it takes for joules: {energy:.3g} eV"
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
        found = f"{int((values == HAS_SIGNAL).sum())} good pixels with the bit 0x1000"
        remarks.append(finding("E122", MASK, found, "0 where a pixel is good", _WRITE))


def _check_positions(array_file: Hdf5Arrays, frames: Any, remarks: list[Finding]) -> None:
    place = PLACES[TRANSLATION]
    positions = _dataset(array_file, place)
    if positions is None:
        remarks.append(finding("E121", place, "nothing", "positions (N, 2 or 3)", _WRITE))
    elif positions.ndim != 2 or positions.shape[1] < 2:
        remarks.append(finding("E121", place, f"shape {positions.shape}", "positions (N, 2 or 3)", _WRITE))
    elif frames is not None and frames.ndim == 3 and len(positions) != len(frames):
        found = f"{len(positions)} positions for {len(frames)} frames"
        remarks.append(finding("E122", place, found, f"shape ({len(frames)}, 3)", _WRITE))


def _check_images(array_file: Hdf5Arrays, frames: Any, remarks: list[Finding]) -> None:
    """Positions, probe and object are read together, so all must be there; image_1 is the probe."""
    probe, image = _dataset(array_file, PLACES["probe"]), _dataset(array_file, PLACES["object"])
    if image is None:
        found = "nothing; positions and probe are read with it"
        remarks.append(finding("E121", PLACES["object"], found, "the object, which is not in image_1", _WRITE))
    if probe is not None and frames is not None and frames.ndim == 3 and probe.shape[-2:] != frames.shape[1:]:
        found = f"an array of shape {probe.shape}, which it takes for the probe"
        remarks.append(finding("E122", PLACES["probe"], found, f"a probe of {frames.shape[1:]}", _WRITE))
