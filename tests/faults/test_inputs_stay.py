"""No output of any verb replaces a file that the command reads, directly or through links."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from fork_server import Server
from killing import ITERATE, digests

from exitwave.cxi.schema import path

FRAMES = path("frames")
RECONSTRUCT = ("reconstruct", *ITERATE, "--iterations", "1", "--overwrite")


@pytest.fixture
def linked(folder: Path) -> Path:
    """Return a folder with a scan, and files that lead to its patterns in all ways that HDF5 and the system have."""
    os.link(folder / "scan.cxi", folder / "hard.cxi")
    (folder / "soft.cxi").symlink_to("scan.cxi")
    for name in ("virtual", "chain", "middle"):
        shutil.copy(folder / "scan.cxi", folder / f"{name}.cxi")
    with h5py.File(folder / "virtual.cxi", "r+") as file:
        shape, dtype = file[FRAMES].shape, file[FRAMES].dtype
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource("scan.cxi", FRAMES, shape, dtype)
        del file[FRAMES]
        file.create_virtual_dataset(FRAMES, layout)
    for name, target in (("middle", "scan.cxi"), ("chain", "middle.cxi")):
        with h5py.File(folder / f"{name}.cxi", "r+") as file:
            del file[FRAMES]
            file[FRAMES] = h5py.ExternalLink(target, FRAMES)
    np.save(folder / "array.npy", np.ones((128, 128), np.float32))
    (folder / "recipe.yaml").write_text("iterations: 1\n")
    shutil.copy(folder / "scan.cxi", folder / "positions.png")
    return folder


CASES = [
    ("report", "scan.cxi", "-o", "hard.cxi", "--overwrite"),
    ("report", "scan.cxi", "-o", "soft.cxi", "--overwrite"),
    ("report", "result.cxi", "-o", "scan.cxi", "--overwrite"),
    ("report", "virtual.cxi", "-o", "scan.cxi", "--overwrite"),
    ("report", "chain.cxi", "-o", "scan.cxi", "--overwrite"),
    ("prepare", "chain.cxi", "middle.cxi", "--overwrite"),
    ("prepare", "virtual.cxi", "scan.cxi", "--overwrite"),
    ("prepare", "middle.cxi", "hard.cxi", "--overwrite"),
    ("prepare", "scan.cxi", "array.npy", "--dark", "array.npy", "--overwrite"),
    *(("convert", "result.cxi", "scan.cxi", "--to", name, "--overwrite") for name in ("seed", "tiff", "ptypy")),
    ("convert", "virtual.cxi", "scan.cxi", "--to", "png", "--overwrite"),
    (*RECONSTRUCT, "result.cxi", "-o", "scan.cxi"),
    (*RECONSTRUCT, "virtual.cxi", "-o", "hard.cxi"),
    (*RECONSTRUCT, "scan.cxi", "--probe", "result.cxi", "-o", "result.cxi"),
    (*RECONSTRUCT, "virtual.cxi", "--probe", "result.cxi", "-o", "soft.cxi"),
    (*RECONSTRUCT, "scan.cxi", "--recipe", "result.cxi", "-o", "result.cxi"),
    (*RECONSTRUCT, "scan.cxi", "--recipe", "recipe.yaml", "-o", "recipe.yaml"),
    ("plot", "positions.png", "-o", "."),
]


def refused(server: Server, arguments: tuple[str, ...], folder: Path) -> None:
    before = digests(folder)
    done = server.run(arguments, folder=folder)
    assert digests(folder) == before
    assert done.status == 2, done.output
    assert "The output is an input" in done.output
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_an_input_is_not_replaced(arguments: tuple[str, ...], server: Server, linked: Path) -> None:
    refused(server, arguments, linked)


BATCH = ("batch", "-o", ".", "--workers", "1", "--overwrite", *ITERATE, "--iterations", "1")


@pytest.mark.parametrize("name", ["scan_result.cxi", "scan_result_report.html", "batch.html", "batch.json"])
def test_a_batch_does_not_replace_its_inputs(name: str, server: Server, folder: Path) -> None:
    (folder / "result.cxi").unlink()
    shutil.copy(folder / "scan.cxi", folder / name)
    refused(server, (*BATCH, "scan.cxi", name), folder)


def test_a_batch_does_not_replace_its_recipe(server: Server, folder: Path) -> None:
    (folder / "result.cxi").rename(folder / "scan_result.cxi")
    refused(server, (*BATCH, "scan.cxi", "--recipe", "scan_result.cxi"), folder)
