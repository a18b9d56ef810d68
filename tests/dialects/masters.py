"""Files as an Eiger detector and its beamlines write them, made by hand from what is known of them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

SHAPE = (10, 12)
COUNTS = np.random.default_rng(3).poisson(5, (9, *SHAPE)).astype(np.uint32)
GAP = (slice(4, 5), slice(None))


def eiger(folder: Path, *, files: int = 3, links: int = 3, dtype: Any = "u4", chi: float = 0.0) -> Path:
    """Write scan_master.h5 with ``links`` links, of which ``files`` files of 3 frames are there; return it."""
    mark = np.iinfo(dtype).max
    for number in range(files):
        counts = COUNTS[3 * number : 3 * number + 3].astype(dtype)
        counts[:, *GAP] = mark
        with h5py.File(folder / f"scan_data_{number + 1:06d}.h5", "w") as file:
            file["entry/data/data"] = counts
    mask = np.zeros(SHAPE, np.uint32)
    mask[GAP], mask[0, 0], mask[1, 1] = 1, 2, 1 << 31
    master = folder / "scan_master.h5"
    with h5py.File(master, "w") as file:
        for number in range(1, links + 1):
            target = f"scan_data_{number:06d}.h5"
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(target, "/entry/data/data")
        detector = file.create_group("entry/instrument/detector")
        for name, value, unit in (
            ("detector_distance", 2.0, b"m"),
            ("x_pixel_size", 75e-6, b"m"),
            ("y_pixel_size", 75e-6, b"m"),
            ("beam_center_x", 6.5, b"pixel"),
            ("beam_center_y", 4.0, b"pixel"),
            ("detectorSpecific/photon_energy", 8800.0, b"eV"),
        ):
            detector[name] = np.float32(value)
            detector[name].attrs["units"] = np.bytes_(unit)
        detector["detectorSpecific/pixel_mask"] = mask
        file["entry/sample/goniometer/chi"] = np.array([chi], np.float32)
    return master


def text(file: Path, rows: Any, head: str = "", separator: str = ",") -> Path:
    """Write rows of numbers below a header."""
    file.write_text(head + "".join(separator.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return file
