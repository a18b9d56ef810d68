"""Arrays wherever they are: of NumPy on the host, or tensors on the device of a backend.

Arithmetic, slices, ``sum`` and ``max`` are written alike for both. What is not is here, so that an algorithm works on
either: it never brings an array from one place to the other. What knows NumPy only, as the model of the experiment
does, borrows object and probe from the device.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from exitwave.engine.backends.cpu.kernels.sums import weigh


def to_host(array: Any) -> NDArray[Any]:
    """Return an array as NumPy's: itself, or a copy of a tensor (on the host's own device a view)."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def copy(array: Any) -> Any:
    """Return a copy in the same place."""
    return array.copy() if isinstance(array, np.ndarray) else array.clone()


def zeros_like(array: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Return zeros of the same kind, in the same place, of the same shape or another."""
    shape = tuple(array.shape) if shape is None else shape
    return np.zeros(shape, array.dtype) if isinstance(array, np.ndarray) else array.new_zeros(shape)


def inner(a: Any, b: Any) -> Any:
    """Return Re sum conj(a) b, of tensors as one that nobody has to wait for."""
    if isinstance(a, np.ndarray):
        return float(np.vdot(a, b).real)
    return a.reshape(-1).vdot(b.reshape(-1)).real


def power(array: Any, weights: Any) -> Any:
    """Return sum weights |array|^2 like `inner`; weights may have fewer axes than the array, its last ones."""
    if isinstance(array, np.ndarray):
        planes = array if array.ndim > weights.ndim else array[None]
        return sum(float(weigh(plane, weights)) for plane in planes)
    return inner(array, weights * array)


def beside(array: Any, values: NDArray[Any]) -> Any:
    """Return NumPy's values where an array is."""
    return values if isinstance(array, np.ndarray) else array.new_tensor(values)


def fourier(array: Any, workers: int = 1, *, back: bool = False) -> Any:
    """Return the Fourier transform over the last two axes, or the inverse one, with so many threads of NumPy's."""
    if isinstance(array, np.ndarray):
        return (fft.ifft2 if back else fft.fft2)(array, workers=workers)
    import torch

    return (torch.fft.ifft2 if back else torch.fft.fft2)(array)


def blocks(rows: int, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Yield so many lines of some arrays at a time, for arithmetic with no further array as large as these.

    Tensors come as a whole: on a device what counts is the number of passes.
    """
    lines = [array.reshape(-1, array.shape[-1]) for array in arrays]
    step = rows if isinstance(arrays[0], np.ndarray) else max(1, len(lines[0]))
    for start in range(0, len(lines[0]), step):
        yield tuple(each[start : start + step] for each in lines)
