"""Arrays that are given on the command line as ``FILE`` or ``FILE:DATASET``."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from exitwave.errors import InputError
from exitwave.inputs import note_input

REMEDY = "Give an .npy file, or FILE.h5:/path/of/the/dataset"


def read_array(text: str) -> NDArray[Any]:
    """Return the array in an .npy file or in a dataset of an HDF5 file, which may be omitted if there is only one.

    Raises
    ------
    InputError
        If there is no such file or dataset, or it is not an array of real numbers.
    """
    name, _, dataset = text.rpartition(":")
    name, dataset = (name, dataset) if name and dataset.startswith("/") else (text, "")
    file = Path(name)
    note_input(file)
    if not file.is_file():
        raise InputError("The file does not exist", where=text, remedy=REMEDY)
    values = _from_npy(file) if file.suffix == ".npy" else _from_hdf5(file, dataset)
    if values.dtype.kind not in "iuf" or values.size == 0:
        found = f"{values.dtype} {values.shape}"
        raise InputError("Not an array of real numbers", where=text, found=found, remedy=REMEDY)
    return values


def _from_npy(file: Path) -> NDArray[Any]:
    import numpy as np

    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, OSError) as error:
        raise InputError("The array cannot be read", where=file, found=error, remedy=REMEDY) from None


def _from_hdf5(file: Path, dataset: str) -> NDArray[Any]:
    import h5py

    from exitwave.cxi.hdf import open_file

    with open_file(file) as source:
        names: list[str] = []
        source.visititems(lambda name, node: names.append(f"/{name}") if isinstance(node, h5py.Dataset) else None)
        name = dataset or (names[0] if len(names) == 1 else "")
        if name not in source or not isinstance(source[name], h5py.Dataset):
            found = f"datasets {', '.join(names[:8])}"
            raise InputError("The dataset does not exist", where=f"{file}:{name}", found=found, remedy=REMEDY)
        return source[name][()]
