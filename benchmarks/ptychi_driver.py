"""Driver of the peer pty-chi: rPIE and LSQ-ML; see `driver.py`.

Settings: "batch" and "batching" (random or compact), "step" (of the object, rPIE) and "momentum" (LSQ-ML).
"""

import logging
import time
import warnings

import driver
import numpy as np
import ptychi.api as api
import torch
from ptychi.api.task import PtychographyTask

OPTIONS = {"rPIE": api.RPIEOptions, "LSQ-ML": api.LSQMLOptions}


def make_task(data: dict, job: dict) -> PtychographyTask:
    """Set up a task as in pty-chi's own examples: SGD, step 1 unless given, defaults otherwise.

    pty-chi's forward transform is not normalised, so the probe is divided by the square root of the number of pixels.
    Its object window starts at round(position) + round(n_object / 2) - n_probe / 2.
    """
    options, settings = OPTIONS[job["algorithm"]](), job["settings"]
    options.object_options.optimizer = options.probe_options.optimizer = api.Optimizers.SGD
    options.object_options.step_size = settings.get("step", 1.0)
    options.probe_options.step_size = 1.0
    options.probe_position_options.optimizable = False
    reconstructor = options.reconstructor_options
    reconstructor.batch_size = settings["batch"]
    reconstructor.batching_mode = api.BatchingModes(settings.get("batching", "random"))
    if "momentum" in settings:
        reconstructor.momentum_acceleration_gain = settings["momentum"]
    reconstructor.num_epochs = job["marks"][-1]
    reconstructor.default_device = api.Devices.GPU if job["gpu"] else api.Devices.CPU
    reconstructor.default_dtype = api.Dtypes.FLOAT32
    reconstructor.random_seed = 0
    shape = data["object_shape"]
    positions = (data["pixels"] - np.round(shape / 2)).astype(np.float32)
    return PtychographyTask(
        options,
        diffraction_data=data["patterns"],
        object_data=np.ones((1, *shape), np.complex64),
        probe_data=(data["probe"] / scale(data))[None].astype(np.complex64),
        probe_position_x_px=positions[:, 1],
        probe_position_y_px=positions[:, 0],
    )


def scale(data: dict) -> float:
    """Return the ratio of the probe for a unitary transform to that for a transform without normalisation."""
    return float(np.sqrt(np.prod(data["probe"].shape[-2:])))


def reconstruct(data: dict, job: dict) -> driver.Marks:
    """Run one job."""
    torch.set_num_threads(job["threads"])
    task, done, seconds = make_task(data, job), 0, 0.0
    for mark in job["marks"]:
        start = time.perf_counter()
        task.run(mark - done)
        seconds, done = seconds + time.perf_counter() - start, mark
        obj, probe = (task.get_data_to_cpu(name, as_numpy=True)[0] for name in ("object", "probe"))
        yield seconds, obj.copy(), probe * scale(data)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    driver.serve(reconstruct, ("ptychi", "torch"))
