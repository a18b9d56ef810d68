"""The description of one reconstruction, and how its input files are opened."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import exitwave
from exitwave.cxi.changed import require_unchanged_input
from exitwave.dialects.detect import read
from exitwave.errors import InputError
from exitwave.outputs import check_output
from exitwave.scan import Result, Scan, scan_in


@dataclass(frozen=True)
class Job:
    """A reconstruction of one input, or of several inputs together."""

    inputs: tuple[Path, ...]
    """The scans, or one result to continue from."""
    outputs: tuple[Path, ...]
    """The result files, one for each input."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the recipe."""
    overrides: dict[str, str] = field(default_factory=dict)
    """Values that replace those in the input files; see `exitwave.open`."""
    probe: str | None = None
    """Starting probe: ``auto``, ``file`` or the path of a file that contains one; None: as the settings define."""
    share: str | None = None
    """What several scans have in common: ``probe`` or ``both``."""
    quick: bool = False
    """Reconstruct for a first look: choose settings without trials, and do few iterations."""
    started: float | None = None
    """Time at which the command started, as in ``time.time()``, from which ``seconds`` counts; None: when it runs."""
    as_is: bool = False
    """Reconstruct the scan without preparation and without choosing settings."""
    frc: bool = False
    """Measure the resolution from two halves of each scan."""
    embed: bool = False
    """Copy the frames into the results."""
    overwrite: bool = False
    """Replace existing outputs."""
    checkpoint: float | None = 60.0
    """Seconds between two checkpoints, which are beside the first output until it is saved; None: write none."""
    changed_input: bool = False
    """Continue a result although its input has changed since the reconstruction."""
    command: str = "exitwave.jobs.run"
    """The command that is stored in the provenance of the results."""


@dataclass(frozen=True)
class Inputs:
    """The opened inputs of a job."""

    data: tuple[Scan | Result, ...]
    """One scan or result for each input."""
    settings: dict[str, Any]
    """Settings of the recipe, with the choice of the starting probe."""
    seconds: float
    """Time that opening took."""


def open_inputs(job: Job) -> Inputs:
    """Open the inputs of a job and apply its starting probe.

    Raises
    ------
    InputError
        If an input or the file of the starting probe cannot be used, or the input of a result has changed.
    OutputError
        If an output would replace an input or the file with its frames.
    """
    begin = time.perf_counter()
    data = [read(path, job.overrides) for path in job.inputs]
    seconds = time.perf_counter() - begin
    for path, each in zip(job.inputs, data, strict=True):
        require_unchanged_input(each, path, job.changed_input)
    data[0], settings = _with_starting_probe(data[0], job.probe, job.settings)
    sources = [source for each in data for source in (scan_in(each).path, scan_in(each).patterns.path)]
    for output in job.outputs:
        check_output(output, *sources, overwrite=job.overwrite)
    return Inputs(tuple(data), settings, seconds)


def _with_starting_probe(
    data: Scan | Result, probe: str | None, settings: dict[str, Any]
) -> tuple[Scan | Result, dict[str, Any]]:
    """Return the data and settings with a starting probe: a word goes to the settings, a path replaces the probe."""
    if probe is None:
        return data, settings
    if probe in ("auto", "file"):
        return data, settings | {"probe": probe}
    other = exitwave.open(probe)
    if other.probe is None:
        remedy = "Give a file that contains source_1/illumination, or --probe auto"
        raise InputError("The file contains no probe", where=probe, remedy=remedy)
    return replace(data, probe=other.probe), settings | {"probe": "file"}
