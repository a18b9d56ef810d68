"""Read the probe: choose among the entries in which files store it."""

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import Source, resolve, whole


def read_probe(source: Source, shape: tuple[int, int]) -> NDArray[np.complex64] | None:
    """Return the probe, shape (modes, ny, nx) for frames of ``shape``, or None if no stored probe fits.

    The first probe that is found is used. W207 is added for each other path that has a different probe.
    """
    first: NDArray[np.complex64] | None = None
    used, visited = "", set[h5py.Dataset]()
    for path in source.paths("illumination"):
        dataset = resolve(source.file, path)
        if not isinstance(dataset, h5py.Dataset) or dataset in visited:  # one path may link to another
            continue
        if dataset.dtype.kind in "OSU":  # in NeXus, probe is the name of the kind of radiation
            continue
        visited.add(dataset)
        values = _stored(source, dataset, shape)
        if first is None:
            first, used = values, path
        elif values is not None and not np.array_equal(first, values):
            found = f"another probe at {path}"
            source.remark("W207", "illumination", found, "one probe in a file", f"{used} was used")
    return first


def probe_of_result(source: Source, shape: tuple[int, int]) -> NDArray[np.complex64] | None:
    """Return the first probe of ``shape`` that a result stores, also if its values are not finite; None: there is none.

    A diagnosis reports values that cannot be right; the image is read nevertheless.
    """
    for path in source.paths("illumination"):
        dataset = resolve(source.file, path)
        if isinstance(dataset, h5py.Dataset) and _fits(dataset, shape):
            return np.asarray(whole(dataset)).reshape(-1, *shape).astype(np.complex64, copy=False)
    return None


def _fits(dataset: h5py.Dataset, shape: tuple[int, int]) -> bool:
    return bool(dataset.dtype.kind == "c" and dataset.shape[-2:] == shape and 2 <= dataset.ndim <= 3 and dataset.size)


def _stored(source: Source, dataset: h5py.Dataset, shape: tuple[int, int]) -> NDArray[np.complex64] | None:
    fits = _fits(dataset, shape)
    values = np.asarray(whole(dataset)) if fits else None
    if values is None or not np.isfinite(values).all():
        found = f"{dataset.dtype} of shape {dataset.shape} at {dataset.name}" + (", not all finite" if fits else "")
        source.remark("W207", "illumination", found, f"finite complex64 of shape {shape}", "It was not used")
        return None
    return values.reshape(-1, *shape).astype(np.complex64, copy=False)
