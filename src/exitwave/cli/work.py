"""A reconstruction as seen from the command line: iterate, show the progress, save, and say what came out."""

import math
import shlex
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exitwave
from exitwave.analysis.diagnosis import Diagnosis, diagnose
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.verdict import Verdict, verdict
from exitwave.cli.console import Console
from exitwave.cli.outputs import size_of
from exitwave.cli.progress import Bar, Lines, Stop, reporting, stopping
from exitwave.cli.team import SAVED
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator, LostProcessError
from exitwave.errors import InputError, OutputError
from exitwave.optics import mode_powers
from exitwave.scan import Result, Scan
from exitwave.units import show

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress


@dataclass(frozen=True)
class Work:
    """A reconstruction that is saved."""

    progress: "Progress"
    """The last iteration."""
    result: Result
    """What was saved."""
    earlier: int
    """Iterations of earlier runs, where this one continued from a result."""
    stopped_by: str
    """``iterations``, ``seconds``, ``patience``, ``divergence`` or ``interrupted``."""
    output: Path
    """Where."""
    seconds: dict[str, float]
    """Time of each part: open, choose, prepare, compile, run, halves, write."""

    @property
    def error(self) -> float:
        """Error metric of the saved object and probe."""
        return float(self.result.errors[-1])

    @property
    def holdout_error(self) -> float:
        """The same on the frames held out; NaN where there are none."""
        return float(self.result.holdout_errors[-1]) if len(self.result.holdout_errors) else math.nan

    @cached_property
    def verdict(self) -> Verdict:
        """What the result is worth."""
        return verdict(self.result)

    @cached_property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """What is wrong with it, or with the scan."""
        return diagnose(self.result)

    @property
    def frames(self) -> int:
        """Number of frames that were reconstructed."""
        return len(account_for_frames(self.result)[USED])


def work(
    data: Scan | Result,
    settings: dict[str, Any],
    output: Path,
    *,
    overwrite: bool,
    embed: bool,
    opened: float,
    frc: bool = False,
    choosing: bool = False,
    quiet: bool = False,
    team: Communicator = ONE_PROCESS,
) -> Work:
    """Reconstruct, measure the resolution by two halves of the scan if asked for (``frc``), and save.

    With ``choosing`` a scan is prepared first, and what the settings leave open is chosen.

    The first Ctrl-C or SIGTERM stops after the current iteration and saves what there is. Of several processes
    (``team``) the first one saves; where another one dies, one that is left does, and raises what has happened.
    """
    earlier = len(data.errors) if isinstance(data, Result) else 0
    how: dict[str, Any] = {"overwrite": overwrite, "embed": embed, "frc": frc, "quiet": quiet, "team": team}
    (done,) = _work(data, settings, [output], opened=opened, choosing=choosing, **how)
    return replace(done, earlier=earlier)


def work_together(
    data: list[Scan | Result], share: str | None, settings: dict[str, Any], outputs: list[Path], **how: Any
) -> list[Work]:
    """Reconstruct several scans in one and save a result for each; otherwise as `work`."""
    return _work(data, settings | {"share": share}, outputs, **how)


def _work(
    data: Any,
    settings: dict[str, Any],
    outputs: list[Path],
    *,
    overwrite: bool,
    embed: bool,
    opened: float,
    frc: bool = False,
    choosing: bool = False,
    quiet: bool = False,
    team: Communicator = ONE_PROCESS,
) -> list[Work]:
    """Reconstruct and save all results."""
    last, lost = None, None
    with reporting(None if quiet else Console(stderr=True)) as report, stopping(report.announce) as stop:
        begin = time.perf_counter()
        if choosing and isinstance(data, Scan):
            chosen = team.first(partial(exitwave.choose, data, report.announce, **settings))
            data, settings = chosen.scan, {"recipe": chosen.recipe, "choices": chosen.choices}
        choice = time.perf_counter() - begin
        try:
            for last in exitwave.iterate(data, announce=report.announce, communicator=team, **settings):
                if frc and last.tile:
                    raise _no_halves(last.tile)
                stop.something_to_save = True
                report.update(last)
                stop.asked = team.any(stop.asked)
                if stop.asked:
                    break
        except LostProcessError as error:
            if last is None or not team.saves():
                raise
            lost = error
            if last.tile:  # an earlier result stays: this one has less of the object
                outputs = [output.with_stem(f"{output.stem}_tile") for output in outputs]
            report.announce(str(error))
        assert last is not None  # a recipe has at least one iteration
        results, begin = last.results(), time.perf_counter()
        if frc and not stop.asked and lost is None and team.rank == 0:
            results = [_with_frc(result, report, stop) for result in results]
        halves, begin = time.perf_counter() - begin, time.perf_counter()
        stop.saving = True
        report.announce("saving")
        for result, output in zip(results, outputs, strict=True):
            if team.rank == 0 or lost is not None:
                _save(result, output, overwrite=overwrite, embed=embed)
        if lost is not None:
            raise _saved(lost, last, outputs)
        seconds = {
            "open": opened,
            "choose": choice,
            **last.seconds,
            "halves": halves,
            "write": time.perf_counter() - begin,
        }
    return [
        Work(last, result, 0, result.provenance["stopped_by"], output, seconds)
        for result, output in zip(results, outputs, strict=True)
    ]


def _saved(lost: LostProcessError, last: "Progress", outputs: list[Path]) -> LostProcessError:
    """Return the error of a run that has lost a process, with what was saved of it."""
    where = ", ".join(map(str, outputs))
    remedy = f"{SAVED} after {last.iteration} of {last.iterations} iterations: {where}. Continue it like a scan"
    if last.tile:
        remedy += f". Of the object it has one process's tile, {last.tile}; the rest is as it was at the start"
    return LostProcessError(lost.what, found=lost.found, remedy=remedy)


def _no_halves(tile: str) -> InputError:
    """Return the error of a run that is to be halved, and has only a tile of its object in the first process."""
    what = "The halves of --frc are reconstructed in one process, which needs the whole object"
    return InputError(what, found=f"a tile, {tile}", remedy="Leave --frc out, or set tiles to no")


def _with_frc(result: Result, report: Bar | Lines, stop: Stop) -> Result:
    """Return the result with its resolution, unless somebody asks to stop meanwhile."""
    report.announce("reconstructing two halves of the scan for the resolution")

    def watch(half: int, progress: "Progress") -> None:
        if stop.asked:
            raise _StoppedError

    try:
        return replace(result, frc=exitwave.half_scan_frc(result, watch))
    except _StoppedError:
        return result


class _StoppedError(Exception):
    """Somebody asked to stop."""


def _save(result: Result, output: Path, *, overwrite: bool, embed: bool) -> None:
    """Save the result; where the output has become impossible since it was checked, save it elsewhere and say so."""
    try:
        result.save(output, overwrite=overwrite, embed=embed)
    except OutputError as error:
        rescue = Path(tempfile.mkdtemp(prefix="exitwave-")) / output.name
        result.save(rescue, embed=embed)
        raise OutputError(
            error.what, where=error.where, found=error.found, remedy=f"The result is safe in {rescue}"
        ) from error


def summary(done: Work) -> dict[str, Any]:
    """Return what ``--json`` says about a reconstruction."""
    last = done.progress
    return {
        "output": done.output,
        "algorithm": done.result.algorithm,
        "iterations": last.iteration,
        "stopped_by": done.stopped_by,
        "error": done.error,
        "holdout_error": done.holdout_error,
        "frames": done.frames,
        "modes": len(done.result.probe),
        "mode_powers": mode_powers(done.result.probe).tolist(),
        "device": last.settings["device"],
        "threads": last.settings["threads"],
        "processes": last.processes,
        "frames_per_second": last.frames_per_second,
        "seconds": done.seconds,
        "verdict": done.verdict.as_dict(),
        "diagnoses": [each.as_dict() for each in done.diagnoses],
        "findings": [finding.as_dict() for finding in last.findings],
        "preparation": [asdict(step) for step in done.result.scan.preparation],
        "choices": [asdict(step) for step in done.result.choices],
        "recipe": done.result.recipe,
    }


def describe(done: Work) -> str:
    """Return in plain words what was done, how good it is, and what to do next."""
    last, result, out = done.progress, done.result, shlex.quote(str(done.output))
    (rows, columns), (height, width) = result.object.shape[-2:], result.object_pixel
    layers = ""
    if result.z is not None:
        layers = f"{result.slices} slices {show(float(result.z[1] - result.z[0]), 'm', 3)} apart, each of "
    ran = last.iteration - done.earlier
    iterations = f"{ran} more iterations ({last.iteration} in all)" if done.earlier else f"{ran} iterations"
    lines = [
        *(f"Chosen, {step.heading}: {step.name} ({step.why})." for step in result.choices),
        f"Reconstructed {done.frames} frames with {result.algorithm}: {iterations}, "
        f"{_count(len(result.probe), 'probe mode')}, {_place(last)}, "
        f"{done.seconds['run']:.1f} s at {last.frames_per_second:,.0f} frames/s.",
        *done.verdict.sentences(),
        *(f"{each.what.capitalize()} ({each.code}). {each.evidence} {each.remedy}" for each in _worst(done.diagnoses)),
        f"The object is {layers}{rows} x {columns} pixels of {show(height, 'm')} x {show(width, 'm')}, "
        f"a field of {show(rows * height, 'm', 3)} x {show(columns * width, 'm', 3)} (y x x).",
        f"Saved {done.output} ({size_of(done.output)}).",
        f"Next: exitwave report {out}",
    ]
    if done.stopped_by == "interrupted":
        lines.insert(0, f"Interrupted after {last.iteration} of {last.iterations} iterations; what there is was saved.")
    if result.scan.truth is not None:
        lines.append(f"      exitwave compare {out}")
    return "\n".join(lines)


def _worst(diagnoses: tuple[Diagnosis, ...]) -> list[Diagnosis]:
    """Return what matters to the image."""
    return [each for each in diagnoses if each.level != "info"]


def _place(last: "Progress") -> str:
    """Return where it ran."""
    device = last.settings["device"]
    place = _count(last.settings["threads"], "thread") if device == "cpu" else f"on {device}"
    return f"{place} in {last.processes} processes" if last.processes > 1 else place


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
