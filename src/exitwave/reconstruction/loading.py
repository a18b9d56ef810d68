"""Load a scan as a problem: read the counts, and convert metres to pixels."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.detector_model import detector_model, insensitive, relative_flat_field
from exitwave.analysis.engine_problem import near_field_propagator
from exitwave.engine.model.detector import DetectorModel, DetectorSettings
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, Tile, WholeObject
from exitwave.engine.problem import Problem
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.grid import split, to_pixels
from exitwave.scan import Scan, with_unreadable_frames

_LARGEST_INTEGER = np.iinfo(np.uint16).max
Grid = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sample coordinates (y, x) of the object's pixel centres in metres."""


def load_problem(
    scan: Scan,
    positions: NDArray[np.float64],
    grid: Grid,
    *,
    holdout: float,
    seed: int,
    settings: DetectorSettings | None = None,
    communicator: Communicator = ONE_PROCESS,
    tile: WholeObject = WHOLE_OBJECT,
) -> Problem:
    """Load a scan as a problem in counts and pixels.

    Parameters
    ----------
    scan : Scan
        The scan.
    positions : ndarray of shape (npos, 3)
        Positions in metres: those of the scan, or the refined ones of an earlier result.
    grid : tuple of ndarray
        Sample coordinates y, x of the object's pixels in metres.
    holdout : float
        Fraction of the frames that are held out.
    seed : int
        Seed of the choice of held-out frames.
    settings : DetectorSettings, optional
        Effects of the detector that are modelled.
    communicator : Communicator
        The processes, which divide the frames among them.
    tile : WholeObject
        The part of the object that this process holds.

    Raises
    ------
    InputError
        If fewer than two frames hold counts, if the window of a frame is not inside the object, or if the scan lacks
        what the settings require.
    """
    settings = settings or DetectorSettings()
    counts, invalid, findings = load_counts(scan, settings, communicator, tile)
    findings += _damaged_frames(scan, communicator)
    detector = detector_model(scan, settings, saturated=any(each.code == "W233" for each in findings))
    problem = Problem(
        counts=counts,
        invalid=invalid,
        pixels=to_pixels(positions, *grid).astype(np.float32),
        object_shape=(len(grid[0]), len(grid[1])),
        used=scan.used_frames,
        held_out=np.arange(0),
        photons=np.nan,
        propagator=near_field_propagator(scan) if scan.near else None,
        nominal=to_pixels(scan.positions, *grid),
        detector=detector,
        local_frames=None if communicator.size == 1 else local_frames(scan, communicator, tile),
        communicator=communicator,
        tile=tile,
    )
    totals = problem.totals()
    usable = np.intersect1d(np.flatnonzero(totals > 0), scan.used_frames)
    findings += _empty_frames(scan, totals, usable)
    _check_windows(problem, usable)
    rng = np.random.default_rng(seed)
    held_out = np.sort(rng.choice(usable, round(holdout * len(usable)), replace=False))
    used = np.setdiff1d(usable, held_out)
    photons = beam_counts(float(totals[used].mean()), detector)
    return replace(problem, used=used, held_out=held_out, photons=photons, findings=findings)


def _check_windows(problem: Problem, frames: NDArray[np.int64]) -> None:
    """Refuse frames whose window is not inside the object: compiled loops do not check it."""
    corners, _ = split(problem.pixels[frames].astype(np.float64), problem.shape)
    room = np.array(problem.object_shape) - problem.shape
    outside = frames[~((corners >= 0) & (corners <= room)).all(axis=1)]
    if len(outside):
        found = f"{len(outside)} of {len(frames)} frames, the first is frame {outside[0]}"
        remedy = "The coordinates of the object do not fit the positions; start again from the scan"
        raise InputError("The probe lies outside the object", found=found, remedy=remedy)


def _damaged_frames(scan: Scan, communicator: Communicator) -> tuple[Finding, ...]:
    """Share the list of unreadable frames among all processes, and return the finding about new ones."""
    flags = np.zeros(len(scan.patterns), np.int64)
    flags[scan.patterns.damaged] = 1
    communicator.add(flags)
    scan.patterns.damage.frames.update(np.flatnonzero(flags).tolist())
    return tuple(each for each in with_unreadable_frames(scan).findings if each not in scan.findings)


def _empty_frames(scan: Scan, totals: NDArray[np.float64], usable: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Return the finding on frames without counts; refuse a scan with fewer than two usable frames."""
    if len(usable) < 2:
        remedy = "Check the mask (0 is good, 1 is bad; --set mask=inverted) and the frames"
        found = f"counts in {len(usable)} of {len(totals)} frames"
        raise InputError("The frames hold no counts", where=str(scan.path or ""), found=found, remedy=remedy)
    count = len(np.setdiff1d(np.flatnonzero(totals <= 0), scan.patterns.damaged))
    remedy = "They are left out; check the shutter and the beam"
    empty = finding("W234", scan.patterns.dataset, f"{count} empty frames", "counts in every frame", remedy)
    return (empty,) if count else ()


def load_counts(
    scan: Scan,
    settings: DetectorSettings | None = None,
    communicator: Communicator = ONE_PROCESS,
    tile: WholeObject = WHOLE_OBJECT,
) -> tuple[NDArray[Any], float, tuple[Finding, ...]]:
    """Read the frames once, into the smallest exact type; far-field patterns with zero frequency at [0, 0].

    Masked and saturated pixels, and counts that are negative, not finite or a marker of the detector, become
    ``invalid``. The dark frame is subtracted, and negative differences become 0. The settings may leave the dark frame
    in the counts, or set saturated pixels to the saturation value. If the flat field is modelled, insensitive pixels
    become ``invalid``.

    Each of several processes reads its `local_frames`; type and findings are those of all frames.

    Returns
    -------
    counts : ndarray of shape (npos, ny, nx)
        uint16 if every count is an integer that fits, else float32.
    invalid : float
        The value that marks a pixel without a measurement.
    findings : tuple of Finding
        The pixels that were excluded.
    """
    detector, settings = scan.detector, settings or DetectorSettings()
    capped = settings.saturated == "cap"
    cap = np.float32(np.inf if detector.saturation is None else detector.saturation)
    flat = relative_flat_field(scan, settings)
    excluded = np.zeros((1, 1), bool) if flat is None else insensitive(flat)
    frames, filled = local_frames(scan, communicator, tile), 0
    counts: NDArray[Any] = np.empty((len(frames), *scan.patterns.shape[1:]), np.uint16)
    invalid, unusable = float(_LARGEST_INTEGER), np.zeros(3, np.int64)
    for index, patterns in scan.patterns.some(frames, 16):  # few frames, so that the copies need little memory
        block = patterns.astype(np.float32)
        unusable += _classify(block[~detector.usable(patterns, index) & detector.good(index)])
        good = detector.usable(patterns, index, saturated=capped) & ~excluded
        block = np.minimum(block, cap) if capped else block
        block = np.where(good, block if settings.background == "dark" else detector.without_dark(block), 0)
        if counts.dtype == np.uint16 and not _fits_uint16(block):
            counts, invalid = _as_float32(counts, filled), -1.0
        block[~good] = invalid
        counts[filled : filled + len(block)] = block if scan.near else np.fft.ifftshift(block, axes=(1, 2))
        filled += len(block)
    if communicator.any(counts.dtype != np.uint16) and counts.dtype == np.uint16:
        counts, invalid = _as_float32(counts, filled), -1.0
    communicator.add(unusable)
    return counts, invalid, _findings(scan.patterns.dataset, math.prod(scan.patterns.shape), unusable)


def local_frames(scan: Scan, communicator: Communicator, tile: WholeObject = WHOLE_OBJECT) -> NDArray[np.int64]:
    """Return the frames that this process reads: those of its tile, or every size-th one.

    Frames that are left out are divided separately from the others, because only the others cost time in an iteration.
    """
    if isinstance(tile, Tile):
        return tile.frames
    groups = scan.used_frames, np.setdiff1d(np.arange(len(scan.patterns)), scan.used_frames)
    return np.sort(np.concatenate([group[communicator.rank :: communicator.size] for group in groups]))


def _classify(counts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return how many unusable counts are not finite, negative, and saturated."""
    not_finite, negative = (~np.isfinite(counts)).sum(), (counts < 0).sum() - np.isneginf(counts).sum()
    return np.array([not_finite, negative, counts.size - not_finite - negative])


def _fits_uint16(counts: NDArray[np.float32]) -> bool:
    """Return whether counts are integers below the value that marks an invalid pixel."""
    return bool(counts.max() < _LARGEST_INTEGER and (counts == np.rint(counts)).all())


def _as_float32(counts: NDArray[Any], filled: int) -> NDArray[np.float32]:
    """Return uint16 counts as float32, with the first ``filled`` frames and their invalid pixels converted."""
    converted = np.empty(counts.shape, np.float32)
    for j in range(filled):
        converted[j] = np.where(counts[j] == _LARGEST_INTEGER, np.float32(-1), counts[j])
    return converted


def _findings(dataset: str, size: int, unusable: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Return the findings on pixels that were excluded."""
    kinds = [
        ("W231", "are NaN or infinite", "finite counts"),
        ("W232", "are negative", "counts of 0 or more"),
        ("W233", "are saturated", "counts below saturation_value"),
    ]
    remedy = "These pixels are left out of their frames; mask them if they are always bad"
    return tuple(
        finding(code, dataset, f"{n} pixels ({n / size:.2g} of all) {what}", expected, remedy)
        for (code, what, expected), n in zip(kinds, unusable, strict=True)
        if n
    )


def beam_counts(counts: float, detector: DetectorModel | None) -> float:
    """Return the mean counts of a frame without the background, but at least a tenth of all counts."""
    return counts if detector is None else max(counts - float(detector.background.sum()), counts / 10)
