"""Any exception as an `ExitwaveError` with a remedy."""

import errno

from exitwave.errors import ExitwaveError, OutputError, RunError
from exitwave.memory import available_memory

_FULL = (errno.ENOSPC, errno.EDQUOT)
SHORT = 100e6
"""Bytes of free memory below which a failure of a library is due to them."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception is due to too little memory: libraries that cannot be loaded raise various types."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    fault = isinstance(error, ImportError | OSError | RuntimeError | SystemError)
    return fault and available_memory() < SHORT


def as_exitwave_error(error: Exception) -> ExitwaveError:
    """Return an exception itself if it is an `ExitwaveError`, else one that describes it and adds a remedy."""
    if isinstance(error, ExitwaveError):
        return error
    if _is_out_of_memory(error):
        remedy = "Use fewer modes, smaller frames (exitwave prepare --crop N) or fewer threads, or give it more memory"
        return RunError("Not enough memory", found=str(error), remedy=remedy)
    if isinstance(error, OSError) and error.errno in _FULL:
        remedy = "Free some space or choose another output with -o"
        return OutputError("The disk is full", where=error.filename or "", remedy=remedy)
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        remedy = "Choose another output with -o, or another folder"
        return OutputError("No permission", where=error.filename or "", found=error.strerror, remedy=remedy)
    remedy = "Set EXITWAVE_DEBUG=1 to print the traceback, and report it as a bug"
    return RunError(f"Unexpected {type(error).__name__}", found=" ".join(str(error).split()), remedy=remedy)
