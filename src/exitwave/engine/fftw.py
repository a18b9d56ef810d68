"""FFTW in single precision, callable from compiled loops, with its wisdom kept between runs.

The library is the one that pyFFTW brings. Plans are made here, once for a shape; compiled code runs them through
`execute` with the addresses of its own buffers. Both directions are unnormalised.
"""

import ctypes
import ctypes.util
import functools
import os
import tempfile
from pathlib import Path

import llvmlite.binding
import numpy as np
import pyfftw
from numba import types
from numpy.typing import NDArray

from exitwave.errors import RunError

FORWARD, BACKWARD = -1, 1
PATIENT = 1 << 5
ALIGNMENT = 64
"""Bytes: every buffer given to `execute` starts at a multiple of this."""


def _library() -> str:
    """Return the path of the single-precision FFTW library."""
    package = Path(pyfftw.__file__).parent
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
_fftw.fftwf_plan_dft_2d.restype = ctypes.c_void_p
_fftw.fftwf_plan_dft_2d.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int,
                                    ctypes.c_uint]  # fmt: skip

execute = types.ExternalFunction("fftwf_execute_dft", types.void(types.intp, types.intp, types.intp))
"""``execute(plan, address_in, address_out)``, for compiled code."""


def zeros(*shape: int) -> NDArray[np.float32]:
    """Return an aligned float32 array of zeros; complex numbers take two places each."""
    return pyfftw.zeros_aligned(shape, np.float32, n=ALIGNMENT)


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
def plans(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the in-place plans (forward, backward) for a shape, as addresses.

    The first call for a shape on a machine measures for some seconds; the outcome is kept on disk.
    """
    path = wisdom_file()
    if path.exists():
        _fftw.fftwf_import_wisdom_from_filename(str(path).encode())
    buffer = zeros(shape[0], 2 * shape[1])
    known = _fftw.fftwf_export_wisdom_to_string
    known.restype = ctypes.c_void_p
    ny, nx = shape
    address = buffer.ctypes.data
    pair = tuple(_fftw.fftwf_plan_dft_2d(ny, nx, address, address, sign, PATIENT) for sign in (FORWARD, BACKWARD))
    _keep_wisdom(path)
    return pair[0], pair[1]
