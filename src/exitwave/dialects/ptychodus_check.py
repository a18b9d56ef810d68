"""Whether ptychodus 1.7 could read a file, and what it would get wrong; from how its readers were seen to behave."""

from pathlib import Path
from typing import Any

import h5py

from exitwave.cxi.energy import HIGHEST, LOWEST
from exitwave.cxi.hdf import resolve, whole
from exitwave.cxi.mask import HAS_SIGNAL
from exitwave.dialects.product import POSITIONS, TRANSLATION, in_archive
from exitwave.dialects.ptychodus_cxi import ENERGY, FRAMES, MASK, PIXEL, PLACES
from exitwave.dialects.store import Hdf5, Npz, Store, opened
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
    with opened(file) as store:
        try:
            if "patterns" in store:
                _missing(store, _DIFFRACTION if isinstance(store, Hdf5) else ("patterns",), remarks)
            elif POSITIONS[0] in store or "probe_position_indexes" in store:
                _missing(store, _PRODUCT, remarks)
            elif isinstance(store, Hdf5) and isinstance(resolve(store.opened, "/entry_1"), h5py.Group):
                _check_cxi(store, remarks)
            else:
                remarks.append(finding("E121", "", "no patterns, product or CXI entry", "one of them", _WRITE))
        except InputError as error:
            remarks.append(finding("E121", "", f"{error.what}: {error.found}", "a file that can be read", error.remedy))
    return remarks


def _missing(store: Store, names: tuple[str, ...], remarks: list[Finding]) -> None:
    for name in names:
        place = in_archive(name) if isinstance(store, Npz) else name
        legacy = name == "@photon_energy_eV" and isinstance(store, Hdf5) and "@probe_energy_eV" in store
        if place not in store and not legacy:
            remarks.append(finding("E121", place, "nothing", "an entry that ptychodus needs", _WRITE))


def _check_cxi(store: Hdf5, remarks: list[Finding]) -> None:
    place = next((each for each in FRAMES if each in store), None)
    frames = None if place is None else _dataset(store, place)
    if frames is None or frames.ndim != 3:
        found = "nothing" if frames is None else f"shape {frames.shape}"
        remarks.append(finding("E121", FRAMES[0], found, "frames (N, y, x)", _WRITE))
    else:
        _check_mask(store, frames, remarks)
    _check_scalars(store, remarks)
    _check_energy(store, remarks)
    _check_positions(store, frames, remarks)
    _check_images(store, frames, remarks)
    for each in _IGNORED:
        if each in store:
            remarks.append(finding("W252", each, "an entry", "what ptychodus reads", "It takes no notice of it"))


def _dataset(store: Hdf5, name: str) -> Any:
    found = resolve(store.opened, f"/{name}")
    return found if isinstance(found, h5py.Dataset) else None


def _check_scalars(store: Hdf5, remarks: list[Finding]) -> None:
    """Find numbers in an array of one, of which float() makes none since NumPy 2.4."""
    for place in _NUMBERS:
        number = _dataset(store, place)
        if number is None:
            remarks.append(finding("W252", place, "nothing", "a number", "Type it in after loading"))
        elif number.shape != ():
            remarks.append(finding("E121", place, f"shape {number.shape}", "a scalar, shape ()", _WRITE))


def _check_energy(store: Hdf5, remarks: list[Finding]) -> None:
    number = _dataset(store, ENERGY)
    if number is None or number.shape != () or number.dtype.kind not in "iuf":
        return
    energy = float(whole(number)) / ELEMENTARY_CHARGE
    if not LOWEST <= energy <= HIGHEST:
        found = f"{whole(number):g}, which it takes for joules: {energy:.3g} eV"
        remarks.append(finding("E122", ENERGY, found, "joules", _WRITE))


def _check_mask(store: Hdf5, frames: Any, remarks: list[Finding]) -> None:
    mask = _dataset(store, MASK)
    if mask is None:
        return
    if mask.shape != frames.shape[1:]:
        remarks.append(finding("E121", MASK, f"shape {mask.shape}", f"shape {frames.shape[1:]}", _WRITE))
        return
    values = store.array(MASK)
    if values is not None and values.dtype.kind in "iu" and (values == HAS_SIGNAL).any():
        found = f"{int((values == HAS_SIGNAL).sum())} good pixels with the bit 0x1000"
        remarks.append(finding("E122", MASK, found, "0 where a pixel is good", _WRITE))


def _check_positions(store: Hdf5, frames: Any, remarks: list[Finding]) -> None:
    place = PLACES[TRANSLATION]
    positions = _dataset(store, place)
    if positions is None:
        remarks.append(finding("E121", place, "nothing", "positions (N, 2 or 3)", _WRITE))
    elif positions.ndim != 2 or positions.shape[1] < 2:
        remarks.append(finding("E121", place, f"shape {positions.shape}", "positions (N, 2 or 3)", _WRITE))
    elif frames is not None and frames.ndim == 3 and len(positions) != len(frames):
        found = f"{len(positions)} positions for {len(frames)} frames"
        remarks.append(finding("E122", place, found, f"shape ({len(frames)}, 3)", _WRITE))


def _check_images(store: Hdf5, frames: Any, remarks: list[Finding]) -> None:
    """Positions, probe and object are read together, so all must be there; image_1 is the probe."""
    probe, image = _dataset(store, PLACES["probe"]), _dataset(store, PLACES["object"])
    if image is None:
        found = "nothing; positions and probe are read with it"
        remarks.append(finding("E121", PLACES["object"], found, "the object, which is not in image_1", _WRITE))
    if probe is not None and frames is not None and frames.ndim == 3 and probe.shape[-2:] != frames.shape[1:]:
        found = f"an array of shape {probe.shape}, which it takes for the probe"
        remarks.append(finding("E122", PLACES["probe"], found, f"a probe of {frames.shape[1:]}", _WRITE))
