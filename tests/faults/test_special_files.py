"""Named pipes are neither outputs, which would replace them, nor inputs, which would block."""

import os
import shutil
import stat
from pathlib import Path

import h5py
import pytest
from fork_server import Server
from killing import ITERATE, SIMULATE

from exitwave.cxi.schema import path

FRAMES = path("frames")
LONG = 60.0
"""Seconds after which a verb that blocks is killed."""
OUTPUTS = [
    ("simulate", "pipe", *SIMULATE[2:]),
    ("prepare", "scan.cxi", "pipe"),
    ("convert", "scan.cxi", "pipe", "--to", "npz"),
    ("convert", "scan.cxi", "pipe", "--to", "tiff"),
    ("convert", "scan.cxi", "pipe", "--to", "png"),
    ("reconstruct", "scan.cxi", "-o", "pipe", *ITERATE, "--iterations", "1"),
    ("report", "scan.cxi", "-o", "pipe"),
    ("report", "scan.cxi", "-o", "link"),
]


@pytest.fixture
def piped(folder: Path) -> Path:
    """Return a folder with a named pipe, and files that lead to it."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    for name in ("linked", "virtual"):
        shutil.copy(folder / "scan.cxi", folder / f"{name}.cxi")
        with h5py.File(folder / f"{name}.cxi", "r+") as file:
            shape, dtype = file[FRAMES].shape, file[FRAMES].dtype
            del file[FRAMES]
            if name == "linked":
                file[FRAMES] = h5py.ExternalLink("pipe", FRAMES)
                continue
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource("pipe", FRAMES, shape, dtype)
            file.create_virtual_dataset(FRAMES, layout)
    return folder


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["new", "overwrite"])
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_a_pipe_is_no_output(
    arguments: tuple[str, ...], overwrite: tuple[str, ...], server: Server, piped: Path
) -> None:
    done = server.run([*arguments, *overwrite], folder=piped, kill_after=LONG)
    assert stat.S_ISFIFO((piped / "pipe").stat().st_mode)
    assert done.status == 2, done.output
    assert "The output is not a regular file (a pipe)" in done.output
    assert not [name for name in os.listdir(piped) if name.startswith(".")]


def test_a_figure_does_not_replace_a_pipe(server: Server, piped: Path) -> None:
    (piped / "pipe").rename(piped / "positions.png")
    done = server.run(("plot", "scan.cxi", "-o", "."), folder=piped, kill_after=LONG)
    assert done.status == 2, done.output
    assert stat.S_ISFIFO((piped / "positions.png").stat().st_mode)


INPUTS = [
    *((verb, "pipe") for verb in ("inspect", "validate", "verify", "report", "plot")),
    ("prepare", "pipe", "new.cxi"),
    ("convert", "pipe", "new.cxi", "--to", "seed"),
    ("reconstruct", "pipe", "-o", "new.cxi"),
    ("compare", "pipe"),
    ("compare", "result.cxi", "pipe"),
    ("report", "link"),
    ("inspect", "linked.cxi"),
    ("inspect", "virtual.cxi"),
    ("prepare", "virtual.cxi", "new.cxi"),
    ("prepare", "scan.cxi", "new.cxi", "--dark", "pipe"),
    ("prepare", "scan.cxi", "new.cxi", "--monitor", "pipe"),
    ("reconstruct", "scan.cxi", "-o", "new.cxi", "--probe", "pipe"),
    ("reconstruct", "scan.cxi", "-o", "new.cxi", "--recipe", "pipe"),
]


@pytest.mark.parametrize("arguments", INPUTS, ids=" ".join)
def test_a_pipe_is_no_input(arguments: tuple[str, ...], server: Server, piped: Path) -> None:
    done = server.run(arguments, folder=piped, kill_after=LONG)
    assert done.status == 2, done.output
    assert "Unexpected" not in done.output
    assert not (piped / "new.cxi").exists()


def test_a_link_to_a_pipe_is_not_valid(server: Server, piped: Path) -> None:
    done = server.run(("validate", "linked.cxi"), folder=piped, kill_after=LONG)
    assert done.status == 1, done.output
    assert "The input is a pipe or a device" in done.output


def test_a_pipe_is_no_checkpoint(server: Server, piped: Path) -> None:
    (piped / "pipe").rename(piped / "new.cxi.checkpoint")
    resume = ("reconstruct", "scan.cxi", "-o", "new.cxi", *ITERATE, "--iterations", "1", "--resume")
    done = server.run(resume, folder=piped, kill_after=LONG)
    assert done.status == 2, done.output
