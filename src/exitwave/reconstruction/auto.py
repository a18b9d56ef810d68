"""Choice of preparation, orientation, probe, modes, positions and stages that the user has not set.

Every choice is tried on some frames in the middle of the scan, and judged by the Poisson deviance of held-out frames
(`trials`): positions are refined and a further probe mode is used if that lowers the deviance, and the prior is as
strong as suits the photons. Each choice is a `Decision` with its reason. Settings that are given are not changed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exitwave.analysis.diagnosis.near_field import looks_like_near_field
from exitwave.cxi.frame_settings import FRAME_HEADING
from exitwave.engine.algorithms.registry import ALGORITHMS
from exitwave.engine.backends.device import resolve
from exitwave.engine.recipe import Recipe, make_recipe, stage_settings, usual_stages
from exitwave.errors import Finding
from exitwave.findings import finding
from exitwave.frames import View
from exitwave.preparation import apply_view, prepare
from exitwave.reconstruction.defocus import find_probe
from exitwave.reconstruction.geometry import with_geometry
from exitwave.reconstruction.orientation import AS_IS, CLEARLY_BETTER, Orientation, central_frames, rank_orientations
from exitwave.reconstruction.scale_trial import rank_scales, scale_decision
from exitwave.reconstruction.source_distance import find_source_distance
from exitwave.reconstruction.starting_probe import DefocusedProbe
from exitwave.reconstruction.trials import FRAMES, Trial, Trials
from exitwave.scan import Decision, NearField, Scan

EXPLAINED = 0.75
"""Share of the differences between held-out frames that a trial explains with the right axes. Measured: 0.80 to
0.99 with the right axes, also with 3e5 photons in a frame and positions that are wrong by a pixel; below 0.1 with wrong
axes."""
USUAL_MODES, MODES = 3, 5
"""Number of modes up to which one more must lower the deviance by more than its noise, and the largest number that
is chosen."""
FURTHER_MODES = 0.9
"""Largest deviance with a mode beyond `USUAL_MODES`, relative to that without it: such modes cost time. With four modes
in the beam the fourth gave 0.73; on a measured scan 0.96."""
STRENGTHS = (4.0,)
"""Strengths of the prior that are compared with 1; a lower one was never clearly better."""
ITERATIONS = (60, 150)
"""Largest numbers of iterations of mPIE and ML."""
DEVIANCE = "deviance of held-out frames in the middle of the scan"
"""The measure of a trial."""
QUICK_MODES, QUICK_ITERATIONS = 2, (25, 6)
"""Number of modes and of iterations of mPIE and ML in a quick run."""
SHARE = 0.4
"""Part of the time limit in which trials are started."""
PATIENCE = 8
"""Iterations without improvement after which a stage ends."""
REFINE_POSITIONS: dict[str, Any] = {"position_update": True}
REFINE_LATER: dict[str, Any] = {"position_update": {"schedule": {"start": 6}}}
"""The last stage refines positions only after the noise that mPIE leaves is gone. Otherwise it would distort a slightly
stretched scan further, until its edge is wrong by a whole pixel."""
LAST_STAGE: dict[str, Any] = {"algorithm": "ML", "noise": "Poisson"}
"""The last stage: all unknowns together, with the noise of counted photons."""
NEUTRAL = frozenset(
    {
        "device", "threads", "seed", "seconds", "holdout", "modes", "probe", "position_update", "tiles", "geometry",
        "source_distance",
    }
)  # fmt: skip
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


def choose(
    scan: Scan, announce: Callable[[str], None] | None = None, *, quick: bool = False, **settings: Any
) -> Chosen:
    """Prepare a scan and choose how to reconstruct it.

    Parameters
    ----------
    scan : Scan
        The scan, as it is in its file.
    announce : callable, optional
        Called with a message before each part of the work.
    quick : bool
        Choose without trials, for a first look: refined positions, `QUICK_MODES` modes and few iterations. The
        orientation is not tested.
    **settings
        Settings of `Recipe` and `Stage` that are given and not chosen. ``seconds`` limits the choice too: when
        `SHARE` of it are used, the rest is chosen without trials.

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
    start, recipe = time.perf_counter(), make_recipe(settings)
    resolve(recipe.device)  # refuse an unavailable device before the work
    scan = with_geometry(scan, recipe)
    announce(f"surveying {len(scan.patterns)} frames")
    looks_near = not recipe.geometry and looks_like_near_field(scan) is not None
    chooser = _Chooser(prepared(scan), recipe, dict(settings), announce)
    chooser.choose_geometry(looks_near=looks_near)
    quick = quick or looks_near
    chooser.choose_background()
    limit = recipe.seconds and start + SHARE * recipe.seconds
    chooser.choose_probe_and_orientation(quick=quick)
    chooser.choose_by_trials(quick=quick, limit=limit)
    chooser.choose_stages(quick=quick)
    return Chosen(chooser.scan, make_recipe(chooser.settings), tuple(chooser.choices))


class _Chooser:
    """The scan and the settings while they are chosen.

    Parameters
    ----------
    scan : Scan
        The prepared scan.
    recipe : Recipe
        The recipe of the given settings.
    settings : dict
        The given settings, to which the chosen ones are added.
    announce : callable
        Called with a message before each part of the work.
    """

    def __init__(self, scan: Scan, recipe: Recipe, settings: dict[str, Any], announce: Callable[[str], None]) -> None:
        self.scan, self.settings, self.choices = scan, settings, list[Decision]()
        self._recipe, self._announce = recipe, announce
        given = set(settings)
        self._stages_are_open = not given & (set(stage_settings()) - {"position_update"} | {"stages"})
        self._modes_are_open = "modes" not in given
        self._positions_are_open = not given & {"position_update", "stages"} and _may_refine(settings.get("algorithm"))
        self._thin = recipe.slices == 1 and recipe.fly is None
        self._trials: Trials | None = None

    def choose_geometry(self, *, looks_near: bool) -> None:
        """Find the source distance of a near field without one; report images that are read as far-field patterns."""
        if looks_near:
            why = "the file does not say that it is a near field, but the frames look like images of the sample; "
            why += "add --set geometry=near to treat them so. No trials were done"
            self._announce(f"the geometry is doubtful: {why}")
            self._add({}, "geometry", "far field", why)
        elif self.scan.near and self.scan.near.source_distance is None:
            settings = _trial_settings(self.settings)
            distance, choice = find_source_distance(self.scan, settings, self._announce)
            self.choices.append(choice)
            self.settings |= {} if distance is None else {"source_distance": distance}
            self.scan = replace(self.scan, near=NearField(distance))

    def choose_background(self) -> None:
        """Model the background if the detector has a dark frame."""
        if "detector" not in self.settings and self.scan.detector.dark is not None:
            self._add({"detector": {"background": "dark"}}, "background", "modelled", "the detector has a dark frame")

    def choose_probe_and_orientation(self, *, quick: bool) -> None:
        """Find the starting probe; if a trial then explains too little of the frames, test the orientation too."""
        if self.scan.near or not self._thin:
            self._make_trials()
            return
        before, search = self.scan, _probe_is_open(self.scan, self._recipe)
        probe = self._find_probe(before, with_positions=False) if search else None
        self._make_trials()
        explained = 0.0 if quick or self._trials is None else self._explained(self._trials)
        if quick:
            self._add({}, "orientation", AS_IS, "not tested in a quick run")
        elif explained > EXPLAINED:
            why = f"the model explains {explained:.0%} of the differences between held-out frames in a trial"
            self._add({}, "orientation", AS_IS, why)
        else:
            ranking = rank_orientations(before, threads=self._recipe.threads, announce=self._announce)
            self.scan, choice = _choose_orientation(before, ranking)
            self.choices.append(choice)
            probe = self._find_probe(self.scan, with_positions=True) if search else None
            self._make_trials()
            self._check_scale()
        if probe is not None:
            self.settings.pop("probe", None)
            why = f"smallest error of all defoci, {probe.error:.3g} on held-out frames in the middle of the scan"
            self._add({}, "probe", f"defocus {probe.defocus * 1e6:+.0f} um", why, {"defocus": probe.defocus})

    def _check_scale(self) -> None:
        """Report if the positions are wrong by a factor, where a trial still explains too little of the frames."""
        if self._trials is not None and self._explained(self._trials) <= EXPLAINED:
            ranking = rank_scales(self.scan, threads=self._recipe.threads, announce=self._announce)
            self.choices.append(scale_decision(ranking, self.scan))

    def choose_by_trials(self, *, quick: bool, limit: float | None) -> None:
        """Choose refinement of positions, number of modes and strength of the prior; by default if time is short."""
        trials = self._trials
        if trials is None:
            return
        if quick or (limit and time.perf_counter() > limit):
            self._choose_without_trials("not tried in a quick run" if quick else "not tried for lack of time")
            return
        self._announce("trying modes and refined positions on some frames")
        modes, refine = self.settings.get("modes"), bool(self.settings.get("position_update"))
        best = trials.run(modes, refine_positions=refine)
        if self._positions_are_open:
            refined = trials.run(modes, refine_positions=True)
            refine = refined.score.value < best.score.value
            why = f"{DEVIANCE}: {refined.score.value:.4g} with refined positions, {best.score.value:.4g} without"
            name = "refined" if refine else "as in the file"
            self._add(dict(REFINE_POSITIONS) if refine else {}, "positions", name, why)
            best = refined if refine else best
        if self._modes_are_open and not self._has_modes:
            modes, best = self._choose_modes(trials, best, refine)
        if self._stages_are_open and not self.scan.near:
            self._choose_strength(trials, best, modes, refine)

    def _choose_without_trials(self, why: str) -> None:
        """Choose refined positions and `QUICK_MODES` modes."""
        if self._positions_are_open:
            self._add(dict(REFINE_POSITIONS), "positions", "refined", why)
        if self._modes_are_open and not self._has_modes:
            self._add({"modes": QUICK_MODES}, "modes", f"{QUICK_MODES}", why)

    @property
    def _has_modes(self) -> bool:
        """Whether the starting probe has several modes."""
        return self.scan.probe is not None and len(self.scan.probe) > 1 and self.settings.get("probe") != "auto"

    def _choose_modes(self, trials: Trials, best: Trial, refine: bool) -> tuple[int, Trial]:
        """Add modes while each lowers the deviance by more than its noise."""
        modes, deviances = 1, [best.score.value]
        for more in range(2, MODES + 1):
            trial = trials.run(more, refine_positions=refine)
            deviances.append(trial.score.value)
            needed = best.score.value * (1 if more <= USUAL_MODES else FURTHER_MODES)
            if not trial.is_better_than(best) or trial.score.value > needed:
                break
            modes, best = more, trial
        values = ", ".join(f"{value:.4g} with {number}" for number, value in enumerate(deviances, 1))
        self._add({"modes": modes}, "modes", f"{modes}", f"{DEVIANCE}: {values}")
        return modes, best

    def _choose_strength(self, trials: Trials, best: Trial, modes: int | None, refine: bool) -> None:
        """Choose another strength of the prior than 1 only if it clearly lowers the deviance."""
        tried = {1.0: best}
        for strength in STRENGTHS:
            tried[strength] = trials.run(modes, refine_positions=refine, regularisation=strength)
        strength = min(tried, key=lambda each: tried[each].score.value)
        strength = strength if tried[strength].is_clearly_better_than(best) else 1.0
        values = ", ".join(f"{tried[each].score.value:.4g} with {each:g}" for each in sorted(tried))
        self._add({"regularisation": strength}, "prior", f"strength {strength:g}", f"{DEVIANCE}: {values}")

    def choose_stages(self, *, quick: bool) -> None:
        """Choose the stages that suit the other settings."""
        if self._stages_are_open:
            counts = QUICK_ITERATIONS if quick else ITERATIONS
            self.settings, choice = _choose_stages(self.scan, self.settings, self._recipe, counts)
            self.choices.append(choice)

    def _find_probe(self, scan: Scan, *, with_positions: bool) -> DefocusedProbe:
        """Return the starting probe of a scan; the scan of the later trials gets it."""
        self._announce("searching the defocus of the probe")
        found = find_probe(scan, self._recipe, with_positions=with_positions)
        self.scan = replace(scan, probe=found.probe[None].astype(np.complex64))
        return found

    def _make_trials(self) -> None:
        """Prepare trials of the scan, if it has enough frames and a thin sample."""
        part = central_frames(self.scan, FRAMES)
        possible = len(part.positions) >= FRAMES // 4 and self._thin
        self._trials = Trials(part, _trial_settings(self.settings)) if possible else None

    def _explained(self, trials: Trials) -> float:
        """Return the share of the differences between held-out frames that the simplest trials explain."""
        self._announce("trying the model on some frames")
        refine, modes = bool(self.settings.get("position_update")), self.settings.get("modes")
        explained = trials.run(modes, refine_positions=refine).explained
        if explained > EXPLAINED or not self._positions_are_open:
            return explained
        return max(explained, trials.run(modes, refine_positions=True).explained)

    def _add(
        self, chosen: dict[str, Any], heading: str, name: str, why: str, values: dict[str, Any] | None = None
    ) -> None:
        """Add chosen settings and the decision about them."""
        self.settings |= chosen
        self.choices.append(Decision(heading, name, chosen if values is None else values, why))


def prepared(scan: Scan) -> Scan:
    """Return the scan prepared, unless it is already; near-field images are not cropped, and keep their background."""
    if any(step.heading != FRAME_HEADING for step in scan.preparation):
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


def _may_refine(algorithm: Any) -> bool:
    """Return whether an algorithm, or the default one for None, can refine positions."""
    return algorithm is None or not ALGORITHMS.get(str(algorithm)).keeps_waves


def _trial_settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial: those of the experiment, without the algorithms."""
    kept = ("probe", "geometry", "source_distance", "detector", "device", "threads", "seed")
    return {key: chosen[key] for key in kept if key in chosen}


def _choose_stages(
    scan: Scan, chosen: dict[str, Any], recipe: Recipe, iterations: tuple[int, int]
) -> tuple[dict[str, Any], Decision]:
    """Return the settings with the stages that suit them."""
    chosen = dict(chosen)
    position_update, strength = chosen.pop("position_update", None), chosen.pop("regularisation", 1.0)
    first: dict[str, Any] = {"algorithm": "mPIE", "iterations": iterations[0]}
    last = LAST_STAGE | {"iterations": iterations[1]} | ({} if recipe.slices > 1 else {"regularisation": strength})
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
    chosen["stages"] = stages
    names, at_most = [f"{stage['iterations']} iterations of {stage['algorithm']}" for stage in stages], ""
    if recipe.slices == 1 and recipe.holdout and recipe.patience is None:
        chosen["patience"], at_most = PATIENCE, "at most "
    return chosen, Decision("algorithm", ", then ".join(at_most + name for name in names), {"stages": stages}, why)
