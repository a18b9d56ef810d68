"""``exitwave doctor``: check whether this machine is ready for Exitwave."""

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

import typer

from exitwave.cli.document import print_json
from exitwave.cli.options import Json
from exitwave.cli.register import verb
from exitwave.units import show

PACKAGES = ["numpy", "scipy", "h5py", "hdf5plugin", "numba", "pyfftw", "scikit-image", "matplotlib"]
PACKAGES += ["jinja2", "pydantic", "PyYAML", "typer", "rich"]
LOW = 1e9
"""Free bytes of memory or disk below which there is a warning."""
Status = Literal["ok", "warning", "missing"]
STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "missing": "bold red"}


@dataclass(frozen=True)
class Check:
    """One thing that was checked, and its state."""

    name: str
    """What was checked."""
    status: Status
    """``missing``: Exitwave does not work without it."""
    found: str
    """What was found, and what to do."""


@verb(order=140)
def doctor(as_json: Json = False) -> None:
    """Check whether this machine is ready.

    Checks Python, packages, FFTW, Numba, cores, memory, HDF5 filters, disk and PyTorch. Ends with exit code 1 if
    something essential is missing.
    """
    from rich.text import Text

    from exitwave.cli.console import Console, columns

    checks = [_guarded(check) for check in (*_PACKAGE_CHECKS, *_MACHINE_CHECKS)]
    table = columns()
    for check in checks:
        table.add_row(Text(check.status, style=STYLES[check.status]), check.name, Text(check.found))
    healthy = all(check.status != "missing" for check in checks)
    out = Console(stderr=as_json)
    out.lay_out(table)
    out.print("Ready." if healthy else "Not ready: something essential is missing (see above).")
    if as_json:
        print_json({"healthy": healthy, "checks": checks})
    raise typer.Exit(0 if healthy else 1)


def _guarded(check: Callable[[], Check]) -> Check:
    """Run a check; an exception means that something essential is missing."""
    try:
        return check()
    except Exception as error:
        return Check(check.__name__.strip("_"), "missing", f"{type(error).__name__}: {error}")


def _package(name: str) -> Callable[[], Check]:
    def check() -> Check:
        try:
            return Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            return Check(name, "missing", f"not installed. Install it: pip install {name}")

    return check


def _python() -> Check:
    status: Status = "ok" if sys.version_info >= (3, 11) else "missing"
    return Check("Python", status, f"{platform.python_version()} ({sys.executable}), required: 3.11 or later")


def _fftw() -> Check:
    import numpy as np
    import pyfftw

    wave = np.random.default_rng(0).normal(size=(32, 32)).astype(np.complex64)
    if np.allclose(pyfftw.interfaces.numpy_fft.fft2(wave), np.fft.fft2(wave), atol=1e-3):
        return Check("FFTW", "ok", pyfftw.fftw_version)
    return Check("FFTW", "missing", "computes wrong numbers. Install pyfftw again")


def _numba() -> Check:
    import numba

    answer = numba.njit("int64(int64)")(lambda value: value + 1)(41)
    found = f"compiles, {numba.config.NUMBA_NUM_THREADS} threads, {numba.config.NUMBA_DEFAULT_NUM_THREADS} cores"
    return Check("Numba", "ok" if answer == 42 else "missing", found)


def _numba_cache() -> Check:
    import exitwave

    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(exitwave.__file__).parent)
    try:
        importlib.import_module("exitwave.engine.backends.cpu.kernels.gather")
    except RuntimeError:
        found = f"neither {folder} nor the cache folder of the user is writable. "
        return Check("Numba cache", "missing", f"{found}Set NUMBA_CACHE_DIR to a writable folder")
    if os.access(folder, os.W_OK):
        return Check("Numba cache", "ok", f"{folder} is writable")
    return Check("Numba cache", "ok", f"in the cache folder of the user, because {folder} is read-only")


def _cores() -> Check:
    from exitwave.engine.backends.device import usable_cores

    usable = len(usable_cores())
    return Check("cores", "ok", f"{usable} of {os.cpu_count()} available to this process, {platform.machine()}")


def _memory() -> Check:
    import psutil

    from exitwave.memory import available_memory

    free, total = available_memory(), psutil.virtual_memory().total
    found = f"{show(free, 'B', 3)} free for this process, of {show(total, 'B', 3)}"
    return Check("memory", "ok" if free > LOW else "warning", found)


def _filters() -> Check:
    import h5py
    import hdf5plugin

    needed = {"gzip": h5py.h5z.FILTER_DEFLATE, "shuffle": h5py.h5z.FILTER_SHUFFLE}
    needed |= {"bitshuffle-lz4": hdf5plugin.BSHUF_ID, "lz4": hdf5plugin.LZ4_ID, "zstd": hdf5plugin.ZSTD_ID}
    lacking = [name for name, number in needed.items() if not h5py.h5z.filter_avail(number)]
    if lacking:
        return Check("HDF5 filters", "warning", f"not available: {', '.join(lacking)}. Install hdf5plugin again")
    return Check("HDF5 filters", "ok", f"HDF5 {h5py.version.hdf5_version}: {', '.join(needed)}")


def _disk() -> Check:
    free = shutil.disk_usage(".").free
    try:
        with tempfile.TemporaryFile(dir=".") as file:
            file.write(b"exitwave")
    except OSError as error:
        found = f"the current folder is not writable ({error.strerror}). Choose outputs in another folder with -o"
        return Check("disk", "warning", found)
    found = f"the current folder is writable, {show(free, 'B', 3)} free"
    return Check("disk", "ok" if free > LOW else "warning", found)


def _torch() -> Check:
    if util.find_spec("torch") is None:
        found = "not installed (optional). For GPUs and several processes: pip install 'exitwave[cuda]'"
        return Check("PyTorch", "ok", found)
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Check("PyTorch", "ok", f"{metadata.version('torch')}; GPUs: {', '.join(gpus) or 'none found'}")


_PACKAGE_CHECKS = [_python, *(_package(name) for name in PACKAGES)]
_MACHINE_CHECKS = [_fftw, _numba, _numba_cache, _cores, _memory, _filters, _disk, _torch]
