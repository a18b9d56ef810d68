"""Compilation of the loops of the CPU backend, with a cache on disk if a folder for it can be written."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import cfunc, njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop that releases the interpreter's lock, with relaxed arithmetic and IEEE division by zero."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    with suppress(RuntimeError):  # no folder can be written: the loop is compiled again in every run
        return njit(cache=True, **options)(function)
    return njit(**options)(function)


def callback(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function that is called through its ``address``, which is valid while the returned object exists."""
    with suppress(RuntimeError):
        return cfunc(signature, cache=True)(function)
    return cfunc(signature)(function)
