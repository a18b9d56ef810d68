"""The outcome of a reconstruction, as text and for ``--json``."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from exitwave.cli.outputs import size_of
from exitwave.jobs.outcome import Outcome
from exitwave.optics import mode_powers
from exitwave.units import show

if TYPE_CHECKING:
    from exitwave.reconstruction.iterate import Progress


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return the document of a reconstruction for ``--json``."""
    last, result = outcome.progress, outcome.result
    return {
        "output": outcome.output,
        "algorithm": result.algorithm,
        "iterations": last.iteration,
        "stopped_by": outcome.stopped_by,
        "error": outcome.error,
        "holdout_error": outcome.holdout_error,
        "frames": outcome.frames,
        "modes": len(result.probe),
        "mode_powers": mode_powers(result.probe).tolist(),
        "device": last.settings["device"],
        "threads": last.settings["threads"],
        "processes": last.processes,
        "frames_per_second": last.frames_per_second,
        "seconds": outcome.seconds,
        "verdict": outcome.verdict.as_dict(),
        "diagnoses": [each.as_dict() for each in outcome.diagnoses],
        "findings": [finding.as_dict() for finding in last.findings],
        "preparation": [asdict(step) for step in result.scan.preparation],
        "choices": [asdict(choice) for choice in result.choices],
        "recipe": result.recipe,
    }


def describe(outcome: Outcome) -> str:
    """Return text that states what was done, how good the result is, and what to do next."""
    result, file = outcome.result, shlex.quote(str(outcome.output))
    lines = [
        *(f"Chosen {choice.heading}: {choice.name} ({choice.why})." for choice in result.choices),
        _iterations(outcome),
        _object(outcome),
        *outcome.verdict.sentences(),
        *(
            f"{each.level.capitalize()} {each.code}: {each.what}. {each.evidence} {each.remedy.replace('RESULT', file)}"
            for each in outcome.diagnoses
            if each.level != "info"
        ),
        f"Saved {outcome.output} ({size_of(outcome.output)}).",
        f"Next: exitwave report {file}",
    ]
    if outcome.stopped_by == "interrupted":
        last = outcome.progress
        saved = f"Interrupted after {last.iteration} of {last.iterations} iterations. The partial result was saved."
        lines.insert(0, saved)
    if result.scan.truth is not None:
        lines.append(f"      exitwave compare {file}")
    return "\n".join(lines)


def _iterations(outcome: Outcome) -> str:
    """Return how the object was reconstructed, and how long it took."""
    last, result = outcome.progress, outcome.result
    ran = last.iteration - outcome.earlier
    iterations = f"{ran} more iterations ({last.iteration} in total)" if outcome.earlier else f"{ran} iterations"
    modes = _count(len(result.probe), "probe mode")
    return (
        f"Reconstructed {outcome.frames} frames with {result.algorithm}: {iterations}, {modes}, {_hardware(last)}, "
        f"{outcome.seconds['run']:.1f} s at {last.frames_per_second:,.0f} frames/s."
    )


def _object(outcome: Outcome) -> str:
    """Return the size of the object."""
    result = outcome.result
    (rows, columns), (height, width) = result.object.shape[-2:], result.object_pixel
    slices = ""
    if result.z is not None:
        slices = f"{result.slices} slices with a spacing of {show(float(result.z[1] - result.z[0]), 'm', 3)}, each "
    return (
        f"Object: {slices}{rows} x {columns} pixels of {show(height, 'm')} x {show(width, 'm')}, "
        f"field {show(rows * height, 'm', 3)} x {show(columns * width, 'm', 3)}."
    )


def _hardware(last: "Progress") -> str:
    """Return the threads or the device that were used."""
    device = last.settings["device"]
    used = _count(last.settings["threads"], "thread") if device == "cpu" else f"on {device}"
    return f"{used} in each of {last.processes} processes" if last.processes > 1 else used


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
