"""Functions for arrays that are either NumPy arrays on the host or tensors on the device of a backend.

Arithmetic, slices, ``sum`` and ``max`` are the same for both. The operations that differ are here, so that one
algorithm runs on either without a copy between host and device. `engine.model` works on NumPy arrays only: see
`state.arrays_on_host`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.engine.backends.cpu.kernels.sums import weighted_power as plane_power


def to_host(array: Any) -> NDArray[Any]:
    """Return a NumPy array: the array itself, or a copy of a tensor (of a tensor on the host a view)."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def copy(array: Any) -> Any:
    """Return a copy on the same device."""
    return array.copy() if isinstance(array, np.ndarray) else array.clone()


def zeros_like(array: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Return zeros of the same type on the same device, with the same shape or the given one."""
    shape = tuple(array.shape) if shape is None else shape
    return np.zeros(shape, array.dtype) if isinstance(array, np.ndarray) else array.new_zeros(shape)


def inner(a: Any, b: Any) -> Any:
    """Return Re sum conj(a) b: a float, or for tensors a tensor, without waiting for the device."""
    if isinstance(a, np.ndarray):
        return float(np.vdot(a, b).real)
    return a.reshape(-1).vdot(b.reshape(-1)).real


def weighted_power(array: Any, weights: Any) -> Any:
    """Return sum weights |array|^2 like `inner`; the weights may lack the first axes of the array."""
    if isinstance(array, np.ndarray):
        planes = array if array.ndim > weights.ndim else array[None]
        return sum(float(plane_power(plane, weights)) for plane in planes)
    return inner(array, weights * array)


def on_device_of(array: Any, values: NDArray[Any]) -> Any:
    """Return NumPy values on the device of an array; a tensor also gives them its type."""
    return values if isinstance(array, np.ndarray) else array.new_tensor(values)


def fourier(array: Any, workers: int = 1, *, inverse: bool = False) -> Any:
    """Return the Fourier transform over the last two axes, or its inverse; NumPy arrays use ``workers`` threads."""
    if isinstance(array, np.ndarray):
        return (fft.ifft2 if inverse else fft.fft2)(array, workers=workers)
    import torch

    return (torch.fft.ifft2 if inverse else torch.fft.fft2)(array)


def row_blocks(rows: int, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Yield ``rows`` rows of each array at a time, so that temporary arrays are small.

    Tensors are yielded whole, because on a device the number of operations limits the speed.
    """
    lines = [array.reshape(-1, array.shape[-1]) for array in arrays]
    step = rows if isinstance(arrays[0], np.ndarray) else max(1, len(lines[0]))
    for start in range(0, len(lines[0]), step):
        yield tuple(each[start : start + step] for each in lines)
