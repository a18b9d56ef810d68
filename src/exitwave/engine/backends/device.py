"""The names of devices, and which devices and cores exist on this machine. PyTorch is imported only if it is needed."""

import ctypes
import os
import re
import sys
from importlib import util

from exitwave.errors import InputError

DEVICE_NAMES = "auto, cpu, cuda, or cuda:1 for the second GPU"
"""The names of devices, for messages. ``torch-cpu`` runs the code for GPUs on the host, for tests."""


def usable_cores() -> list[int]:
    """Return the processor cores that this process may use, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def is_device_name(name: str) -> bool:
    """Return whether a name is that of a device, present or not."""
    return re.fullmatch(r"auto|cpu|cuda(:\d+)?|torch-cpu", name) is not None


def resolve(name: str) -> str:
    """Return the device of a name: ``cpu``, ``cuda:N`` or ``torch-cpu``. For ``auto`` it is a GPU if there is one.

    Raises
    ------
    InputError
        If PyTorch is not installed, or the GPU does not exist.
    """
    if name == "auto":
        return "cuda:0" if gpu_present() else "cpu"
    if name == "cpu":
        return name
    if not util.find_spec("torch"):
        remedy = "Install it with pip install 'exitwave[cuda]', or use --device cpu"
        raise InputError("A GPU needs PyTorch, which is not installed", found=f"device: {name}", remedy=remedy)
    if name == "torch-cpu":
        return name
    number, count = int(name.partition(":")[2] or 0), _gpu_count()
    if number >= count:
        found = f"device: {name}; PyTorch finds {count} GPU{'s' * (count != 1)}"
        remedy = "Use --device cpu; exitwave doctor shows the version of PyTorch and the GPUs that it finds"
        raise InputError("There is no such GPU", found=found, remedy=remedy)
    return f"cuda:{number}"


def describe(device: str) -> str:
    """Return a resolved device in words."""
    if not device.startswith("cuda"):
        return {"cpu": "the CPU", "torch-cpu": "the CPU with PyTorch"}[device]
    import torch

    return f"{torch.cuda.get_device_name(device)} ({device})"


def gpu_present() -> bool:
    """Return whether there is a GPU. PyTorch is not imported if the driver is missing."""
    return _driver_present() and util.find_spec("torch") is not None and _gpu_count() > 0


def _driver_present() -> bool:
    """Return whether the driver of NVIDIA GPUs can be loaded."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _gpu_count() -> int:
    """Return the number of GPUs that PyTorch finds."""
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
