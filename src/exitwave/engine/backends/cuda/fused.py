"""Whether the fused kernels, which compute several steps in one, are available."""

from functools import cache
from importlib import util
from typing import Any

import torch


def fused_kernels(device: torch.device) -> Any:
    """Return the module `kernels` on a GPU if Triton is installed, otherwise None."""
    return _kernels() if _for_device(device) else None


def _for_device(device: torch.device) -> bool:
    """Return whether the kernels are used on a device. Triton's interpreter runs them on the CPU, too, but slowly."""
    return device.type == "cuda"


@cache
def _kernels() -> Any:
    if util.find_spec("triton") is None:
        return None
    from exitwave.engine.backends.cuda import kernels

    return kernels
