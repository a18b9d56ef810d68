"""How the loops of the CPU backend are compiled: once, kept on disk where a folder for it can be written."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import cfunc, njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop without the interpreter's lock, in relaxed arithmetic, and without Python's division by zero."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    with suppress(RuntimeError):  # no folder can be written: compile it again in every run
        return njit(cache=True, **options)(function)
    return njit(**options)(function)


def callback(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function that is called through its ``address``, for as long as what is returned is kept."""
    with suppress(RuntimeError):
        return cfunc(signature, cache=True)(function)
    return cfunc(signature)(function)
