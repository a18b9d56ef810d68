"""Examples of files that beamlines and their programs write."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

SHAPE = (10, 12)
COUNTS = np.random.default_rng(3).poisson(5, (9, *SHAPE)).astype(np.uint32)
GAP = (slice(4, 5), slice(None))
TRIGGERS = np.repeat(np.arange(5, 14), 4)
POSITIONS = np.random.default_rng(5).normal(size=(9, 2)) * 2
"""Positions (x, y) in um."""


def eiger(folder: Path, *, files: int = 3, links: int = 3, dtype: Any = "u4", chi: float = 0.0) -> Path:
    """Write scan_master.h5 with ``links`` links, of which ``files`` files of 3 frames exist; return it."""
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
    """Write a text file with rows of numbers below a header; return it."""
    file.write_text(head + "".join(separator.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return file


def velociprobe(folder: Path, rows: Any = None, chi: float = 30.0) -> Path:
    """Write a master file and scan.csv with four rows for each of nine triggers; return the master file."""
    text(folder / "scan.csv", velociprobe_rows() if rows is None else rows)
    return eiger(folder, chi=chi)


def velociprobe_rows() -> Any:
    """Return the rows of a text file of the Velociprobe, integers in nm."""
    rows = np.random.default_rng(6).integers(-4000, 4000, (len(TRIGGERS), 8))
    rows[:, 7] = TRIGGERS
    return rows


def lynx_rows() -> Any:
    """Return the rows of a text file of LYNX, in um."""
    rows = np.random.default_rng(7).normal(size=(9, 18))
    rows[:, 0] = np.arange(9)
    return rows


def lynx(folder: Path) -> Path:
    """Write lynx.h5 and lynx.dat; detector row 2 has the largest count of 12 bits, row 3 that of the type."""
    names = "DataPoint TotalPoints Target_x Average_x_st_fzp Stdev_x_st_fzp Target_y Average_y_st_fzp"
    text(folder / "lynx.dat", lynx_rows(), f"LYNX scan, 7\n{names}{' more' * 11}\n", " ")
    counts = COUNTS.astype("u2")
    counts[:, 2], counts[:, 3], counts[0, 5, 5] = 4095, 65535, 4095
    with h5py.File(folder / "lynx.h5", "w") as file:
        stack = file.create_dataset("entry/data/eiger_4", data=counts)
        stack.attrs["Pixel_size"] = np.array([75e-6])
        stack.attrs["Count_cutoff"] = np.array([19998])
        stack.attrs["Photon_energy_kev"] = np.array([8.8])
        stack.attrs["Center_x_pixel"], stack.attrs["Center_y_pixel"] = np.array([6]), np.array([4])
    return folder / "lynx.h5"


def hxn(folder: Path, angle: float = 0.0) -> Path:
    """Write a file of HXN's program: amplitudes (N, x, y) with the zero frequency at [0, 0]; return it."""
    with h5py.File(folder / "scan_1.h5", "w") as file:
        file["diffamp"] = np.sqrt(np.fft.ifftshift(COUNTS.astype(float).swapaxes(1, 2), axes=(1, 2)))
        file["points"], file["angle"] = POSITIONS.T, angle
        file["z_m"], file["lambda_nm"], file["ccd_pixel_um"] = 2.05, 0.137, 75.0
    return folder / "scan_1.h5"


def hxn_matlab(folder: Path, probe: Any, image: Any) -> Path:
    """Write a MATLAB file of HXN with a result; return it."""
    pair = np.dtype([("real", "f8"), ("imag", "f8")])
    with h5py.File(folder / "scan.mat", "w") as file:
        file["det_data"] = COUNTS.astype("u2")
        file["det_dist"], file["det_pixel_size"], file["energy"] = [[2.05e6]], [[75.0]], [[9.05]]
        file["pos_xy"] = np.concatenate([np.arange(9)[None], POSITIONS.T])
        for name, wave in (("prb", probe), ("obj", image)):
            file[name] = np.rec.fromarrays([wave.real, wave.imag], dtype=pair)
    return folder / "scan.mat"


def foldslice(folder: Path, wavelength: float = 1.24e-10, pixel: float = 20e-9) -> Path:
    """Write the pair of PtychoShelves; return the file of the patterns."""
    with h5py.File(folder / "data_roi0_dp.hdf5", "w") as file:
        file["dp"] = COUNTS.astype("f4")
    with h5py.File(folder / "data_roi0_para.hdf5", "w") as file:
        file["ppX"], file["ppY"] = 1e-6 * POSITIONS[:, :1], 1e-6 * POSITIONS.T[1:]
        file["lambda"], file["dx"], file["angle"] = [[wavelength]], [[pixel]], [[0.0]]
    return folder / "data_roi0_dp.hdf5"


MAP = """file: raw.h5
frames: {path: /frames, axes: [y, frame, x], zero_frequency: corner}
positions: {x: /x, y: /y, unit: um, negate: x}
energy: 8.8 keV
distance: {path: /z}
pixel_size: {path: /pixel, unit: um}
mask: {path: /good, bad: zero}
"""


def mapped(folder: Path) -> Path:
    """Write raw.h5 and its map; return the map."""
    with h5py.File(folder / "raw.h5", "w") as file:
        file["frames"] = np.fft.ifftshift(COUNTS, axes=(1, 2)).swapaxes(0, 1)
        file["x"], file["y"], file["pixel"], file["z"] = POSITIONS[:, 0], POSITIONS[:, 1], 75.0, 1900.0
        file["z"].attrs["units"], file["good"] = "mm", np.ones(SHAPE, bool)
    (folder / "scan.yaml").write_text(MAP, encoding="utf-8")
    return folder / "scan.yaml"
