"""FFTW in single precision, from the library that pyFFTW contains, with its wisdom stored between runs.

The library is loaded when a length needs it. Plans are made here; compiled code runs them through `transforms.execute`.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from exitwave.errors import RunError

PATIENT = 1 << 5
"""FFTW's planner flag ``FFTW_PATIENT``."""


@functools.cache
def _library() -> Any:
    """Return the library, with the wisdom of earlier runs."""
    fftw = ctypes.CDLL(_path())
    fftw.fftwf_plan_many_dft.restype = ctypes.c_void_p
    fftw.fftwf_plan_many_dft.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int) * 2, ctypes.c_int, ctypes.c_uint,
    ]  # fmt: skip
    if wisdom_file().exists():
        fftw.fftwf_import_wisdom_from_filename(str(wisdom_file()).encode())
    return fftw


def _path() -> str:
    """Return the path of the library."""
    spec = importlib.util.find_spec("pyfftw")  # importing pyFFTW would take memory, and only its library is needed
    package = Path(str(spec and spec.origin)).parent
    for folder in (package.parent / "pyfftw.libs", package / ".dylibs", package):
        found = [p for p in sorted(folder.glob("libfftw3f*")) if "omp" not in p.name and "threads" not in p.name]
        if found:
            return str(found[0])
    system = ctypes.util.find_library("fftw3f")
    if system is None:
        raise RunError("The FFTW library is missing", where=str(package), remedy="Reinstall it: pip install pyfftw")
    return system


def wisdom_file() -> Path:
    """Return the path of the stored wisdom."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "exitwave" / "fftw-wisdom"


def _store_wisdom(path: Path) -> None:
    """Write the wisdom to its file. A cache that cannot be written is not an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            pass
        _library().fftwf_export_wisdom_to_filename(partial.name.encode())
        os.replace(partial.name, path)
    except OSError:
        pass


def plan(n: int, count: int, steps: tuple[int, int], buffer: NDArray[Any], sign: int) -> tuple[int, int]:
    """Plan ``count`` transforms of length n in place, and store the wisdom.

    Parameters
    ----------
    n : int
        Length of a transform.
    count : int
        Number of transforms.
    steps : tuple of int
        Distance from one number to the next of a transform, and from one transform to the next.
    buffer : ndarray
        Array that the planner may overwrite.
    sign : int
        -1: forward; 1: backward.

    Returns
    -------
    tuple of int
        The addresses of a function and of the plan, its first argument; the next ones are those of input and output.
    """
    length, layout = ctypes.c_int(n), (buffer.ctypes.data, None, *steps)
    library = _library()
    made = library.fftwf_plan_many_dft(1, ctypes.addressof(length), count, *layout, *layout, sign, PATIENT)
    _store_wisdom(wisdom_file())
    return ctypes.cast(library.fftwf_execute_dft, ctypes.c_void_p).value or 0, int(made)
