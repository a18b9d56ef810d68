"""The peer's side: pty-chi's rPIE on the CPU. Run by `peer.py` with the Python of pty-chi's own environment.

    python ptychi_rpie.py JOBS     JOBS: JSON {"data": NPZ, "jobs": [{"threads", "batch", "epochs", "step", "save"}]}

Prints one JSON line: the versions, and for each job the seconds per epoch after the first one (the first warms up).
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import ptychi.api as api
import torch
from ptychi.api.task import PtychographyTask


def make_task(data: dict, job: dict) -> PtychographyTask:
    """Set up rPIE as pty-chi's own rPIE example does: SGD, probe step 1, alpha and random batches as they come.

    Its forward transform is not normalised, so the probe is divided by the square root of the number of pixels. Its
    object window starts at round(position) + round(n_object / 2) - n_probe / 2.
    """
    options = api.RPIEOptions()
    options.object_options.optimizer = options.probe_options.optimizer = api.Optimizers.SGD
    options.object_options.step_size = job["step"]
    options.probe_options.step_size = 1.0
    options.probe_position_options.optimizable = False
    reconstructor = options.reconstructor_options
    reconstructor.batch_size = job["batch"]
    reconstructor.num_epochs = job["epochs"]
    reconstructor.default_device = api.Devices.CPU
    reconstructor.default_dtype = api.Dtypes.FLOAT32
    reconstructor.random_seed = 0
    shape = data["object_shape"]
    positions = (data["pixels"] - np.round(shape / 2)).astype(np.float32)
    probe = data["probe"] / np.sqrt(np.prod(data["probe"].shape[-2:]))
    return PtychographyTask(
        options,
        diffraction_data=data["patterns"],
        object_data=np.ones((1, *shape), np.complex64),
        probe_data=probe[None].astype(np.complex64),
        probe_position_x_px=positions[:, 1],
        probe_position_y_px=positions[:, 0],
    )


def run(data: dict, job: dict) -> float:
    """Do one job and return its seconds per epoch."""
    torch.set_num_threads(job["threads"])
    task = make_task(data, job)
    task.run(1)
    start = time.perf_counter()
    task.run(job["epochs"] - 1)
    seconds = (time.perf_counter() - start) / (job["epochs"] - 1)
    if job["save"]:
        probe = task.get_data_to_cpu("probe", as_numpy=True)[0] * np.sqrt(np.prod(data["probe"].shape[-2:]))
        np.savez(job["save"], object=task.get_data_to_cpu("object", as_numpy=True)[0], probe=probe)
    return seconds


def main() -> None:
    """Read the jobs, do them, print the times."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    order = json.loads(sys.argv[1])
    with np.load(order["data"]) as file:
        data = dict(file)
    seconds = [run(data, job) for job in order["jobs"]]
    versions = {name: version(name) for name in ("ptychi", "torch")}
    print(json.dumps({"seconds_per_epoch": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
