"""The probe of a file: which of the places that files use for it to believe."""

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.hdf import Source, resolve, whole


def read_probe(source: Source, shape: tuple[int, int]) -> NDArray[np.complex64] | None:
    """Return the probe, shape (modes, ny, nx) for frames of ``shape``, or None where there is none that fits.

    The first place where there is one is believed; a remark (W207) names each other place that has another one.
    """
    first: NDArray[np.complex64] | None = None
    believed, seen = "", set[h5py.Dataset]()
    for place in source.places("illumination"):
        dataset = resolve(source.file, place)
        if not isinstance(dataset, h5py.Dataset) or dataset in seen:  # one may link to another
            continue
        if dataset.dtype.kind in "OSU":  # NeXus has a kind of radiation of this name
            continue
        seen.add(dataset)
        values = _stored(source, dataset, shape)
        if first is None:
            first, believed = values, place
        elif values is not None and not np.array_equal(first, values):
            found = f"another probe at {place}"
            source.remark("W207", "illumination", found, "one probe in a file", f"{believed} was used")
    return first


def _stored(source: Source, dataset: h5py.Dataset, shape: tuple[int, int]) -> NDArray[np.complex64] | None:
    fits = dataset.dtype.kind == "c" and dataset.shape[-2:] == shape and 2 <= dataset.ndim <= 3 and dataset.size
    values = np.asarray(whole(dataset)) if fits else None
    if values is None or not np.isfinite(values).all():
        found = f"{dataset.dtype} of shape {dataset.shape} at {dataset.name}" + (", not all finite" if fits else "")
        source.remark("W207", "illumination", found, f"finite complex64 of shape {shape}", "It was left aside")
        return None
    return values.reshape(-1, *shape).astype(np.complex64, copy=False)
