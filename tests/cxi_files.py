"""Files of the CXI family as other programs write them, made without the writer of the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

NPOS, NY, NX = 7, 10, 12
ENERGY = 9000.0
JOULES = ENERGY * 1.602176634e-19
WAVELENGTH = 1.23984198e-6 / ENERGY
DISTANCE, PIXEL = 2.0, 75e-6
FRAMES = np.random.default_rng(7).poisson(3, (NPOS, NY, NX)).astype(np.int32)
POSITIONS = np.stack([np.arange(7) * 1e-7, 3e-7 - np.arange(7) ** 2 * 2e-8, np.zeros(7)], axis=1)
BAD = np.zeros((NY, NX), bool)
BAD[2, 3:5] = True
PROBE = (np.random.default_rng(8).normal(size=(NY, NX, 2)) @ [1, 1j]).astype(np.complex64)
OBJECT = (np.random.default_rng(9).normal(size=(31, 29, 2)) @ [1, 1j]).astype(np.complex64)

DETECTOR = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"
GEOMETRY = "entry_1/sample_1/geometry_1"


def write(file: Path, entries: dict[str, Any], change: Callable[[h5py.File], None] | None = None) -> Path:
    """Write datasets by path. A value that starts with ``->`` is a soft link; a path with ``@`` is an attribute."""
    with h5py.File(file, "w") as opened:
        for place, value in entries.items():
            owner, _, attribute = place.partition("@")
            if attribute:
                opened[owner or "/"].attrs[attribute] = value
            elif isinstance(value, str) and value.startswith("->"):
                opened[place] = h5py.SoftLink(value[2:])
            else:
                opened[place] = value
        if change:
            change(opened)
    return file


def plain(**others: Any) -> dict[str, Any]:
    """Return the entries of all variants, updated by ``others``, without those that are None."""
    entries = {
        "cxi_version": 140,
        f"{SOURCE}/energy": JOULES,
        f"{DETECTOR}/data": FRAMES,
        f"{DETECTOR}/distance": DISTANCE,
        f"{DETECTOR}/x_pixel_size": PIXEL,
        f"{DETECTOR}/y_pixel_size": PIXEL,
        f"{GEOMETRY}/translation": POSITIONS,
        "entry_1/data_1/data": f"->/{DETECTOR}/data",
        "entry_1/data_1/translation": f"->/{GEOMETRY}/translation",
    }
    return {place: value for place, value in (entries | others).items() if value is not None}
