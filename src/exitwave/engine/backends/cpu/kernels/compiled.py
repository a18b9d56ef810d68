"""Compilation of the loops of the CPU backend, with a cache on disk if a folder for it can be written.

Numba compares a cached loop with the source of its own file only. A loop also contains loops, constants and types of
other files. So the cache of every loop gets a version that contains the sources of all loops: after a change of any of
them, all are compiled again.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import __version__, cfunc, njit

_CPU = Path(__file__).parents[1]
_SOURCES = sorted([*_CPU.glob("kernels/*.py"), *_CPU.glob("fft/*.py")])
_VERSION = f"{__version__} {hashlib.sha256(b''.join(each.read_bytes() for each in _SOURCES)).hexdigest()}"
"""Version of Numba and digest of the sources of the loops and transforms."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop that releases the interpreter's lock, with relaxed arithmetic and IEEE division by zero."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    with suppress(RuntimeError):  # no folder can be written: the loop is compiled again in every run
        loop = njit(cache=True, **options)(function)
        with suppress(AttributeError):  # not public in Numba; without it a change in another file is not noticed
            loop._cache._cache_file._version = _VERSION
        return loop
    return njit(**options)(function)


def callback(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function that is called through its ``address``, which is valid while the returned object exists."""
    with suppress(RuntimeError):
        return cfunc(signature, cache=True)(function)
    return cfunc(signature)(function)
