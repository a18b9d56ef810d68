"""What a result says: what its model leaves unexplained, where the frames want to move, how coherent the beam is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exitwave.analysis.diagnosis.codes import Diagnosis, found
from exitwave.analysis.error import Modelled, modelled
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.analysis.verdict import TRUSTED
from exitwave.errors import Level
from exitwave.optics import mode_powers
from exitwave.poisson import noise_misfit
from exitwave.scan import Result
from exitwave.units import show

PIXELS = 2**19
"""Detector pixels, in as many frames as have them, times modes, for which the model is computed again five times."""
FRAMES = (8, 32)
"""Fewest and most frames for that."""
STEP = 0.25
"""Object pixels by which a frame is moved to see how its model changes."""
MISPLACED, LEFT, MOVED = 0.1, 0.3, 0.5
"""Object pixels (rms) that frames may want to move, the same after a refinement, and by which that may move them."""
SURE = 5.0
"""Such a move must exceed its standard error by this in half of the frames, for something else pulls a little too."""
DRIFTS = 0.4
"""Part of the moves that goes steadily with time in a drift."""
SMOOTH, SMOOTHER, SIGMAS = 0.035, 0.1, 7.0
"""Blurred part of the patterns in partly coherent light, the same where wrong positions blur too, and its certainty."""
BLUR = 1.5
"""Standard deviation in detector pixels of the blur that is looked for."""
COHERENT, MIXED = 0.9, 0.5
"""Share of the first probe mode in a coherent beam, and in one that is hardly so."""
UNEXPLAINED = 2.0
"""Error over what noise alone would leave, from which on the model lacks something."""
OTHER_DISTANCE = 0.005
"""Relative change of the distance in its refinement that is worth to be told."""


class Residuals(NamedTuple):
    """What the model of a result leaves of some frames."""

    frames: NDArray[np.int64]
    """Which frames, shape (n,)."""
    moves: NDArray[np.float64]
    """How far each wants to move, columns x, y, in object pixels, shape (n, 2)."""
    certainty: float
    """Such a move over its standard error, in half of the frames."""
    blur: tuple[float, float]
    """Part of the patterns that is blurred, and its standard error."""
    above_noise: float
    """Error metric over what photon noise alone would leave."""


def diagnose_model(result: Result, others: set[str]) -> Iterator[Diagnosis]:
    """Yield what is wrong with a result; ``others`` are the codes of what is wrong with its scan."""
    yield from _distance(result)
    yield from _modes(result)
    moved = _refined(result)
    if moved is not None:
        yield moved
    rest = residuals(result)
    if rest is None:
        return
    misplaced = _misplaced(result, rest, MISPLACED if moved is None else LEFT)
    if misplaced is not None:
        yield misplaced
    blurred = _blurred(result, rest, misplaced is not None, others)
    if blurred is not None:
        yield blurred
    if misplaced is None and blurred is None and rest.above_noise > UNEXPLAINED:
        words = f"Its error is {rest.above_noise:.2g} times what photon noise alone would leave."
        yield found("D418", rest.above_noise, words)


def residuals(result: Result) -> Residuals | None:
    """Compare the model of a result with some of its frames; None where it has no probe or no frame.

    The square roots of the counts have the same noise everywhere. A frame wants to move by the d that minimises
    sum (sqrt(I) - sqrt(m) - d . grad sqrt(m))^2, with the gradient from models at moved positions. The blurred part b
    minimises sum (I - m - b (G m - m))^2 / (m + 1), with a Gaussian blur G.
    """
    used = account_for_frames(result)[USED]
    if len(used) < FRAMES[0] or not len(result.probe):
        return None
    number = int(np.clip(PIXELS // result.probe.size, *FRAMES))
    frames = used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))]
    moves, errors, blurs, sums = [], [], [], np.zeros(2)
    for here, *there in zip(modelled(result, frames), *(_moved(result, frames, k) for k in range(4)), strict=True):
        root = _root(here)
        slopes = np.stack([(_root(a) - _root(b)).ravel() / (2 * STEP) for a, b in (there[:2], there[2:])])
        apart = (np.where(here.good, np.sqrt(np.maximum(here.counts, 0)), 0) - root).ravel()
        inverse = np.linalg.pinv(slopes @ slopes.T)
        moves.append(inverse @ (slopes @ apart))
        errors.append(np.sqrt(np.diag(inverse) * np.mean(apart**2)))
        blurs.append(_blur(here))
        sums += (apart**2).sum(), noise_misfit(here.model[here.good]).sum()
    sure = np.square(np.array(moves) / np.maximum(errors, 1e-12)).mean(axis=1)
    blur = float(np.median(blurs)), float(np.std(blurs) / np.sqrt(len(blurs)))
    above = float(sums[0] / max(sums[1], 1e-12))
    return Residuals(frames, np.array(moves), float(np.sqrt(np.median(sure))), blur, above)


def _moved(result: Result, frames: NDArray[np.int64], which: int) -> Iterator[Modelled]:
    """Return the models at positions a little to the right, left, up or down."""
    axis, sign = which // 2, 1 - 2 * (which % 2)
    positions = result.positions.copy()
    positions[:, axis] += sign * STEP * result.object_pixel[1 - axis]
    return modelled(replace(result, positions=positions), frames)


def _root(each: Modelled) -> NDArray[np.float64]:
    return np.where(each.good, np.sqrt(each.model), 0)


def _blur(each: Modelled) -> float:
    change = gaussian_filter(each.model, BLUR, mode="wrap") - each.model
    weight = each.good / (each.model + 1)
    apart = np.where(each.good, each.counts - each.model, 0)
    return float((apart * change * weight).sum() / max((change**2 * weight).sum(), 1e-12))


def _refined(result: Result) -> Diagnosis | None:
    """Say how far a refinement has moved the positions, as an error that is mended, or as a drift."""
    pixel = np.array(result.object_pixel[::-1])
    moves = ((result.positions - result.scan.positions)[:, :2] / pixel)[account_for_frames(result)[USED]]
    moves = moves - moves.mean(axis=0)
    rms, way = _rms(moves), _drift(account_for_frames(result)[USED] / max(len(result.positions) - 1, 1), moves)
    if rms < MOVED:
        return None
    length = show(rms * float(pixel.mean()), "m", 3)
    if way is not None:
        words = f"The refinement found that they go {way:.3g} object pixels astray, steadily from first to last."
        return _mended(found("D405", way, words, "info"))
    words = f"The refinement has moved them by {length} rms, {rms:.2g} object pixels."
    return _mended(found("D408", rms, words, "info"))


def _mended(fault: Diagnosis) -> Diagnosis:
    return replace(fault, consequence="The model takes account of it.", remedy="Nothing needs to be done.")


def _misplaced(result: Result, rest: Residuals, most: float) -> Diagnosis | None:
    """Say that frames would be explained better somewhere else."""
    rms = _rms(rest.moves)
    if rms < most or rest.certainty < SURE:
        return None
    way = _drift(rest.frames / max(len(result.positions) - 1, 1), rest.moves - rest.moves.mean(axis=0))
    if way is not None:
        return found("D405", way, f"Frames want to move by {way:.2g} object pixels more, steadily from first to last.")
    words = f"Frames want to move by {rms:.2g} object pixels rms, {rest.certainty:.2g} times the error of that"
    return found("D408", rms, f"{words}; the error of the positions is that or more.")


def _rms(moves: NDArray[np.float64]) -> float:
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


def _drift(time: NDArray[np.float64], moves: NDArray[np.float64]) -> float | None:
    """Return how far moves go steadily from the first frame to the last, if that is most of them."""
    t = time - time.mean()
    spread = float((t**2).sum())
    way = (t @ moves) / max(spread, 1e-12)
    steady = spread * float((way**2).sum()) / max(float((moves**2).sum()), 1e-12)
    return float(np.hypot(*way)) if steady > DRIFTS else None


def _blurred(result: Result, rest: Residuals, misplaced: bool, others: set[str]) -> Diagnosis | None:
    """Say that patterns are smoother than coherent light would make them, if that is not something else."""
    blur, error = rest.blur
    explained = len(result.holdout_errors) and result.holdout_errors[-1] > TRUSTED * result.errors[-1]
    if explained or "D416" in others or result.scan.near:
        return None
    if blur < (SMOOTHER if misplaced else SMOOTH) or blur < SIGMAS * error:
        return None
    return found("D409", blur, f"The patterns are smoother than the model's: {blur:.1%} of the counts are blurred.")


def _modes(result: Result) -> Iterator[Diagnosis]:
    if len(result.probe) < 2:
        return
    first = float(mode_powers(result.probe)[0])
    if first < COHERENT:
        level: Level = "warning" if first < MIXED else "info"
        words = f"The strongest of {len(result.probe)} probe modes has {first:.0%} of the beam."
        mixed = found("D409", first, words, level)
        yield _mended(mixed) if level == "info" else mixed


def _distance(result: Result) -> Iterator[Diagnosis]:
    if "assumed_distance" not in result.model:
        return
    before, now = float(result.model["assumed_distance"]), result.scan.detector.distance
    if abs(now / before - 1) > OTHER_DISTANCE:
        words = f"The refinement found a distance of {show(now, 'm', 5)} instead of {show(before, 'm', 5)}"
        yield _mended(found("D411", now / before - 1, f"{words}, {now / before - 1:+.2%}.", "warning"))
