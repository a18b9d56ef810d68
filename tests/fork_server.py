"""Run verbs in forked processes, which need no imports, and kill them at a given time or step.

A step is an operation on a file of the folder of the run: opening, renaming, linking, removing, or a write of HDF5.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEED_ROOM = {"open", "os.link", "os.rename", "os.mkdir"}
"""Audit events of Python that count as steps, and fail on a full disk."""
EVENTS = NEED_ROOM | {"os.remove", "os.chmod", "os.chown"}
"""All audit events that count as steps."""
IMPORTS = (
    "exitwave.cli",
    "exitwave.cxi.validate",
    "exitwave.dialects.detect",
    "exitwave.dialects.exports",
    "exitwave.figures.report",
    "exitwave.jobs.run",
    "exitwave.preparation",
    "exitwave.simulation",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "tifffile",
)
"""Modules that the server imports; none of them starts a thread."""


@dataclass(frozen=True)
class Done:
    """How a verb has ended."""

    status: int
    """Exit code; -9 if it was killed."""
    output: str
    """What it printed on stdout and stderr."""
    steps: int
    """Number of its steps, if it was not killed."""
    seconds: float
    """Its duration."""


@dataclass
class Server:
    """A process that has imported Exitwave, and runs verbs in forks of itself."""

    process: subprocess.Popen[str]
    folder: Path
    """Folder of the standard output of the verbs."""
    count: int = field(default=0)

    def run(self, arguments: Sequence[object], **how: Any) -> Done:
        """Run a verb.

        Parameters
        ----------
        arguments : sequence
            The verb, its arguments and options.
        **how
            ``folder``
                working directory, in which steps are counted;
            ``kill_at_step``, ``kill_after`` (seconds)
                when it is killed;
            ``fail_from_step``, ``errno``
                from which step on writing raises which error of the system;
            ``create``, ``create_at_step``
                a file that appears at a step;
            ``truncate``, ``truncate_at_step``
                a file that loses its second half at a step;
            ``largest_file``
                limit of the size of files in bytes;
            ``temporary``
                folder for temporary files;
            ``encoding``
                that of stdout and stderr, as PYTHONIOENCODING;
            ``environment``
                further variables.
        """
        self.count += 1
        output = self.folder / str(self.count)
        request = {"arguments": [str(each) for each in arguments], "output": str(output), **how}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request, default=str) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return Done(answer["status"], output.read_text(errors="replace"), answer["steps"], answer["seconds"])


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Start a server, and end it after the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, __file__], text=True, **pipes) as process,
    ):
        yield Server(process, Path(folder))
        process.communicate()


def _serve() -> None:
    import importlib
    import time

    for name in IMPORTS:
        importlib.import_module(name)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        request = json.loads(line)
        read, write = os.pipe()
        while signal.sigtimedwait({signal.SIGCHLD}, 0):  # of the child before
            pass
        begin = time.perf_counter()
        child = os.fork()
        if not child:
            os.close(read)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _run(request, write)
        os.close(write)
        if "kill_after" in request and not signal.sigtimedwait({signal.SIGCHLD}, request["kill_after"]):
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seconds = time.perf_counter() - begin
        with open(read) as counted:
            steps = int(counted.read() or 0)
        print(json.dumps({"status": status, "steps": steps, "seconds": seconds}), flush=True)


def _run(request: dict[str, Any], steps: int) -> None:
    """Run a verb in this process, which ends."""
    import resource

    code = 99
    try:
        output = os.open(request["output"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ |= request.get("environment", {})
        os.chdir(request.get("folder", "."))
        tempfile.tempdir = request.get("temporary")
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding=request.get("encoding", "utf-8"), errors="strict")
        if size := request.get("largest_file"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        counter = _Counter(request)
        sys.argv = ["exitwave", *request["arguments"]]
        try:
            from exitwave.cli import main

            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        os.write(steps, str(counter.steps).encode())
    finally:
        os._exit(code)


class _Counter:
    """Counts the steps of this process, and kills it or lets a step fail."""

    def __init__(self, request: dict[str, Any]) -> None:
        from exitwave.cxi import create

        self.steps, self.folder = 0, os.getcwd()
        self.kill_at, self.fail_from = request.get("kill_at_step"), request.get("fail_from_step")
        self.create_at, self.create = request.get("create_at_step"), request.get("create")
        self.truncate_at, self.truncate = request.get("truncate_at_step"), request.get("truncate")
        self.error = request.get("errno")
        sys.addaudithook(self._audit)
        step, is_here, base = self._step, self._is_here, create._Disk.__base__

        class CountedDisk(base):  # type: ignore[misc, valid-type]
            def write(self, data: Any) -> int:
                if is_here(self.name):
                    step(needs_room=True)
                return super().write(data)

        create._Disk.__bases__ = (CountedDisk,)  # the writes of HDF5, which are no audit events

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not arguments or not isinstance(arguments[0], str | bytes):
            return
        if event == "open" and not self._writes(arguments):
            return
        if self._is_here(arguments[0]):
            self._step(needs_room=event in NEED_ROOM)

    def _is_here(self, path: Any) -> bool:
        return os.path.abspath(os.fsdecode(path)).startswith(self.folder + os.sep)

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def _step(self, *, needs_room: bool) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.steps == self.create_at:
            Path(self.create).write_text("theirs")
        if self.steps == self.truncate_at:
            os.truncate(self.truncate, os.path.getsize(self.truncate) // 2)
        if needs_room and self.fail_from is not None and self.steps >= self.fail_from:
            raise OSError(self.error, os.strerror(self.error))


if __name__ == "__main__":
    _serve()
