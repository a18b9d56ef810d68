"""Problems of the model of a result: counts that it does not explain, misplaced frames, and coherence."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exitwave.analysis.deviance import times
from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.error import ModelledFrame, modelled_frames
from exitwave.analysis.frame_accounting import USED, account_for_frames
from exitwave.errors import Level
from exitwave.optics import mode_powers
from exitwave.poisson import deviance, deviance_moments
from exitwave.scan import Result
from exitwave.units import show

PIXELS = 2**19
"""Detector pixels times probe modes for which the model is computed five times; this sets the number of frames."""
FRAMES = (8, 32)
"""Smallest and largest number of frames."""
STEP = 0.25
"""Object pixels by which a frame is moved to find the derivative of its model."""
MISPLACED, MISPLACED_AFTER_REFINEMENT, REFINED = 0.1, 0.3, 0.5
"""Object pixels (rms): errors of the positions that are reported without and with a refinement, and smallest moves of a
refinement that are reported."""
SURE = 5.0
"""Smallest ratio of a move to its standard error in half of the frames; other faults cause small moves, too."""
DRIFTS = 0.4
"""Share of a linear drift in the squared moves above which they are called a drift."""
SMOOTH, SMOOTHER, SIGMAS = 0.035, 0.1, 7.0
"""Blurred share of the patterns in partly coherent light, the same if wrong positions blur too, and its smallest ratio
to the standard error."""
BLUR = 1.5
"""Standard deviation of the fitted blur in detector pixels."""
COHERENT, MIXED = 0.9, 0.57
"""Share of the first probe mode in a coherent beam, and in a beam of low coherence: with four modes in the beam it was
0.5 to 0.55, and the error was 2 to 5 times that of the coherent scan."""
FLAT = 0.65, 0.15
"""Shares of the first and of the last of several modes below and above which further modes are missing: with a point
spread of one pixel they were 0.6 and 0.2."""
UNEXPLAINED = 2.0
"""Ratio of the deviance to that of photon noise above which the model is incomplete."""
VARYING = 0.2
"""Share of the deviance beyond photon noise that scales of the frames explain, above which the intensity varies. It was
0.3 and 0.7 in simulated scans whose intensity varied by 10 %, and at most 0.09 in 46 scans with other faults."""
LARGE_DRIFT = 2.0
"""Object pixels of a corrected drift from which on it is the probable cause of a model that does not explain the
counts."""
FAILED = 1.5
"""Moves of a refinement in object pixels (rms) from which on it has failed if the model does not explain the counts."""
OVERFITTED = 1.5
"""Ratio of the error of held-out frames to that of used frames above which the model fits noise."""
MANY_MODES = 3
"""Number of probe modes that is proposed where the model does not explain the counts."""
MORE_REFINEMENT = "The refinement has not corrected them yet; continue it with exitwave reconstruct RESULT."
CHECK_POSITIONS = "The refinement was on; check the unit, the order and the axes of the positions in the file."
UNEVEN = "The image is uneven, and has artefacts where bright and faint frames overlap."
FIT_INTENSITY = "Continue the result with exitwave reconstruct RESULT --set intensity_update=true."
OTHER_ENERGY = 10.0
"""Ratio of modelled to measured counts, or its inverse, from which on they do not belong together."""
OTHER_DISTANCE = 0.005
"""Relative change of the distance in its refinement above which it is reported."""


class Residuals(NamedTuple):
    """Differences between the model of a result and some of its frames."""

    frames: NDArray[np.int64]
    """Indices of the frames, shape (n,)."""
    moves: NDArray[np.float64]
    """Moves of the frames that minimise the difference, columns x, y, in object pixels, shape (n, 2)."""
    certainty: float
    """Median ratio of a move to its standard error."""
    blur: tuple[float, float]
    """Blurred share of the patterns, and its standard error."""
    above_noise: float
    """Deviance divided by that of photon noise."""
    intensity: tuple[float, float]
    """Share of the deviance beyond photon noise that a scale of each frame's model explains (a scale that all frames
    have in common does not count), and the rms of these scales about their mean."""
    energy: float
    """Modelled counts divided by measured counts on good pixels."""


def diagnose_model(result: Result, scan_codes: set[str]) -> Iterator[Diagnosis]:
    """Yield the problems of the model of a result; ``scan_codes`` are the codes of the problems of its scan."""
    yield from _distance(result)
    yield from _modes(result)
    rest = residuals(result)
    refined = _refined(result, 1.0 if rest is None else rest.above_noise)
    if refined is not None:
        yield refined
    if rest is None:
        return
    if not 1 / OTHER_ENERGY < rest.energy < OTHER_ENERGY:
        evidence = f"The modelled counts are {rest.energy:.2g} times the measured ones."
        yield make_diagnosis("D425", rest.energy, evidence)
    if refined is not None and refined.level != "info":
        return
    misplaced = _misplaced(result, rest, MISPLACED if refined is None else MISPLACED_AFTER_REFINEMENT)
    if misplaced is not None:
        yield misplaced
    blurred = _blurred(result, rest, misplaced is not None, scan_codes)
    if blurred is not None:
        yield blurred
    unexplained = misplaced is None and blurred is None and rest.above_noise > UNEXPLAINED
    if unexplained and rest.intensity[0] > VARYING:
        evidence = f"The intensity varies by {rest.intensity[1]:.1%} (rms) from frame to frame."
        varying = make_diagnosis("D406", rest.intensity[1], evidence)
        yield replace(varying, what="the intensity of the beam varies", consequence=UNEVEN, remedy=FIT_INTENSITY)
    elif unexplained:
        evidence = f"The counts deviate {times(rest.above_noise)} times as much from the model as photon noise does."
        yield replace(make_diagnosis("D418", rest.above_noise, evidence), remedy=_next_steps(result))


def residuals(result: Result) -> Residuals | None:
    """Compare the model of a result with some of its frames; return None if it has no probe or too few frames.

    The square roots of the counts have the same noise everywhere. The move of a frame is the d that minimises
    sum (sqrt(I) - sqrt(m) - d . grad sqrt(m))^2, with the gradient from models at moved positions. The blurred share b
    minimises sum (I - m - b (G m - m))^2 / (m + 1), with a Gaussian blur G.
    """
    used = account_for_frames(result)[USED]
    if len(used) < FRAMES[0] or not len(result.probe):
        return None
    number = int(np.clip(PIXELS // result.probe.size, *FRAMES))
    frames = used[np.unique(np.linspace(0, len(used) - 1, number).astype(int))]
    moves, errors, blurs, totals, sums = [], [], [], [], np.zeros(2)
    shifted = [_shifted_models(result, frames, direction) for direction in range(4)]
    for frame, *others in zip(modelled_frames(result, frames), *shifted, strict=True):
        root = _root(frame)
        slopes = np.stack([(_root(a) - _root(b)).ravel() / (2 * STEP) for a, b in (others[:2], others[2:])])
        apart = (np.where(frame.good, np.sqrt(np.maximum(frame.counts, 0)), 0) - root).ravel()
        inverse = np.linalg.pinv(slopes @ slopes.T)
        moves.append(inverse @ (slopes @ apart))
        errors.append(np.sqrt(np.diag(inverse) * np.mean(apart**2)))
        blurs.append(_blur(frame))
        totals.append((float(frame.counts[frame.good].sum()), float(frame.model[frame.good].sum())))
        sums += _deviance(frame)
    significance = np.square(np.array(moves) / np.maximum(errors, 1e-12)).mean(axis=1)
    blur = float(np.median(blurs)), float(np.std(blurs) / np.sqrt(len(blurs)))
    above = float(sums[0] / max(sums[1], 1e-12))
    intensity = _intensity(np.array(totals), float(sums[0] - sums[1]))
    certainty, counts = float(np.sqrt(np.median(significance))), np.array(totals).sum(axis=0)
    energy = float(counts[1] / counts[0]) if counts[0] > 0 else 1.0
    return Residuals(frames, np.array(moves), certainty, blur, above, intensity, energy)


def _shifted_models(result: Result, frames: NDArray[np.int64], direction: int) -> Iterator[ModelledFrame]:
    """Return the models at positions that are shifted by `STEP` in direction 0 to 3: +x, -x, +y, -y."""
    axis, sign = direction // 2, 1 - 2 * (direction % 2)
    positions = result.positions.copy()
    positions[:, axis] += sign * STEP * result.object_pixel[1 - axis]
    return modelled_frames(replace(result, positions=positions), frames)


def _root(frame: ModelledFrame) -> NDArray[np.float64]:
    """Return the modelled amplitude, zero on bad pixels."""
    return np.where(frame.good, np.sqrt(frame.model), 0)


def _deviance(frame: ModelledFrame) -> tuple[float, float]:
    """Return the deviance of a frame, and its expectation for photon noise."""
    compared = frame.good & ~frame.exceeded
    model = np.maximum(frame.model[compared], 0)
    return float(deviance(frame.counts[compared], model).sum()), float(deviance_moments(model)[0].sum())


def _intensity(totals: NDArray[np.float64], excess: float) -> tuple[float, float]:
    """Return `Residuals.intensity` of the counts of the frames and of their models, shape (n, 2).

    A model of m counts that is scaled by s has a chi-squared that is smaller by m (s - 1)^2.
    """
    counts, model = totals.T
    scales = counts / np.maximum(model, 1e-12)
    explained = float((model * (scales - scales.mean()) ** 2).sum())
    return min(explained / max(excess, 1e-12), 1.0), float(np.std(scales))


def _blur(frame: ModelledFrame) -> float:
    """Return the blurred share b of a frame; see `residuals`."""
    change = gaussian_filter(frame.model, BLUR, mode="wrap") - frame.model
    weight = frame.good / (frame.model + 1)
    apart = np.where(frame.good, frame.counts - frame.model, 0)
    return float((apart * change * weight).sum() / max((change**2 * weight).sum(), 1e-12))


def _refined(result: Result, above_noise: float) -> Diagnosis | None:
    """Report the drift or the rms of the moves that a refinement of the positions has corrected, or not corrected."""
    pixel, used = np.array(result.object_pixel[::-1]), account_for_frames(result)[USED]
    if not len(used):
        return None
    moves = ((result.positions - result.scan.positions)[:, :2] / pixel)[used]
    moves = moves - moves.mean(axis=0)
    rms, drift = _rms(moves), _drift(used / max(len(result.positions) - 1, 1), moves)
    if rms < REFINED:
        return None
    length = show(rms * float(pixel.mean()), "m", 3)
    if rms > FAILED and above_noise > UNEXPLAINED:
        evidence = f"The refinement moved the positions by {length} rms, {rms:.2g} object pixels, and the counts still "
        evidence += f"deviate {times(above_noise)} times as much from the model as photon noise does."
        return replace(make_diagnosis("D408", rms, evidence), remedy=CHECK_POSITIONS)
    if drift is not None:
        evidence = f"The refinement corrected a drift of {drift:.3g} object pixels from the first to the last frame."
        if drift > LARGE_DRIFT and above_noise > UNEXPLAINED:
            return replace(make_diagnosis("D405", drift, evidence), remedy=MORE_REFINEMENT)
        return _corrected(make_diagnosis("D405", drift, evidence, "info"))
    evidence = f"The refinement moved the positions by {length} rms, {rms:.2g} object pixels."
    return _corrected(make_diagnosis("D408", rms, evidence, "info"))


def _corrected(diagnosis: Diagnosis) -> Diagnosis:
    return replace(diagnosis, consequence="The model accounts for it.", remedy="No action is needed.")


def _misplaced(result: Result, rest: Residuals, most: float) -> Diagnosis | None:
    """Report frames that the model explains better at other positions."""
    rms = _rms(rest.moves)
    if rms < most or rest.certainty < SURE:
        return None
    drift = _drift(rest.frames / max(len(result.positions) - 1, 1), rest.moves - rest.moves.mean(axis=0))
    if drift is not None:
        evidence = f"A drift of {drift:.2g} object pixels from the first to the last frame remains."
        return _not_corrected(result, make_diagnosis("D405", drift, evidence))
    evidence = (
        f"The model fits better after moves of {rms:.2g} object pixels rms, {rest.certainty:.2g} times their standard "
        "error; the positions are wrong by at least as much."
    )
    return _not_corrected(result, make_diagnosis("D408", rms, evidence))


def _not_corrected(result: Result, diagnosis: Diagnosis) -> Diagnosis:
    """Return a diagnosis of wrong positions, with the remedy that suits a result whose positions were refined."""
    return replace(diagnosis, remedy=MORE_REFINEMENT) if _refines(result, "position_update") else diagnosis


def _refines(result: Result, name: str) -> bool:
    """Return whether a stage of the recipe has a refinement."""
    return any(stage.get(name) not in (None, False) for stage in result.recipe.get("stages", ()))


def _next_steps(result: Result) -> str:
    """Return what to try where the model does not explain the counts: what the recipe does not have."""
    modes = [] if len(result.probe) >= MANY_MODES else [f"--modes {MANY_MODES}"]
    positions = [] if _refines(result, "position_update") else ["--refine-positions"]
    others = [
        f"--set {name}{value}"
        for name, value in (("intensity_update", "=true"), ("opr_update", ".number=3"))
        if not _refines(result, name)
    ]
    options = [*positions, *modes, *others]
    pixels = "Check the dark frame and the flat field."
    return f"Continue the result with one of {', '.join(options)}. {pixels}" if options else pixels


def _rms(moves: NDArray[np.float64]) -> float:
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


def _drift(time: NDArray[np.float64], moves: NDArray[np.float64]) -> float | None:
    """Return the length of the linear drift from the first to the last frame, or None if it is a small part."""
    t = time - time.mean()
    spread = float((t**2).sum())
    slope = (t @ moves) / max(spread, 1e-12)
    share = spread * float((slope**2).sum()) / max(float((moves**2).sum()), 1e-12)
    return float(np.hypot(*slope)) if share > DRIFTS else None


def _blurred(result: Result, rest: Residuals, misplaced: bool, scan_codes: set[str]) -> Diagnosis | None:
    """Report patterns that are smoother than those of coherent light, unless another problem explains it."""
    blur, error = rest.blur
    overfitted = len(result.holdout_errors) and result.holdout_errors[-1] > OVERFITTED * result.errors[-1]
    if overfitted or "D416" in scan_codes or result.scan.near:
        return None
    if blur < (SMOOTHER if misplaced else SMOOTH) or blur < SIGMAS * error:
        return None
    evidence = f"The patterns are smoother than the model: {blur:.1%} of the counts are blurred."
    return make_diagnosis("D409", blur, evidence)


def _modes(result: Result) -> Iterator[Diagnosis]:
    if len(result.probe) < 2:
        return
    powers = mode_powers(result.probe)
    first, last = float(powers[0]), float(powers[-1])
    if first < COHERENT:
        flat = len(powers) > 2 and first < FLAT[0] and last > FLAT[1]
        level: Level = "warning" if first < MIXED or flat else "info"
        evidence = f"The strongest of {len(result.probe)} probe modes has {first:.0%} of the power."
        mixed = make_diagnosis("D409", first, evidence, level)
        more = f"Reconstruct with more modes (--modes {len(result.probe) + 2}), or close the slits of the beamline."
        yield _corrected(mixed) if level == "info" else replace(mixed, remedy=more)


def _distance(result: Result) -> Iterator[Diagnosis]:
    if "assumed_distance" not in result.model:
        return
    before, now = float(result.model["assumed_distance"]), result.scan.detector.distance
    if abs(now / before - 1) > OTHER_DISTANCE:
        evidence = f"The refined distance is {show(now, 'm', 5)} instead of {show(before, 'm', 5)}"
        evidence += f" ({now / before - 1:+.2%})."
        yield _corrected(make_diagnosis("D411", now / before - 1, evidence, "warning"))
