"""FFTW in single precision, callable from compiled loops, with its wisdom kept between runs.

The library is the one that pyFFTW brings. Plans are made here, once for a shape; compiled code runs them through
`execute` with the addresses of its own buffers. Both directions are unnormalised.

A transform in two dimensions is done in two steps, some rows and some columns at a time, so that the loops can work on
rows in real space and on columns at the detector while these are in the first cache.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import math
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding
import numpy as np
from numba import types
from numpy.typing import NDArray

from exitwave.errors import RunError

FORWARD, BACKWARD = -1, 1
PATIENT = 1 << 5
ALIGNMENT = 64
"""Bytes: every buffer given to `execute` starts at a multiple of this."""
ROWS, COLUMNS = 64, 128
"""The most rows, and columns, that are transformed at a time."""
LINE = 8
"""Complex numbers in a line of the cache."""


def _library() -> str:
    """Return the path of the single-precision FFTW library."""
    found_spec = importlib.util.find_spec("pyfftw")  # importing it takes memory, and nothing of it is needed
    package = Path(str(found_spec and found_spec.origin)).parent
    for folder in (package.parent / "pyfftw.libs", package / ".dylibs", package):
        found = [p for p in sorted(folder.glob("libfftw3f*")) if "omp" not in p.name and "threads" not in p.name]
        if found:
            return str(found[0])
    system = ctypes.util.find_library("fftw3f")
    if system is None:
        raise RunError("The FFTW library is missing", where=str(package), remedy="Reinstall it: pip install pyfftw")
    return system


_path = _library()
llvmlite.binding.load_library_permanently(_path)
_fftw = ctypes.CDLL(_path)
_fftw.fftwf_plan_many_dft.restype = ctypes.c_void_p
_fftw.fftwf_plan_many_dft.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int) * 2, ctypes.c_int, ctypes.c_uint,
]  # fmt: skip

execute = types.ExternalFunction("fftwf_execute_dft", types.void(types.intp, types.intp, types.intp))
"""``execute(plan, address_in, address_out)``, for compiled code."""


class Plans(NamedTuple):
    """The transforms of one shape (ny, nx), and the layout of the arrays (modes, `height`, `stride`) that they take."""

    rows_forward: int
    """Address of the plan that transforms ``rows`` rows in place, given the address of the first."""
    rows_backward: int
    columns_forward: int
    """The same for ``columns`` columns of ny numbers."""
    columns_backward: int
    rows: int
    columns: int
    height: int
    """ny, rounded up to a multiple of ``rows``."""
    stride: int
    """Complex numbers from one row to the next: at least nx, rounded up to a multiple of ``columns``."""


def zeros(*shape: int) -> NDArray[np.float32]:
    """Return an aligned float32 array of zeros; complex numbers take two places each."""
    size, room = math.prod(shape), ALIGNMENT // 4
    array = np.zeros(size + room, np.float32)
    first = -array.ctypes.data % ALIGNMENT // 4
    return array[first : first + size].reshape(shape)


def wisdom_file() -> Path:
    """Return where the wisdom is kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "exitwave" / "fftw-wisdom"


def _keep_wisdom(path: Path) -> None:
    """Write the wisdom to its file; a cache that cannot be written is no reason to stop."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            pass
        _fftw.fftwf_export_wisdom_to_filename(partial.name.encode())
        os.replace(partial.name, path)
    except OSError:
        pass


@functools.cache
def plans(shape: tuple[int, int]) -> Plans:
    """Return the plans for a shape.

    The first call for a shape on a machine measures for some seconds; the outcome is kept on disk.
    """
    path = wisdom_file()
    if path.exists():
        _fftw.fftwf_import_wisdom_from_filename(str(path).encode())
    ny, nx = shape
    rows = _share(ny, ROWS)
    columns = _up(_share(nx, COLUMNS), LINE)
    height, width = _up(ny, rows), _up(nx, columns)
    stride = width + LINE * (width // LINE % 2 == 0)  # an odd number of lines: a column does not fall on one place
    buffer = zeros(height, 2 * stride)
    along = [_plan(nx, rows, 1, stride, buffer, sign) for sign in (FORWARD, BACKWARD)]
    across = [_plan(ny, columns, stride, 1, buffer, sign) for sign in (FORWARD, BACKWARD)]
    _keep_wisdom(path)
    return Plans(along[0], along[1], across[0], across[1], rows, columns, height, stride)


def _share(n: int, most: int) -> int:
    """Return the size of the fewest equal shares of n that have at most so many."""
    return -(-n // -(-n // most))


def _up(n: int, unit: int) -> int:
    """Return n rounded up to a multiple."""
    return -(-n // unit) * unit


def _plan(n: int, count: int, step: int, distance: int, buffer: NDArray[np.float32], sign: int) -> int:
    """Plan ``count`` transforms of length n in place, with numbers ``step`` and transforms ``distance`` apart."""
    length, address = ctypes.c_int(n), buffer.ctypes.data
    layout = (address, None, step, distance)
    plan = _fftw.fftwf_plan_many_dft(1, ctypes.addressof(length), count, *layout, *layout, sign, PATIENT)
    return int(plan)
