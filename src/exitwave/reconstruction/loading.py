"""From a scan to the problem: the counts are read, and metres become pixels."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitwave.engine.model.detector import DetectorModel, DetectorSettings, blind, detector_model, efficiency
from exitwave.engine.model.near_field import propagator
from exitwave.engine.parallel.communicator import ONE_PROCESS, Communicator
from exitwave.engine.parallel.tiles import WHOLE_OBJECT, Tile, WholeObject
from exitwave.engine.problem import Problem
from exitwave.errors import Finding, InputError
from exitwave.findings import finding
from exitwave.positions.grid import to_pixels
from exitwave.scan import Scan

_LARGEST_INTEGER = np.iinfo(np.uint16).max
Grid = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sample coordinates (y, x) of the object's pixel centres in metres."""


def local_frames(scan: Scan, communicator: Communicator, tile: WholeObject = WHOLE_OBJECT) -> NDArray[np.int64]:
    """Return the frames of a scan that this process reads: those of its tile, or neighbours are of different ones.

    Which frames hold counts, and which of them are held out, is not known before; but which are left out.
    """
    if isinstance(tile, Tile):
        return tile.frames
    groups = scan.used_frames, np.setdiff1d(np.arange(len(scan.patterns)), scan.used_frames)
    return np.sort(np.concatenate([group[communicator.rank :: communicator.size] for group in groups]))


def load_counts(
    scan: Scan,
    settings: DetectorSettings | None = None,
    communicator: Communicator = ONE_PROCESS,
    tile: WholeObject = WHOLE_OBJECT,
) -> tuple[NDArray[Any], float, tuple[Finding, ...]]:
    """Read the frames once, into the smallest exact type; far-field patterns with zero frequency at [0, 0].

    Masked and saturated pixels, and counts that are negative, not finite or a detector's mark, become ``invalid``. A
    dark frame is subtracted (counts that fall below zero become zero). The settings may keep the dark frame in the
    counts, and saturated pixels at the counts of saturation; a flat field that they use leaves out pixels of hardly any
    efficiency.

    Every process of a team reads those that it has `carried`; type and findings are those of all frames.

    Returns
    -------
    stack : ndarray of shape (npos, ny, nx)
        uint16 where every count is an integer that fits, else float32.
    invalid : float
        The mark of a pixel without a measurement.
    findings : tuple of Finding
        What was repaired.
    """
    detector, settings = scan.detector, settings or DetectorSettings()
    capped = settings.saturated == "cap"
    cap = np.float32(np.inf if detector.saturation is None else detector.saturation)
    flat = efficiency(scan, settings)
    dead = np.zeros((1, 1), bool) if flat is None else blind(flat)
    frames, filled = local_frames(scan, communicator, tile), 0
    stack: NDArray[Any] = np.empty((len(frames), *scan.patterns.shape[1:]), np.uint16)
    invalid, repaired = float(_LARGEST_INTEGER), np.zeros(3, np.int64)
    for index, block in scan.patterns.some(frames, 16):  # memory beside the stack is for few frames
        counts = block.astype(np.float32)
        repaired += _repaired(counts[~detector.usable(block, index) & detector.good(index)])
        good = detector.usable(block, index, saturated=capped) & ~dead
        counts = np.minimum(counts, cap) if capped else counts
        counts = np.where(good, counts if settings.background == "dark" else detector.without_dark(counts), 0)
        if stack.dtype == np.uint16 and not _fits(counts):
            stack, invalid = _promote(stack, filled), -1.0
        counts[~good] = invalid
        stack[filled : filled + len(counts)] = counts if scan.near else np.fft.ifftshift(counts, axes=(1, 2))
        filled += len(counts)
    if communicator.any(stack.dtype != np.uint16) and stack.dtype == np.uint16:
        stack, invalid = _promote(stack, filled), -1.0
    communicator.add(repaired)
    return stack, invalid, _findings(scan.patterns.dataset, math.prod(scan.patterns.shape), repaired)


def _repaired(counts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Sort unusable counts of good pixels: how many are not finite, negative, saturated."""
    broken, negative = (~np.isfinite(counts)).sum(), (counts < 0).sum() - np.isneginf(counts).sum()
    return np.array([broken, negative, counts.size - broken - negative])


def _fits(counts: NDArray[np.float32]) -> bool:
    """Say whether counts are integers below the mark of an invalid pixel."""
    return bool(counts.max() < _LARGEST_INTEGER and (counts == np.rint(counts)).all())


def _promote(stack: NDArray[Any], filled: int) -> NDArray[np.float32]:
    """Return the stack as float32, with the first ``filled`` frames and their invalid pixels carried over."""
    wide = np.empty(stack.shape, np.float32)
    for j in range(filled):
        wide[j] = np.where(stack[j] == _LARGEST_INTEGER, np.float32(-1), stack[j])
    return wide


def _findings(dataset: str, size: int, repaired: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Say what was repaired while loading."""
    kinds = [
        ("W231", "are NaN or infinite", "finite counts"),
        ("W232", "are negative", "counts of 0 or more"),
        ("W233", "are saturated", "counts below saturation_value"),
    ]
    remedy = "These pixels are left out of their frames; mask them if they are always bad"
    return tuple(
        finding(code, dataset, f"{n} pixels ({n / size:.2g} of all) {what}", expected, remedy)
        for (code, what, expected), n in zip(kinds, repaired, strict=True)
        if n
    )


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
    """Turn a scan into the problem that an algorithm solves.

    Parameters
    ----------
    scan : Scan
        What was measured.
    positions : ndarray of shape (npos, 3)
        Where the probe was, in metres: those of the scan, or those that an earlier result used.
    grid : tuple of ndarray
        Sample coordinates y, x of the object's pixels in metres.
    holdout : float
        Fraction of the frames that are kept out of the reconstruction to judge it.
    seed : int
        Chooses which.
    settings : DetectorSettings, optional
        What of the detector is in the model.
    team : Alone
        The processes that carry the frames.
    tile : Whole
        What of the object is in this process.

    Raises
    ------
    InputError
        If no frame holds a count, or the scan lacks what the settings ask for.
    """
    settings = settings or DetectorSettings()
    stack, invalid, findings = load_counts(scan, settings, communicator, tile)
    detector = detector_model(scan, settings, saturated=any(each.code == "W233" for each in findings))
    problem = Problem(
        counts=stack,
        invalid=invalid,
        pixels=to_pixels(positions, *grid).astype(np.float32),
        object_shape=(len(grid[0]), len(grid[1])),
        used=scan.used_frames,
        held_out=np.arange(0),
        photons=np.nan,
        propagator=propagator(scan) if scan.near else None,
        nominal=to_pixels(scan.positions, *grid),
        detector=detector,
        local_frames=None if communicator.size == 1 else local_frames(scan, communicator, tile),
        communicator=communicator,
        tile=tile,
    )
    totals = problem.totals()
    lit = totals > 0
    alive = np.intersect1d(np.flatnonzero(lit), scan.used_frames)
    if len(alive) < 2:
        remedy = "Check the mask (0 is good, 1 is bad; --set mask=inverted) and the frames themselves"
        raise InputError("The frames hold no counts", where=str(scan.path or ""), found="no photon", remedy=remedy)
    if not lit.all():
        count = len(lit) - int(lit.sum())
        remedy = "They are left out; check the shutter and the beam"
        empty = finding("W234", scan.patterns.dataset, f"{count} empty frames", "counts in every frame", remedy)
        findings = (*findings, empty)
    rng = np.random.default_rng(seed)
    held_out = np.sort(rng.choice(alive, round(holdout * len(alive)), replace=False))
    used = np.setdiff1d(alive, held_out)
    photons = beam_counts(float(totals[used].mean()), detector)
    return replace(problem, used=used, held_out=held_out, photons=photons, findings=findings)


def beam_counts(counts: float, detector: DetectorModel | None) -> float:
    """Return the mean counts of a frame that come from the beam: without the background, but at least a tenth."""
    return counts if detector is None else max(counts - float(detector.background.sum()), counts / 10)
