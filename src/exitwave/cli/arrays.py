"""Arrays that are given on the command line as ``FILE`` or ``FILE:DATASET``."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from exitwave.errors import InputError


def read_array(place: str) -> NDArray[Any]:
    """Return the numbers in an .npy file, or in a dataset of an HDF5 file, the only one where none is named.

    Raises
    ------
    InputError
        If there is no such file or dataset, or it is not an array of real numbers.
    """
    import numpy as np

    name, _, dataset = place.rpartition(":")
    name, dataset = (name, dataset) if name and dataset.startswith("/") else (place, "")
    file = Path(name)
    remedy = "Give an .npy file, or FILE.h5:/path/of/the/dataset"
    if not file.is_file():
        raise InputError("There is no such file", where=place, remedy=remedy)
    if file.suffix == ".npy":
        try:
            values = np.load(file, allow_pickle=False)
        except (ValueError, OSError) as error:
            raise InputError("The array cannot be read", where=place, found=error, remedy=remedy) from None
    else:
        values = _from_hdf5(file, dataset, remedy)
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise InputError("Not real numbers", where=place, found=f"{values.dtype} {values.shape}", remedy=remedy)
    return values


def _from_hdf5(file: Path, dataset: str, remedy: str) -> NDArray[Any]:
    import h5py

    from exitwave.cxi.hdf import open_file

    with open_file(file) as source:
        names: list[str] = []
        source.visititems(lambda name, thing: names.append(f"/{name}") if isinstance(thing, h5py.Dataset) else None)
        name = dataset or (names[0] if len(names) == 1 else "")
        if name not in source or not isinstance(source[name], h5py.Dataset):
            found = f"datasets {', '.join(names[:8])}"
            raise InputError("There is no such dataset", where=f"{file}:{name}", found=found, remedy=remedy)
        return source[name][()]
