"""Inputs and outputs that cannot be used: how to make each from a valid file, and the expected message or finding."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.schema import BY_KEY, path

Change = Callable[[Path], None]


@dataclass(frozen=True)
class BadInput:
    """An error in a file: refused with a message that contains ``refusal``, or repaired with the finding ``code``."""

    name: str
    corrupt: Change
    refusal: str = ""
    code: str = ""
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class BadOutput:
    """An output that cannot be written: ``prepare(input)`` returns its path, and the message contains ``refusal``."""

    name: str
    prepare: Callable[[Path], Path]
    refusal: str
    yields_to_overwrite: bool = False
    needs_permissions: bool = False

    def refused(self, overwrite: bool) -> bool:
        return not (overwrite and self.yields_to_overwrite)


def inside(change: Callable[[h5py.File], None]) -> Change:
    """Return a change of a file, from a change of the open file."""

    def corrupt(file: Path) -> None:
        with h5py.File(file, "r+") as opened:
            change(opened)

    return corrupt


def put(key: str, value: Any, units: str | None = None, **options: Any) -> Change:
    """Return a change that writes a new value; a function computes it from the old value."""

    def change(file: h5py.File) -> None:
        name = path(key)
        old = file[name][()] if name in file else None
        if name in file:
            del file[name]
        dataset = file.create_dataset(name, data=value(old) if callable(value) else value, **options)
        if units is not None:
            dataset.attrs["units"] = units
        elif BY_KEY[key].group_units:
            file[BY_KEY[key].owner].attrs.pop("units", None)

    return inside(change)


def drop(*keys: str) -> Change:
    """Return a change that deletes entries."""

    def change(file: h5py.File) -> None:
        for key in keys:
            del file[path(key)]

    return inside(change)


def relink(key: str, link: Any) -> Change:
    """Return a change that replaces an entry by a link."""

    def change(file: h5py.File) -> None:
        del file[path(key)]
        file[path(key)] = link

    return inside(change)


def _move_frames(file: h5py.File) -> None:
    file.move(path("frames"), "/entry_1/stack")


def _virtual(file: h5py.File) -> None:
    shape = file[path("frames")].shape
    layout = h5py.VirtualLayout(shape, "float32")
    layout[...] = h5py.VirtualSource("missing_source.h5", "data", shape)
    del file[path("frames")]
    file.create_virtual_dataset(path("frames"), layout)


def _unknown_filter(file: h5py.File) -> None:
    shape = file[path("frames")].shape
    del file[path("frames")]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, *shape[1:]))
    plist.set_filter(40123, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(shape)
    name = path("frames").encode()
    h5py.h5d.create(file.id, name, h5py.h5t.IEEE_F32LE, space, plist)


def _machine_energy(file: h5py.File) -> None:
    file[path("energy")][()] = 6e9
    file[path("energy")].attrs["units"] = "eV"


def _storage_ring_only(file: h5py.File) -> None:
    _machine_energy(file)
    del file[path("beam")], file[path("wavelength")]


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _nan_position(old: Any) -> Any:
    return np.where(np.arange(len(old))[:, None] == 5, np.nan, old)


def _nan_positions(old: Any) -> Any:
    return np.full_like(old, np.nan)


def _far_position(old: Any) -> Any:
    return np.where(np.arange(len(old))[:, None] == 5, 0.3, old)


def _odd_basis(file: h5py.File) -> None:
    file[path("basis_vectors")] = np.array([[75e-6, 0, 0], [0, 55e-6, 0]])


BASIS = np.array([[0, -75e-6, 0], [55e-6, 0, 0]])


def _mirrored(file: h5py.File) -> None:
    file[path("basis_vectors")] = BASIS
    file[path("positions")][:, 0] *= -1


HC_JOULES = 8800.25 * 1.602176634e-19

BAD_INPUTS = (
    BadInput("not HDF5", lambda file: file.write_text("x,y\n1,2\n" * 500), "not an HDF5 file"),
    BadInput("empty", lambda file: file.write_bytes(b""), "not an HDF5 file"),
    BadInput("truncated", _truncate, "truncated"),
    BadInput("absent", lambda file: file.unlink(), "does not exist"),
    BadInput("no frames", drop("data_frames", "frames"), "no patterns"),
    BadInput("no frames, but a link to them", drop("frames"), "The link has no target"),
    BadInput("frames at another path", inside(_move_frames), "/entry_1/stack (200, 64, 64)"),
    BadInput("no positions", drop("positions", "data_positions", "detector_positions"), "no positions"),
    BadInput("no distance", drop("distance"), "--set distance=2m"),
    BadInput("no pixel size", drop("x_pixel_size"), "--set pixel_size=75um"),
    BadInput("frames of two dimensions", put("frames", np.zeros((64, 64), "f4")), "not a stack"),
    BadInput("frames of a raster", put("frames", lambda old: old.reshape(10, 20, 64, 64)), code="I308"),
    BadInput("frames of another raster", put("frames", np.zeros((9, 20, 8, 8), "f4")), "180 frames and 200 positions"),
    BadInput("frames of five dimensions", put("frames", np.zeros((2, 5, 20, 8, 8), "f4")), "not a stack"),
    BadInput("complex frames", put("frames", np.zeros((200, 8, 8), "c8")), "not real counts"),
    BadInput("text for frames", put("frames", np.full((200, 2, 2), b"x", "S1")), "not real counts"),
    BadInput("no frame", put("frames", np.zeros((0, 64, 64), "f4")), "too few"),
    BadInput("one frame", put("frames", np.zeros((1, 64, 64), "f4")), "too few"),
    BadInput("more frames", put("frames", np.zeros((203, 64, 64), "f4")), "203 frames and 200 positions"),
    BadInput("more positions", put("positions", np.zeros((207, 3)), "m"), "200 frames and 207 positions"),
    BadInput("positions of four columns", put("positions", np.zeros((200, 4)), "m"), "wrong shape"),
    BadInput("positions with NaN", put("positions", _nan_position, "m"), code="W243"),
    BadInput("positions of NaN", put("positions", _nan_positions, "m"), "the first at index 0"),
    BadInput("a position far away", put("positions", _far_position, "m"), code="W244"),
    BadInput("positions (3, N)", put("positions", np.transpose, "m"), code="W205"),
    BadInput("positions (2, N)", put("positions", lambda old: old[:, :2].T, "m"), code="W205"),
    BadInput("positions (N, 2)", put("positions", lambda old: old[:, :2], "m"), code="I303"),
    BadInput("positions in um, with a unit", put("positions", lambda old: old * 1e6, "um"), code="W204"),
    BadInput("positions in um, without a unit", put("positions", lambda old: old * 1e6), "--set positions=um"),
    BadInput("positions in um, corrected", put("positions", lambda old: old * 1e6), code="I304",
             settings=(("positions", "um"),)),
    BadInput("positions in furlongs", put("positions", lambda old: old, "furlong"), "Unknown unit of length"),
    BadInput("energy 0", put("energy", 0.0, "eV"), "photon energy is impossible"),
    BadInput("energy NaN", put("energy", np.nan, "eV"), "photon energy is impossible"),
    BadInput("energy negative", put("energy", -8800.0, "eV"), "photon energy is impossible"),
    BadInput("energy in keV, with a unit", put("energy", 8.80025, "keV"), code="W201"),
    BadInput("energy in keV, without a unit", put("energy", 8.80025), "--set energy=8.80025keV"),
    BadInput("energy in keV, called eV", put("energy", 8.80025, "eV"), "--set energy=8.80025keV"),
    BadInput("energy in keV, corrected", put("energy", 8.80025), code="I304", settings=(("energy", "8.80025keV"),)),
    BadInput("energy in J, with a unit", put("energy", HC_JOULES, "J"), code="W201"),
    BadInput("energy in J, without a unit", put("energy", HC_JOULES), code="W201"),
    BadInput("energy of the ring, photon energy in beam_1", inside(_machine_energy), code="W202"),
    BadInput("only the energy of the ring", inside(_storage_ring_only), "storage ring"),
    BadInput("energy missing", drop("energy"), code="I305"),
    BadInput("energy and wavelength differ", put("wavelength", 1e-10, "m"), code="W203"),
    BadInput("energies that differ", put("energy", np.linspace(8000, 9000, 200), "eV"), "One number is needed"),
    BadInput("mask inverted", put("mask", lambda old: 1 - old), "--set mask=inverted"),
    BadInput("mask inverted, corrected", put("mask", lambda old: 1 - old), code="I304",
             settings=(("mask", "inverted"),)),
    BadInput("mask of another shape", put("mask", np.zeros((32, 64), "u1")), "(32, 64), patterns of shape (64, 64)"),
    BadInput("mask for each frame", put("mask", lambda old: np.repeat(old[None], 200, axis=0)), code="I302"),
    BadInput("mask of CXI bits", put("mask", lambda old: np.where(old, 0x1008, 0x1000).astype("u4")), code="I302"),
    BadInput("mask without a good pixel", put("mask", np.ones((64, 64), "u1")), "no good pixel"),
    BadInput("distance 0", put("distance", 0.0), "must be positive"),
    BadInput("distance in mm", put("distance", 2000.0), "impossible object pixel"),
    BadInput("pixel size in um", put("x_pixel_size", 75.0), "impossible object pixel"),
    BadInput("detector turned", inside(_odd_basis), "orientation of the detector"),
    BadInput("detector mirrored", inside(_mirrored), code="W206"),
    BadInput("dangling soft link", relink("frames", h5py.SoftLink("/nowhere")), "The link has no target"),
    BadInput("dangling external link", relink("frames", h5py.ExternalLink("gone.h5", "/data")), "gone.h5:/data"),
    BadInput("links in a loop", relink("frames", h5py.SoftLink(path("data_frames"))), "loop"),
    BadInput("virtual frames without their source", inside(_virtual), "missing_source.h5:data"),
    BadInput("unknown compression filter", inside(_unknown_filter), "compression filter 40123"),
    BadInput("unknown setting", lambda file: None, "Did you mean energy", settings=(("enrgy", "8keV"),)),
    BadInput("unknown kind of mask", lambda file: None, "Use one of inverted", settings=(("mask", "upside-down"),)),
)  # fmt: skip


def _existing(file: Path) -> Path:
    target = file.with_name("old.cxi")
    target.write_bytes(b"an older result")
    return target


def _read_only(file: Path) -> Path:
    folder = file.with_name("locked")
    folder.mkdir()
    folder.chmod(0o500)
    return folder / "out.cxi"


def _folder(file: Path) -> Path:
    target = file.with_name("folder.cxi")
    target.mkdir()
    return target


BAD_OUTPUTS = (
    BadOutput("output exists", _existing, "The output exists", yields_to_overwrite=True),
    BadOutput("missing folder", lambda file: file.with_name("missing") / "out.cxi", "does not exist"),
    BadOutput("inside a regular file", lambda file: file / "out.cxi", "does not exist"),
    BadOutput("read-only folder", _read_only, "not writable", needs_permissions=True),
    BadOutput("a folder with this name", _folder, "is a folder"),
    BadOutput("the input itself", lambda file: file, "The output is an input"),
)
