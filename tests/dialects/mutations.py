"""Mutations of a file: flipped bits, lost ends, and entries of other types, shapes and links."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exitwave.cxi.heap import is_endless

Rng = np.random.Generator


def mutate(rng: Rng, file: Path) -> str:
    """Apply one to three mutations to a file; return their description."""
    done = []
    for _ in range(int(rng.integers(1, 4))):
        change = _choice(rng, _changes(file))
        done.append(f"{change.__name__.strip('_')} {change(rng, file)}".strip())
    return ", ".join(done)


def _choice(rng: Rng, things: list[Any]) -> Any:
    return things[int(rng.integers(len(things)))]


def _changes(file: Path) -> list[Callable[[Rng, Path], str]]:
    bytewise: list[Callable[[Rng, Path], str]] = [_flip, _truncate, _blank]
    if h5py.is_hdf5(file):
        return [*bytewise, _replace, _replace, _replace, _replace, _delete, _relink, _attribute, _attribute]
    if file.suffix == ".npz":
        return [*bytewise, _rewrite, _rewrite, _rewrite]
    return [*bytewise, _garble, _garble]


def _flip(rng: Rng, file: Path) -> str:
    data = np.fromfile(file, np.uint8)
    where = rng.integers(0, max(1, data.size), int(rng.integers(1, 33)))
    if data.size:
        data[where] ^= (1 << rng.integers(0, 8, where.size)).astype(np.uint8)
        data.tofile(file)
    return f"{where.size} bits"


def _truncate(rng: Rng, file: Path) -> str:
    size = int(rng.integers(0, max(1, file.stat().st_size)))
    with file.open("r+b") as stream:
        stream.truncate(size)
    return f"to {size}"


def _blank(rng: Rng, file: Path) -> str:
    data = np.fromfile(file, np.uint8)
    start = int(rng.integers(0, max(1, data.size)))
    data[start : start + int(rng.integers(1, 600))] = _choice(rng, [0, 255, 65])
    data.tofile(file)
    return f"from {start}"


def _garble(rng: Rng, file: Path) -> str:
    """Replace words of a text file."""
    words = file.read_text(encoding="utf-8", errors="replace").split(" ")
    for _ in range(3):
        odd = ["nan", "inf", "-1", "1e400", "", "\0", "{", "[[[", "&a", "*a", "/", "../x", "\n\n", ",,", "x" * 5000]
        words[int(rng.integers(len(words)))] = str(_choice(rng, odd))
    file.write_text(" ".join(words), encoding="utf-8")
    return ""


def value(rng: Rng, old: Any) -> Any:
    """Return a replacement for an array: its numbers in another type or shape, or other data."""
    old = np.asarray(old)
    number = np.atleast_1d(old) if old.dtype.kind in "biuf" and old.size else np.arange(6.0).reshape(2, 3)
    new: list[Callable[[], Any]] = [
        lambda: number.astype(_choice(rng, ["u1", "i2", "u4", "i8", "f2", "f4", ">f8", "c8", "c16", "?"])),
        lambda: np.asarray(number).T,
        lambda: number[None],
        lambda: number.ravel(),
        lambda: number[:0],
        lambda: number.ravel()[0],
        lambda: np.concatenate([number.ravel()] * 2),
        lambda: number.astype(float) * _choice(rng, [0, -1, 1e30, 1e-30, np.nan, np.inf]),
        lambda: np.full(number.shape, _choice(rng, [np.nan, np.inf, -np.inf, 0, 2**32 - 1, 1e308])),
        lambda: np.zeros(_choice(rng, [(0,), (1,), (3, 3), (0, 5, 5), (2, 2, 2), (1, 1, 1, 1), (7, 300, 2)])),
        lambda: np.bytes_(b"text \xff"),
        lambda: np.array([b"a", b"b"]),
        lambda: np.zeros(3, [("a", "i4"), ("b", "f8")]),
        lambda: np.zeros(number.shape, [("r", "f4"), ("i", "f4")]),
        lambda: np.where(rng.random(number.shape) < 0.1, np.nan, number),
    ]
    with np.errstate(all="ignore"):
        return _choice(rng, new)()


def _entries(file: h5py.File) -> list[str]:
    """Return the paths of all objects and links except the root."""
    names: list[str] = []

    def walk(group: h5py.Group, depth: int) -> None:
        for name in group:
            names.append(f"{group.name.rstrip('/')}/{name}")
            if isinstance(group.get(name, getlink=True), h5py.HardLink) and depth < 6:
                child = group[name]
                if isinstance(child, h5py.Group):
                    walk(child, depth + 1)

    walk(file["/"], 0)
    return names


def _inside(change: Callable[[Rng, h5py.File, str], str]) -> Callable[[Rng, Path], str]:
    """Turn a mutation of an entry into one of a file; do nothing if the file can no longer be opened."""

    def changed(rng: Rng, path: Path) -> str:
        if is_endless(path):  # from an earlier mutation; HDF5 would not return
            return "not (a heap without an end)"
        try:
            with h5py.File(path, "r+") as file:
                names = _entries(file)
                name = str(_choice(rng, names)) if names else ""
                return f"{name} {change(rng, file, name) if name else ''}"
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
            return f"not ({type(error).__name__})"

    changed.__name__ = change.__name__
    return changed


@_inside
def _replace(rng: Rng, file: h5py.File, name: str) -> str:
    old = file.get(name)
    stored = old[()] if isinstance(old, h5py.Dataset) and old.shape is not None else 0.0
    attributes = dict(old.attrs) if old is not None else {}
    del file[name]
    odd = int(rng.integers(12))
    if odd == 0:
        file.create_dataset(name, shape=(2**20, 2**10, 2**10), dtype="f8", chunks=(1, 16, 16))
    elif odd == 1:
        file[name] = h5py.Empty("f4")
    elif odd == 2:
        file.create_group(name)
    elif odd == 3:
        file.create_dataset(name, data=np.array(["a", "b"], object), dtype=h5py.string_dtype())
    elif odd == 4:
        shape = np.shape(stored)
        layout = h5py.VirtualLayout(shape or (1,), "f4")
        layout[...] = h5py.VirtualSource("missing.h5", "data", shape or (1,))
        file.create_virtual_dataset(name, layout)
    else:
        file[name] = value(rng, stored)
    if name in file and file.get(name) is not None:
        file[name].attrs.update({key: each for key, each in attributes.items() if not key.startswith("DIM")})
    return f"kind {odd}"


@_inside
def _delete(rng: Rng, file: h5py.File, name: str) -> str:
    del file[name]
    return ""


@_inside
def _relink(rng: Rng, file: h5py.File, name: str) -> str:
    del file[name]
    links = [
        h5py.SoftLink(name),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/"),
        h5py.SoftLink(""),
        h5py.ExternalLink("missing.h5", "/data"),
        h5py.ExternalLink(Path(file.filename).name, name),
        h5py.ExternalLink("/etc/passwd", "/"),
    ]
    link = _choice(rng, links)
    file[name] = link
    return repr(link)


@_inside
def _attribute(rng: Rng, file: h5py.File, name: str) -> str:
    thing = file.get(name)
    if thing is None:
        return ""
    key = str(_choice(rng, [*thing.attrs, "units"]))
    odd = [value(rng, 1.0), "furlong", b"\xff", h5py.Empty("f4"), 3, "", "um"]
    thing.attrs[key] = _choice(rng, odd)
    return f"@{key}"


def _rewrite(rng: Rng, file: Path) -> str:
    """Replace an array of an archive, or remove it."""
    try:
        with np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception:  # a mutated archive raises many types
        return "not"
    name = str(_choice(rng, [*arrays, "more"]))
    if rng.random() < 0.1:
        arrays.pop(name, None)
    elif rng.random() < 0.1:
        arrays[name] = np.array([{"an": "object"}, None], object)
    else:
        arrays[name] = value(rng, arrays.get(name, 0.0))
    partial = file.with_name("partial.npz")
    np.savez(partial, **arrays)
    shutil.move(partial, file)
    return name
