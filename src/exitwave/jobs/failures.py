"""Any exception as an `ExitwaveError` with a remedy."""

import errno

from exitwave.errors import ExitwaveError, OutputError, RunError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def as_exitwave_error(error: Exception) -> ExitwaveError:
    """Return an exception itself if it is an `ExitwaveError`, else one that describes it and adds a remedy."""
    if isinstance(error, ExitwaveError):
        return error
    if isinstance(error, MemoryError):
        remedy = "Use fewer modes or a smaller scan, or close other programs"
        return RunError("Not enough memory", found=str(error), remedy=remedy)
    if isinstance(error, OSError) and error.errno in _FULL:
        remedy = "Free some space or choose another output with -o"
        return OutputError("The disk is full", where=error.filename or "", remedy=remedy)
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        remedy = "Choose another output with -o, or another folder"
        return OutputError("No permission", where=error.filename or "", found=error.strerror, remedy=remedy)
    remedy = "Set EXITWAVE_DEBUG=1 to print the traceback, and report it as a bug"
    return RunError(f"Unexpected {type(error).__name__}", found=" ".join(str(error).split()), remedy=remedy)
