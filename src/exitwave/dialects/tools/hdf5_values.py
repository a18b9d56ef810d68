"""Read numbers with units, arrays and stacks of frames from an HDF5 file of any program, by path."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exitwave.cxi.frames import unreadable
from exitwave.cxi.hdf import one_number, resolve, text, whole
from exitwave.cxi.hdf import reading as reading
from exitwave.dialects.tools.array_checks import describe
from exitwave.dialects.tools.assemble import check_frames
from exitwave.errors import InputError
from exitwave.frames import Frames
from exitwave.units import factor

COMPLEX = (("r", "i"), ("real", "imag"))
"""Names of real and imaginary part in a compound type, in files of h5py and of MATLAB."""


def dataset_at(file: h5py.File, path: str) -> h5py.Dataset | None:
    """Return the dataset at a path, with links followed, or None."""
    found = resolve(file, path)
    return found if isinstance(found, h5py.Dataset) else None


def number_at(file: h5py.File, path: str) -> float | None:
    """Return a number stored as a scalar or as an array of equal values, or None.

    Raises
    ------
    InputError
        If it is not a real number, or an array of different numbers.
    """
    stored = dataset_at(file, path)
    return None if stored is None else one_number(_whole(stored), f"{file.filename}:{path}")


def quantity_at(file: h5py.File, path: str, dimension: str, unit: str) -> float | None:
    """Return a length in metres or an energy in eV, or None.

    Parameters
    ----------
    file, path : h5py.File, str
        File, and path of the dataset in it.
    dimension : str
        ``length`` or ``energy``.
    unit : str
        Unit of a dataset without ``@units``.

    Raises
    ------
    InputError
        If the value is not one number, or the unit is unknown.
    """
    value, stored = number_at(file, path), dataset_at(file, path)
    if value is None or stored is None:
        return None
    stated = text(stored.attrs.get("units")).strip() or unit
    try:
        return value * factor(stated, dimension)
    except InputError as error:
        where = f"{file.filename}:{path}@units"
        raise InputError(error.what, where=where, found=error.found, remedy=error.remedy) from None


def array_at(file: h5py.File, path: str) -> NDArray[Any] | None:
    """Read a whole array of numbers, or return None; a compound of two parts becomes complex.

    Raises
    ------
    InputError
        If it has other values than numbers, is empty or far larger than the file, or cannot be read.
    """
    stored = dataset_at(file, path)
    if stored is None:
        return None
    values = _whole(stored)
    names = values.dtype.names
    if names in COMPLEX:
        return np.asarray(values[names[0]] + 1j * values[names[1]])
    if values.dtype.kind not in "biufc":
        found = describe(values)
        raise InputError(
            "These are not numbers",
            where=f"{file.filename}:{path}",
            found=found,
            remedy="Check the path, or write plain numbers",
        )
    return values


def _whole(stored: h5py.Dataset) -> NDArray[Any]:
    check_readable(stored)
    if not stored.size:
        where, found = f"{stored.file.filename}:{stored.name}", describe(stored)
        raise InputError("An array is empty", where=where, found=found, remedy="Check the path")
    return np.asarray(whole(stored))


def check_readable(stored: h5py.Dataset) -> None:
    """Raise InputError if the compression filter of a dataset is not installed, or its source files are missing."""
    problem = unreadable(stored)
    if problem:
        where = f"{stored.file.filename}:{stored.name}"
        raise InputError("An array cannot be read", where=where, found=problem[0], remedy=problem[1])


def frames_at(file: h5py.File, path: str) -> Frames:
    """Return the stack of frames at a path, without reading it.

    Raises
    ------
    InputError
        If there is no stack of frames, or it cannot be read.
    """
    stored = dataset_at(file, path)
    if stored is None:
        raise InputError("The file lacks the frames", where=file.filename, remedy=f"Expected {path}")
    where = f"{stored.file.filename}:{stored.name}"
    check_readable(stored)
    if stored.shape is None:
        raise InputError(
            "These are not diffraction patterns",
            where=where,
            found="an empty dataset",
            remedy="Write the frames of the scan there",
        )
    return check_frames(Frames(Path(stored.file.filename).resolve(), stored.name), where)
