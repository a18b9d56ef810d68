"""Driver of the peer PtyLab: mPIE on the CPU with default settings; see `driver.py`.

PtyLab rounds each position to the nearest whole pixel, and processes one frame after the other.
"""

import contextlib
import io
import logging
import tempfile
import time
from pathlib import Path

import driver
import h5py
import numpy as np
import PtyLab
from PtyLab import Engines


def make_engine(data: dict, job: dict) -> Engines.mPIE:
    """Set up mPIE, with lengths in pixels.

    The window of a frame starts at round(encoder) + n_object // 2 - n_probe // 2. The transform is unitary.
    "fftshiftSwitch" keeps the patterns in the order of the FFT, which is faster; "saveMemory" omits the stack of
    errors.
    """
    size, (n,) = int(max(data["object_shape"])), set(data["probe"].shape[-2:])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.hdf5"
        with h5py.File(path, "w") as file:
            lengths = {"wavelength": 1.0, "zo": 1.0, "dxd": 1.0 / n}
            encoder = data["pixels"] - size // 2
            for name, value in {"ptychogram": data["patterns"], "encoder": encoder, **lengths}.items():
                file[name] = value
        measured, state, parameters, monitor, _ = PtyLab.easyInitialize(path, Engines.mPIE, dummyMonitor=True)
    parameters.fftshiftSwitch = parameters.saveMemory = True
    state.No, state.npsm = size, len(data["probe"])
    state.initializeObjectProbe()
    state.probe[0, 0, :, 0] = data["probe"]
    engine = Engines.mPIE(state, measured, parameters, monitor)
    engine.numIterations = job["marks"][-1]
    return engine


def reconstruct(data: dict, job: dict) -> driver.Marks:
    """Run one job. The time to copy the arrays at a mark is not counted."""
    np.random.seed(0)  # noqa: NPY002  (PtyLab uses the global generator)
    engine, (rows, columns), found = make_engine(data, job), data["object_shape"], []
    start = time.perf_counter()

    def record(loop: int, state: PtyLab.Reconstruction) -> None:
        nonlocal start
        now = time.perf_counter()
        if loop + 1 in job["marks"]:
            found.append(
                (now - start, state.object[0, 0, 0, 0, :rows, :columns].copy(), state.probe[0, 0, :, 0].copy())
            )
        start += time.perf_counter() - now

    with contextlib.redirect_stdout(io.StringIO()):  # progress bars
        engine.reconstruct(vis_after_each_iteration=record)
    yield from found


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    driver.serve(reconstruct, ("ptylab", "numpy"))
