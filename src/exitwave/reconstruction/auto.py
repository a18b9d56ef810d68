"""Choice of preparation, orientation, probe, modes, positions and stages that the user has not set.

Every choice is tried on some frames in the middle of the scan, and judged by held-out frames: positions are refined if
that reduces the error, and several modes are used unless they increase it. Each choice is a `Decision` with its reason.
Settings that are given are not changed.
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
from exitwave.reconstruction.geometry import with_geometry
from exitwave.reconstruction.iterate import iterate
from exitwave.reconstruction.orientation import CLEARLY_BETTER, Orientation, central_frames, rank_orientations
from exitwave.scan import Decision, Scan

TRIAL_ITERATIONS, HOLDOUT = (20, 12), 0.2
"""Iterations of mPIE, and of ML after it, with which a choice is tried, and the held-out fraction of the frames."""
FRAMES = 120
"""Number of frames on which choices are tried."""
POSITIONS_IMPROVE, MODES_TOLERATED = 1.0, 1.1
"""Largest held-out error of a trial, relative to that of the simpler one, with which it is chosen. Refinement of right
positions does no harm, so that any improvement counts. A partly coherent beam needs further modes, but a short trial
with few photons hardly shows it, so that modes are rejected only if they increase the error."""
MODES = 3
"""Number of probe modes if one may not be enough; modes that are not needed stay weak."""
REFINE_POSITIONS: dict[str, Any] = {"position_update": True}
REFINE_LATER: dict[str, Any] = {"position_update": {"schedule": {"start": 20}}}
"""The last stage refines positions only after object and probe have converged. Otherwise the noise that mPIE leaves
would distort a slightly stretched scan further, until its edge is wrong by a whole pixel."""
LAST_STAGE: dict[str, Any] = {"algorithm": "ML", "noise": "Poisson"}
"""The last stage: all unknowns together, with the noise of counted photons."""
NEUTRAL = frozenset({"device", "threads", "seed", "seconds", "holdout", "modes", "probe", "position_update", "tiles"})
"""Settings beside which the others are chosen: they do not affect the choice, or replace only their own choice."""


def leaves_open(settings: Mapping[str, Any]) -> bool:
    """Return whether settings leave the algorithm open, so that it is to be chosen."""
    return NEUTRAL.issuperset(settings)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A prepared scan, and how to reconstruct it."""

    scan: Scan
    """The scan, prepared and with the right orientation."""
    recipe: Recipe
    """The given and the chosen settings."""
    choices: tuple[Decision, ...]
    """What was chosen, and why."""


def choose(scan: Scan, announce: Callable[[str], None] | None = None, **settings: Any) -> Chosen:
    """Prepare a scan and choose how to reconstruct it.

    Parameters
    ----------
    scan : Scan
        The scan, as it is in its file.
    announce : callable, optional
        Called with a message before each part of the work.
    **settings
        Settings of `Recipe` and `Stage` that are given and not chosen.

    Returns
    -------
    Chosen
        Use it with ``exitwave.reconstruct(chosen.scan, chosen.recipe, choices=chosen.choices)``.

    Raises
    ------
    InputError
        If the scan cannot be used, or a setting is unknown or out of range.
    """
    announce = announce or (lambda _: None)
    recipe = make_recipe(settings)
    resolve(recipe.device)  # refuse an unavailable device before the work
    scan = with_geometry(scan, recipe)
    announce(f"surveying {len(scan.patterns)} frames")
    scan = _prepared(scan)
    choices: list[Decision] = []
    if not scan.near and recipe.slices == 1 and recipe.fly is None:
        scan, choice = _choose_orientation(scan, rank_orientations(scan, threads=recipe.threads, announce=announce))
        choices.append(choice)
    chosen = dict(settings)
    if _probe_is_open(scan, recipe):
        announce("searching the defocus of the probe")
        scan, choice = _choose_probe(scan, recipe)
        chosen.pop("probe", None)
        choices.append(choice)
    if "detector" not in settings and scan.detector.dark is not None:
        chosen["detector"] = {"background": "dark"}
        choices.append(Decision("background", "modelled", chosen["detector"], "the detector has a dark frame"))
    announce("trying modes and refined positions on some frames")
    for found, choice in _choose_positions_and_modes(scan, chosen, recipe):
        chosen |= found
        choices.append(choice)
    if "stages" not in chosen and not set(settings) & (set(stage_settings()) - {"position_update"}):
        chosen, choice = _choose_stages(scan, chosen, recipe)
        choices.append(choice)
    return Chosen(scan, make_recipe(chosen), tuple(choices))


def _prepared(scan: Scan) -> Scan:
    """Return the scan prepared, unless it is already; near-field images are not cropped, and keep their background."""
    if scan.preparation:
        return scan
    if scan.near:
        return prepare(scan, background="none", crop=None)
    return prepare(scan)


def _choose_orientation(scan: Scan, ranking: list[Orientation]) -> tuple[Scan, Decision]:
    """Return the scan with the best orientation, which is that of the file unless another one is clearly better."""
    best, as_is = ranking[0], next(each for each in ranking if each.view == View())
    errors = {each.name: round(each.error, 6) for each in ranking}
    if best.error > CLEARLY_BETTER * as_is.error:
        why = f"error {as_is.error:.3g} on some frames; no other orientation has a clearly smaller error"
        return scan, Decision("orientation", as_is.name, {"errors": errors}, why)
    scan = apply_view(scan, best.view)
    scan = replace(scan, findings=(*scan.findings, _changed_orientation(best, as_is)))
    why = f"error {best.error:.3g} on some frames; {as_is.error:.3g} with the orientation of the file"
    return scan, Decision("orientation", best.name, {"view": best.view.as_dict(), "errors": errors}, why)


def _changed_orientation(best: Orientation, as_is: Orientation) -> Finding:
    """Return the finding that the orientation of the frames was changed."""
    found = f"{best.name}: error {best.error:.3g} on some frames; {as_is.error:.3g} with the orientation of the file"
    remedy = "The frames were changed accordingly. A further rotation by 180 degrees, with the opposite phase, would "
    remedy += "fit as well. Correct the file"
    return finding("W246", "frames", found, "frames and positions with the same axes", remedy)


def _probe_is_open(scan: Scan, recipe: Recipe) -> bool:
    """Return whether the probe is to be found from far-field frames, on their own grid."""
    plain = not scan.near and recipe.slices == 1 and recipe.fly is None and recipe.detector.oversample == 1
    return plain and (recipe.probe or ("auto" if scan.probe is None else "file")) == "auto"


def _choose_probe(scan: Scan, recipe: Recipe) -> tuple[Scan, Decision]:
    """Return the scan with a starting probe from the data, which all later trials use."""
    found = find_probe(scan, recipe)
    why = f"smallest error of all defoci, {found.error:.3g} on held-out frames in the middle of the scan"
    choice = Decision("probe", f"defocus {found.defocus * 1e6:+.0f} um", {"defocus": found.defocus}, why)
    return replace(scan, probe=found.probe[None].astype(np.complex64)), choice


def _choose_positions_and_modes(
    scan: Scan, chosen: dict[str, Any], recipe: Recipe
) -> list[tuple[dict[str, Any], Decision]]:
    """Return settings for positions and modes that are not given, each with its reason, from trials on some frames."""
    stages = chosen.get("stages", ())
    open_modes = "modes" not in chosen and (scan.probe is None or len(scan.probe) == 1 or chosen.get("probe") == "auto")
    open_positions = "position_update" not in chosen and not stages and _may_refine_positions(chosen.get("algorithm"))
    part, found = central_frames(scan, FRAMES), []
    if len(part.positions) < FRAMES // 4 or recipe.slices > 1 or recipe.fly is not None:
        return []
    base, refine = _trial_settings(chosen), bool(chosen.get("position_update"))
    error = _trial_error(part, base, refine)
    if open_positions:
        refined_error = _trial_error(part, base, True)
        refine = refined_error < POSITIONS_IMPROVE * error
        name, settings = ("refined", dict(REFINE_POSITIONS)) if refine else ("as in the file", {})
        why = f"held-out error on some frames: {refined_error:.3g} with refined positions, {error:.3g} without"
        found.append((settings, Decision("positions", name, settings, why)))
        error = refined_error if refine else error
    if open_modes:
        error_of_modes = _trial_error(part, base | {"modes": MODES}, refine)
        modes = MODES if error_of_modes < MODES_TOLERATED * error else 1
        why = f"held-out error on some frames: {error_of_modes:.3g} with {MODES} modes, {error:.3g} with one"
        why += "" if modes == 1 else "; one mode is used only if it is clearly better"
        found.append(({"modes": modes}, Decision("modes", f"{modes}", {"modes": modes}, why)))
    return found


def _may_refine_positions(algorithm: Any) -> bool:
    """Return whether an algorithm, or the default one for None, can refine positions."""
    return algorithm is None or not ALGORITHMS.get(str(algorithm)).keeps_waves


def _trial_settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial: those of the experiment, without the algorithms."""
    kept = ("probe", "modes", "geometry", "source_distance", "detector", "device", "threads", "seed")
    return {"holdout": HOLDOUT} | {key: chosen[key] for key in kept if key in chosen}


def _trial_error(scan: Scan, settings: dict[str, Any], refine_positions: bool) -> float:
    """Return the smallest held-out error of a trial."""
    stages = [{"algorithm": "mPIE", "iterations": TRIAL_ITERATIONS[0]}]
    if not scan.near:
        stages.append(LAST_STAGE | {"iterations": TRIAL_ITERATIONS[1]})
    stages = [stage | (REFINE_POSITIONS if refine_positions else {}) for stage in stages]
    return min(progress.holdout_error for progress in iterate(scan, make_recipe(settings | {"stages": stages})))


def _choose_stages(scan: Scan, chosen: dict[str, Any], recipe: Recipe) -> tuple[dict[str, Any], Decision]:
    """Return the settings with the stages that suit them."""
    chosen = dict(chosen)
    position_update = chosen.pop("position_update", None)
    first: dict[str, Any] = {"algorithm": "mPIE", "iterations": 60 if position_update else 40}
    last = LAST_STAGE | {"iterations": 150 if position_update else 40}
    stages = [first] if scan.near or recipe.fly is not None else [first, last]
    if recipe.slices > 1:
        counts = [stage.iterations for stage in usual_stages(recipe.slices)]
        first |= {"position_update": position_update} if position_update else {"iterations": counts[0]}
        last["iterations"] = counts[1]
        why = "mPIE converges fastest at the start; ML then separates coarse details of the slices"
    elif position_update:
        stages = [
            stage | ({"position_update": position_update} if stage is first else REFINE_LATER) for stage in stages
        ]
        why = "mPIE corrects large errors of the positions; ML then refines object, probe and positions together"
    else:
        why = "mPIE converges fastest at the start; ML then weights every photon by its noise"
    why = why if len(stages) > 1 else "mPIE converges fastest"
    names = ", then ".join(f"{stage['iterations']} iterations of {stage['algorithm']}" for stage in stages)
    return chosen | {"stages": stages}, Decision("algorithm", names, {"stages": stages}, why)
