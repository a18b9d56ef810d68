"""Where a reconstruction runs: the names of devices, and what is there. PyTorch is looked at only where it must be."""

import ctypes
import re
import sys
from importlib import util

from exitwave.errors import InputError

NAMES = "auto, cpu, cuda, or cuda:1 for the second GPU"
"""What a device may be called. There is also ``torch-cpu``: the code for GPUs on the host, to test it."""


def known(name: str) -> bool:
    """Say whether there are devices of this name, here or elsewhere."""
    return re.fullmatch(r"auto|cpu|cuda(:\d+)?|torch-cpu", name) is not None


def resolve(name: str) -> str:
    """Return the device of a name: ``cpu``, ``cuda:N`` or ``torch-cpu``; for ``auto`` a GPU where there is one.

    Raises
    ------
    InputError
        If PyTorch is missing, or the GPU.
    """
    if name == "auto":
        return "cuda:0" if present() else "cpu"
    if name == "cpu":
        return name
    if not util.find_spec("torch"):
        remedy = "Install it with pip install 'exitwave[cuda]', or use --device cpu"
        raise InputError("A GPU needs PyTorch, which is not installed", found=f"device: {name}", remedy=remedy)
    if name == "torch-cpu":
        return name
    number, there = int(name.partition(":")[2] or 0), _gpus()
    if number >= there:
        found = f"device: {name}, and PyTorch sees {there} GPU{'s' * (there != 1)}"
        remedy = "Use --device cpu; exitwave doctor says which PyTorch this is and what it sees"
        raise InputError("There is no such GPU", found=found, remedy=remedy)
    return f"cuda:{number}"


def describe(device: str) -> str:
    """Return a resolved device in words."""
    if not device.startswith("cuda"):
        return {"cpu": "the CPU", "torch-cpu": "the CPU with PyTorch"}[device]
    import torch

    return f"{torch.cuda.get_device_name(device)} ({device})"


def present() -> bool:
    """Say whether there is a GPU, without a look at PyTorch where there is no driver."""
    return _driver() and util.find_spec("torch") is not None and _gpus() > 0


def _driver() -> bool:
    """Say whether the driver of NVIDIA's GPUs can be loaded, without which PyTorch need not be asked."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _gpus() -> int:
    """Return how many GPUs PyTorch sees."""
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
