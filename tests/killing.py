"""Kill verbs while they run, and check that every output is the complete old or the complete new file."""

import hashlib
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fork_server import Done, Server

from exitwave.cxi.verify import verify_file

SIMULATE = ("simulate", "scan.cxi", "--frames", "12", "--detector", "128", "--step", "150nm")
ITERATE = ("--algorithm", "rPIE", "--threads", "1")


def is_intact(file: Path) -> bool:
    """Return whether all digests of a CXI file are those of its content."""
    return verify_file(file).status == "intact"


def is_archive(file: Path) -> bool:
    """Return whether a ZIP archive is complete."""
    with zipfile.ZipFile(file) as archive:
        return archive.testzip() is None


def is_page(file: Path) -> bool:
    """Return whether an HTML page is complete."""
    return file.read_bytes().rstrip().endswith(b"</html>")


@dataclass(frozen=True)
class Command:
    """A command that writes one file."""

    arguments: tuple[str, ...]
    output: str
    is_complete: Callable[[Path], bool]
    left: tuple[str, ...] = ()
    """Files beside the output that a killed command may leave, and a complete one may not."""

    @property
    def name(self) -> str:
        """Name of the verb."""
        return self.arguments[0]


COMMANDS = {
    command.name: command
    for command in (
        Command((*SIMULATE[:1], "new.cxi", *SIMULATE[2:]), "new.cxi", is_intact),
        Command(("prepare", "scan.cxi", "new.cxi"), "new.cxi", is_intact),
        Command(("convert", "scan.cxi", "new.npz", "--to", "npz"), "new.npz", is_archive),
        Command(
            ("reconstruct", "scan.cxi", "-o", "new.cxi", *ITERATE, "--iterations", "3", "--checkpoint", "0.001"),
            "new.cxi",
            is_intact,
            ("new.cxi.checkpoint",),
        ),
        Command(("report", "scan.cxi", "-o", "new.html"), "new.html", is_page),
    )
}


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder, by name."""
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir() if each.is_file()}


@dataclass
class Kills:
    """Kills of one command in one folder.

    Parameters
    ----------
    server : Server
        Runs the command.
    command : Command
        The command.
    folder : Path
        A folder with the inputs only.
    seed : int
        Seed of the moments.
    """

    server: Server
    command: Command
    folder: Path
    seed: int

    def __post_init__(self) -> None:
        self.random, self.inputs = random.Random(self.seed), digests(self.folder)
        self.target = self.folder / self.command.output
        self.old = self.new = self.partials = 0
        self.reference = self._run()
        assert self.reference.status == 0, self.reference.output
        self._check_folder()

    def _run(self, **how: object) -> Done:
        options = ("--overwrite",) if self.target.exists() else ()
        return self.server.run([*self.command.arguments, *options], folder=self.folder, **how)

    def kill(self, how: str) -> Done:
        """Kill the command once, with an old output or without; ``how`` is ``step`` or ``time``."""
        before = self._prepare_target()
        moment = self.random.random()
        if how == "step":
            done = self._run(kill_at_step=1 + int(moment * self.reference.steps))
        else:
            done = self._run(kill_after=moment * self.reference.seconds)
        assert done.status in (0, -9), done.output
        after = self.target.read_bytes() if self.target.exists() else None
        if after == before:
            self.old += 1
        else:
            assert self.command.is_complete(self.target), f"{self.command.name}: the output is not complete"
            self.new += 1
        self.partials += any(".partial-" in name for name in os.listdir(self.folder))
        self._check_inputs()
        return done

    def _prepare_target(self) -> bytes | None:
        """Put an old file in the place of the output, or none, and return its content."""
        old = self.random.choice((b"an older file", None))
        if old is None:
            self.target.unlink(missing_ok=True)
        else:
            self.target.write_bytes(old)
        return old

    def finish(self) -> None:
        """Run the command to its end, and check that nothing else is left."""
        done = self._run()
        assert done.status == 0, done.output
        assert self.command.is_complete(self.target)
        self._check_folder()

    def _check_folder(self) -> None:
        assert sorted(os.listdir(self.folder)) == sorted({*self.inputs, self.command.output})
        self._check_inputs()

    def _check_inputs(self) -> None:
        now = digests(self.folder)
        assert {name: now[name] for name in self.inputs} == self.inputs


def make_folder(scan: Path, folder: Path) -> Path:
    """Return a new folder with a copy of a scan."""
    folder.mkdir()
    shutil.copy(scan, folder / "scan.cxi")
    return folder
