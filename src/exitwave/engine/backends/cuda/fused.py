"""Where there are kernels that take many steps in one."""

from functools import cache
from importlib import util
from typing import Any

import torch


def fused(device: torch.device) -> Any:
    """Return `kernels` where they are used, on a GPU for which there is Triton; else None."""
    return _kernels() if _used(device) else None


def _used(device: torch.device) -> bool:
    """Say whether kernels are for a device: Triton's interpreter runs them on the host, too, but slowly."""
    return device.type == "cuda"


@cache
def _kernels() -> Any:
    if util.find_spec("triton") is None:
        return None
    from exitwave.engine.backends.cuda import kernels

    return kernels
