"""``exitwave doctor``: whether this machine is ready."""

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
from exitwave.units import show

PACKAGES = ["numpy", "scipy", "h5py", "hdf5plugin", "numba", "pyfftw", "scikit-image", "matplotlib"]
PACKAGES += ["jinja2", "pydantic", "PyYAML", "typer", "rich"]
ROOM = 1e9
"""Free bytes below which the disk is called nearly full."""


@dataclass(frozen=True)
class Check:
    """What was looked at, and how it is."""

    name: str
    """What was looked at."""
    status: Literal["ok", "warning", "missing"]
    """``missing``: nothing will work without it."""
    found: str
    """What was found, and what to do about it."""


def doctor(as_json: Json = False) -> None:
    """Check whether this machine is ready.

    Looks at Python, packages, FFTW, Numba, cores, memory, HDF5 filters, disk and PyTorch.
    Ends with exit code 1 if something essential is missing.
    """
    from rich.table import Table
    from rich.text import Text

    from exitwave.cli.console import Console

    checks = [_guarded(check) for check in (*_PACKAGE_CHECKS, *_MACHINE_CHECKS)]
    styles = {"ok": "green", "warning": "yellow", "missing": "bold red"}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(Text(check.status, style=styles[check.status]), check.name, Text(check.found))
    healthy = all(check.status != "missing" for check in checks)
    out = Console(stderr=as_json)
    out.lay_out(table)
    out.print("Ready." if healthy else "Something essential is missing; see above.")
    if as_json:
        print_json({"healthy": healthy, "checks": checks})
    raise typer.Exit(0 if healthy else 1)


def _guarded(check: Callable[[], Check]) -> Check:
    """Run a check; one that breaks has found what it looked for."""
    try:
        return check()
    except Exception as error:
        return Check(check.__name__.strip("_"), "missing", f"{type(error).__name__}: {error}")


def _package(name: str) -> Callable[[], Check]:
    def check() -> Check:
        try:
            return Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            return Check(name, "missing", f"not installed; pip install {name}")

    return check


def _python() -> Check:
    fine = sys.version_info >= (3, 11)
    return Check(
        "Python", "ok" if fine else "missing", f"{platform.python_version()} ({sys.executable}); 3.11 or later"
    )


def _fftw() -> Check:
    import numpy as np
    import pyfftw

    wave = np.random.default_rng(0).normal(size=(32, 32)).astype(np.complex64)
    right = np.allclose(pyfftw.interfaces.numpy_fft.fft2(wave), np.fft.fft2(wave), atol=1e-3)
    return Check("FFTW", "ok" if right else "missing", pyfftw.fftw_version if right else "gives wrong numbers")


def _numba() -> Check:
    import numba

    answer = numba.njit("int64(int64)")(lambda value: value + 1)(41)
    found = f"compiles; {numba.config.NUMBA_NUM_THREADS} threads, {numba.config.NUMBA_DEFAULT_NUM_THREADS} cores"
    return Check("Numba", "ok" if answer == 42 else "missing", found)


def _numba_cache() -> Check:
    import exitwave

    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(exitwave.__file__).parent)
    try:
        importlib.import_module("exitwave.engine.backends.cpu.kernels.gather")
    except RuntimeError:
        remedy = "set NUMBA_CACHE_DIR to a folder that can be written"
        return Check("Numba cache", "missing", f"neither {folder} nor the user's cache folder can be written; {remedy}")
    if os.access(folder, os.W_OK):
        return Check("Numba cache", "ok", f"{folder} is writable")
    return Check("Numba cache", "ok", f"{folder} is read-only, so the user's cache folder is used")


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("cores", "ok", f"{usable} of {os.cpu_count()} for this process; {platform.machine()}")


def _memory() -> Check:
    try:
        pages = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError):
        return Check("memory", "ok", "this system does not tell")
    whole, free = (count * os.sysconf("SC_PAGE_SIZE") for count in pages)
    return Check("memory", "ok" if free > ROOM else "warning", f"{show(free, 'B', 3)} free of {show(whole, 'B', 3)}")


def _filters() -> Check:
    import h5py
    import hdf5plugin

    needed = {"gzip": h5py.h5z.FILTER_DEFLATE, "shuffle": h5py.h5z.FILTER_SHUFFLE}
    needed |= {"bitshuffle-lz4": hdf5plugin.BSHUF_ID, "lz4": hdf5plugin.LZ4_ID, "zstd": hdf5plugin.ZSTD_ID}
    lacking = [name for name, number in needed.items() if not h5py.h5z.filter_avail(number)]
    found = f"HDF5 {h5py.version.hdf5_version}: {', '.join(needed)}"
    return Check("HDF5 filters", "warning" if lacking else "ok", f"lacking {', '.join(lacking)}" if lacking else found)


def _disk() -> Check:
    free = shutil.disk_usage(".").free
    try:
        with tempfile.TemporaryFile(dir=".") as file:
            file.write(b"exitwave")
    except OSError as error:
        return Check(
            "disk", "warning", f"the current folder cannot be written ({error.strerror}); give outputs with -o"
        )
    return Check("disk", "ok" if free > ROOM else "warning", f"current folder is writable; {show(free, 'B', 3)} free")


def _torch() -> Check:
    if util.find_spec("torch") is None:
        return Check("PyTorch", "ok", "not installed; only GPUs need it: pip install 'exitwave[cuda]'")
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Check("PyTorch", "ok", f"{metadata.version('torch')}; GPUs: {', '.join(gpus) or 'it sees none'}")


_PACKAGE_CHECKS = [_python, *(_package(name) for name in PACKAGES)]
_MACHINE_CHECKS = [_fftw, _numba, _numba_cache, _cores, _memory, _filters, _disk, _torch]
