"""What is chosen for a reconstruction when nobody says how: preparation, orientation, probe, modes, positions, stages.

Every choice is tried on some frames in the middle of the scan, and judged by frames held out: positions are refined
where that helps, and several modes taken unless they harm. Each is a `Decision` with its reason, and what is given is
not chosen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backends.device import resolve
from exitwave.engine.recipe import Recipe, make_recipe, stage_settings, usual_stages
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.frames import View
from exitwave.preparation import apply_view, prepare
from exitwave.reconstruction.defocus import find_probe
from exitwave.reconstruction.geometry import placed
from exitwave.reconstruction.iterate import iterate
from exitwave.reconstruction.orientation import CLEAR, Orientation, middle, rank_orientations
from exitwave.scan import Decision, Scan

TRIAL, HELD_OUT = (20, 12), 0.2
"""Iterations of mPIE and of ML after it by which a choice is tried, and the part of the frames that judges it."""
FRAMES = 120
"""On how many frames."""
BETTER, NOT_WORSE = 1.0, 1.1
"""A trial must have less than this part of the held-out error of the simpler one. Refined positions harm nothing where
they are right. Nor do further modes, which a beam that is partly coherent needs, and which a short trial of few photons
hardly shows: they are left only where they make the trial worse."""
MODES = 3
"""Probe modes where one may not be enough: what is not needed stays weak."""
MOVING: dict[str, Any] = {"position_update": True}
RELAXED: dict[str, Any] = {"position_update": {"schedule": {"start": 20}}}
"""The last stage moves positions when object and beam have come to rest: what mPIE has left of noise would lead a scan
that is stretched a little further off, until its edge lies a whole pixel beside the rest."""
TOGETHER: dict[str, Any] = {"algorithm": "ML", "noise": "Poisson"}
"""The last stage: all unknowns together, with the noise of counted photons."""
ASIDE = frozenset({"device", "threads", "seed", "seconds", "holdout", "modes", "probe", "position_update", "tiles"})
"""Settings that do not say how to reconstruct, or only what choosing would find."""


def leaves_open(settings: Mapping[str, Any]) -> bool:
    """Say whether settings leave open how to reconstruct, so that it is to be chosen."""
    return ASIDE.issuperset(settings)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A scan that is ready, and how to reconstruct it."""

    scan: Scan
    """Prepared, with its detector the right way round."""
    recipe: Recipe
    """The settings that were given, and those that were chosen."""
    choices: tuple[Decision, ...]
    """What was chosen, and why."""


def choose(scan: Scan, announce: Callable[[str], None] | None = None, **settings: Any) -> Chosen:
    """Prepare a scan and choose how to reconstruct it.

    Parameters
    ----------
    scan : Scan
        The measurement, as it is in its file.
    announce : callable, optional
        Called with a sentence before what takes its time.
    **settings
        Settings of `Recipe` and `Stage` that are not to be chosen.

    Returns
    -------
    Chosen
        ``exitwave.reconstruct(chosen.scan, chosen.recipe, choices=chosen.choices)`` does it.

    Raises
    ------
    InputError
        If the scan cannot be used, or a setting is unknown or out of range.
    """
    announce = announce or (lambda _: None)
    recipe = make_recipe(settings)
    resolve(recipe.device)  # one that is not there is refused before the work
    scan = placed(scan, recipe)
    announce(f"looking at {len(scan.patterns)} frames")
    scan = _ready(scan)
    steps: list[Decision] = []
    if not scan.near and recipe.slices == 1 and recipe.fly is None:
        scan, step = _turned(scan, rank_orientations(scan, threads=recipe.threads, announce=announce))
        steps.append(step)
    chosen = dict(settings)
    if _probe_is_open(scan, recipe):
        announce("searching the defocus of the probe")
        scan, step = _lit(scan, recipe)
        chosen.pop("probe", None)
        steps.append(step)
    if "detector" not in settings and scan.detector.dark is not None:
        chosen["detector"] = {"background": "dark"}
        steps.append(Decision("background", "in the model", chosen["detector"], "the detector has a dark frame"))
    announce("trying modes and positions on some frames")
    for part, step in _tried(scan, chosen, recipe):
        chosen |= part
        steps.append(step)
    if "stages" not in chosen and not set(settings) & (set(stage_settings()) - {"position_update"}):
        chosen, step = _staged(scan, chosen, recipe)
        steps.append(step)
    return Chosen(scan, make_recipe(chosen), tuple(steps))


def _ready(scan: Scan) -> Scan:
    """Return the scan prepared, unless it is so already; what is known of far-field patterns is not done to images."""
    if scan.preparation:
        return scan
    if scan.near:
        return prepare(scan, background="none", crop=None)
    return prepare(scan)


def _turned(scan: Scan, ranking: list[Orientation]) -> tuple[Scan, Decision]:
    """Return the scan the right way round, and why: the file is believed unless another way is clearly better."""
    best, own = ranking[0], next(each for each in ranking if each.view == View())
    numbers = {each.words: round(each.error, 6) for each in ranking}
    if best.error > CLEAR * own.error:
        why = f"no other leaves clearly less than its error of {own.error:.3g} on some frames"
        return scan, Decision("orientation", own.words, {"errors": numbers}, why)
    scan = apply_view(scan, best.view)
    why = f"an error of {best.error:.3g} on some frames, and {own.error:.3g} as it is in the file"
    settings = {"view": best.view.as_dict(), "errors": numbers}
    return replace(scan, findings=(*scan.findings, _warning(best, own))), Decision(
        "orientation", best.words, settings, why
    )


def _warning(best: Orientation, own: Orientation) -> Finding:
    found = f"{best.words}: error {best.error:.3g} on some frames, {own.error:.3g} as it is"
    remedy = "The frames were turned; half a turn more, with the opposite phase, would fit as well. Correct the file"
    return finding("W246", "frames", found, "frames and positions with the same axes", remedy)


def _probe_is_open(scan: Scan, recipe: Recipe) -> bool:
    """Say whether the probe is to be found in far-field frames, on a grid as theirs."""
    plain = not scan.near and recipe.slices == 1 and recipe.fly is None and recipe.detector.oversample == 1
    return plain and (recipe.probe or ("auto" if scan.probe is None else "file")) == "auto"


def _lit(scan: Scan, recipe: Recipe) -> tuple[Scan, Decision]:
    """Return the scan with a starting probe, found once for all that follows."""
    found = find_probe(scan, recipe)
    why = f"explains the frames in the middle best, with an error of {found.error:.3g} on those held out"
    name = f"{found.defocus * 1e6:+.0f} um out of focus"
    step = Decision("probe", name, {"defocus": found.defocus}, why)
    return replace(scan, probe=found.probe[None].astype(np.complex64)), step


def _may_refine(algorithm: Any) -> bool:
    """Say whether an algorithm, or the default one for None, can refine positions."""
    return algorithm is None or not ALGORITHMS.get(str(algorithm)).keeps_waves


def _tried(scan: Scan, chosen: dict[str, Any], recipe: Recipe) -> list[tuple[dict[str, Any], Decision]]:
    """Return what modes and refined positions do for some frames, as settings with their reasons."""
    stages = chosen.get("stages", ())
    open_modes = "modes" not in chosen and (scan.probe is None or len(scan.probe) == 1 or chosen.get("probe") == "auto")
    open_places = "position_update" not in chosen and not stages and _may_refine(chosen.get("algorithm"))
    part, found = middle(scan, FRAMES), []
    if len(part.positions) < FRAMES // 4 or recipe.slices > 1 or recipe.fly is not None:
        return []
    base, moving = _plain(chosen), bool(chosen.get("position_update"))
    least = _held_out(part, base, moving)
    if open_places:
        error = _held_out(part, base, True)
        moving = error < BETTER * least
        name, words = ("refined", "with refined positions") if moving else ("as in the file", "refined")
        why = f"held-out error {error:.3g} {words} on some frames, {least:.3g} as they are"
        found.append((MOVING if moving else {}, Decision("positions", name, dict(MOVING) if moving else {}, why)))
        least = error if moving else least
    if open_modes:
        error = _held_out(part, base | {"modes": MODES}, moving)
        modes = MODES if error < NOT_WORSE * least else 1
        why = f"held-out error {error:.3g} with {MODES} modes on some frames, {least:.3g} with one"
        why += "" if modes == 1 else "; one is taken only where it is clearly better"
        found.append(({"modes": modes}, Decision("modes", f"{modes}", {"modes": modes}, why)))
    return found


def _plain(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial: those that describe the experiment, not how it is solved."""
    kept = ("probe", "modes", "geometry", "source_distance", "detector", "device", "threads", "seed")
    return {"holdout": HELD_OUT} | {key: chosen[key] for key in kept if key in chosen}


def _held_out(scan: Scan, settings: dict[str, Any], moving: bool) -> float:
    """Return the least held-out error of a trial."""
    stages = [{"algorithm": "mPIE", "iterations": TRIAL[0]}]
    if not scan.near:
        stages.append(TOGETHER | {"iterations": TRIAL[1]})
    stages = [stage | (MOVING if moving else {}) for stage in stages]
    return min(progress.holdout_error for progress in iterate(scan, make_recipe(settings | {"stages": stages})))


def _staged(scan: Scan, chosen: dict[str, Any], recipe: Recipe) -> tuple[dict[str, Any], Decision]:
    """Return the settings with the stages that suit them."""
    chosen = dict(chosen)
    moving = chosen.pop("position_update", None)
    first: dict[str, Any] = {"algorithm": "mPIE", "iterations": 60 if moving else 40}
    last = TOGETHER | {"iterations": 150 if moving else 40}
    stages = [first] if scan.near or recipe.fly is not None else [first, last]
    if recipe.slices > 1:
        counts = [stage.iterations for stage in usual_stages(recipe.slices)]
        first |= {"position_update": moving} if moving else {"iterations": counts[0]}
        last["iterations"] = counts[1]
        why = "mPIE comes near soonest; ML then tells coarse detail of the slices apart"
    elif moving:
        stages = [stage | ({"position_update": moving} if stage is first else RELAXED) for stage in stages]
        why = "mPIE finds positions that are far off; ML then finds object, beam and positions together"
    else:
        why = "mPIE converges soonest; ML then weighs every photon as it should"
    why = why if len(stages) > 1 else "mPIE converges soonest"
    names = ", then ".join(f"{stage['iterations']} iterations of {stage['algorithm']}" for stage in stages)
    return chosen | {"stages": stages}, Decision("algorithm", names, {"stages": stages}, why)
