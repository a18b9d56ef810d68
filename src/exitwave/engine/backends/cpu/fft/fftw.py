"""FFTW in single precision, from the library that pyFFTW brings, with its wisdom kept between runs.

It is loaded where a length asks for it. Plans are made here; compiled code runs them through `fourier.execute`.
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
    """Return where the library is."""
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
        _library().fftwf_export_wisdom_to_filename(partial.name.encode())
        os.replace(partial.name, path)
    except OSError:
        pass


def plan(n: int, count: int, steps: tuple[int, int], buffer: NDArray[Any], sign: int) -> tuple[int, int]:
    """Plan ``count`` transforms of length n in place, of numbers and of transforms so far apart; keep the wisdom.

    Returns the addresses of a function and of the plan, its first argument; then come those of input and output.
    """
    length, layout = ctypes.c_int(n), (buffer.ctypes.data, None, *steps)
    library = _library()
    made = library.fftwf_plan_many_dft(1, ctypes.addressof(length), count, *layout, *layout, sign, PATIENT)
    _keep_wisdom(wisdom_file())
    return ctypes.cast(library.fftwf_execute_dft, ctypes.c_void_p).value or 0, int(made)
