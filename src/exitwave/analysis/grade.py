"""The grade of a result: GOOD, CHECK or BAD, the reasons, and what limits the image."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from exitwave.analysis.deviance import Deviance, times
from exitwave.analysis.diagnosis.codes import Diagnosis
from exitwave.analysis.halves import Halves

Grade = Literal["GOOD", "CHECK", "BAD"]
Limit = Literal[
    "photons", "positions", "coherence", "beam", "detector", "geometry", "overlap", "model", "iterations", "unknown"
]

# Measured on 108 simulated scans of 1e4 to 1e9 photons a frame (four specimens, four scan patterns, one to three
# modes), reconstructed as by default: 40 clean, 26 with one fault, 42 with imperfections of real scans.
AGREE = 1.12
"""Disagreement of the halves up to which photon noise explains it. Clean scans had 0.85 to 1.06, one of 1e9 photons
1.18; all scans whose error was more than 1.5 times that of the clean scan had 1.12 or more, but two with a point spread
(1.02 and 1.03, of 1.5 and 1.6 times the error) and one with four modes in the beam (0.95, of 2.1 times)."""
WRONG, DISAGREE = 0.05, 1.5
"""Estimated error and disagreement: an image is wrong if both are above these values. All such images had a true error
of more than 0.09 and of more than 6 times that of the clean scan."""
NOISY = 0.25
"""Estimated error above which photon noise hides most of the structure."""
PREDICTED, EXPLAINED = 1.2, 1.5
"""Deviance of held-out and of used frames, relative to that of photon noise, up to which photon noise explains it. They
are from the whole scan, while the halves of a large scan are from its middle. Held-out frames of clean scans had 1.04
to 1.18, one of 1e9 photons that had not converged 1.45, used frames at most 1.23 and 1.40. If the error was more than
1.5 times that of the clean scan, held-out frames had 1.23 or more, but 1.17 with four modes in the beam."""
GAP = 3.0
"""Deviance of held-out frames, relative to that of used frames, above which the image does not predict frames."""
MOVED = 2.0
"""Moves of refined positions (rms) in object pixels above which the image may be distorted: with errors of 3 pixels the
true error was 5 and 7 times that of the clean scan while the halves disagreed by 1.2 and 1.6; with 1 pixel, 1 times."""
IMPROVING = 0.04
"""Relative decrease of the error metric in the last tenth of the iterations above which a result has not converged. In
a clean scan of 1e9 photons that disagreed by 1.18 it was 0.13; it counts only where the halves or held-out frames
disagree, because three good ones of more than 1e8 photons had 0.04 to 0.06."""
UNJUDGED = 10.0
"""Deviance of used frames, relative to that of photon noise, above which an image is wrong if there are no halves to
judge it. With positions that were wrong by 3 to 8 pixels it was 25."""
BLIND = 0.5
"""Error metric of held-out frames above which a model explains too little of the counts."""

_SEEN = frozenset({"D401", "D406", "D407", "D410", "D413", "D414", "D415", "D421"})
"""Problems of the counts whose effect on the image the halves and the held-out frames show. They are a cause to name
if these find the image wrong, but no reason to doubt it otherwise."""
_LIMITS: dict[str, Limit] = {
    "D401": "photons", "D402": "overlap", "D403": "overlap", "D404": "overlap", "D405": "positions", "D406": "beam",
    "D407": "beam", "D408": "positions", "D409": "coherence", "D410": "detector", "D411": "geometry",
    "D412": "geometry", "D413": "detector", "D414": "detector", "D415": "detector", "D416": "detector",
    "D417": "detector", "D418": "model", "D419": "positions", "D420": "detector", "D421": "beam", "D422": "geometry",
    "D423": "model", "D424": "model", "D425": "model",
}  # fmt: skip
"""What limits an image with a problem."""
LIMITS: dict[Limit, str] = {
    "photons": "Photon noise limits the image: more photons would improve it.",
    "positions": "The positions limit the image.",
    "coherence": "The coherence of the beam limits the image: more probe modes may improve it.",
    "beam": "Changes of the beam limit the image.",
    "detector": "The detector limits the image.",
    "geometry": "The geometry is wrong.",
    "overlap": "The overlap or the pattern of the positions limits the image.",
    "model": "Effects that the model lacks limit the image, such as more modes, a changing beam or the detector.",
    "iterations": "The image was still improving: continue it with exitwave reconstruct.",
    "unknown": "It is unknown what limits the image.",
}
"""Sentences on what limits an image."""


class Evidence(NamedTuple):
    """What a grade depends on; None means unknown."""

    halves: Halves | None
    """Comparison of the images of two halves of the frames."""
    used: Deviance | None
    """Deviance of used frames."""
    held_out: Deviance | None
    """Deviance of held-out frames inside the covered area."""
    holdout_error: float | None
    """Error metric of the held-out frames."""
    moved: float
    """Rms of the moves by which a refinement has changed the positions, in object pixels."""
    improving: float
    """Relative decrease of the error metric in the last tenth of the iterations."""
    diagnoses: Sequence[Diagnosis]
    """Problems of the scan and the model, the most important first."""
    diverged: bool
    """Whether the reconstruction diverged."""


def grade(evidence: Evidence) -> tuple[Grade, list[str]]:
    """Return the grade, and the reasons for it; the first reason is the most important.

    BAD: there is a problem of level error, or the image contradicts the frames. GOOD: nothing but photon noise was
    found to limit the image. CHECK: everything else.
    """
    bad = list(_bad(evidence))
    if bad:
        return "BAD", bad
    doubts = list(_doubts(evidence))
    if doubts:
        return "CHECK", doubts
    if any(each.code == "D404" for each in evidence.diagnoses):
        return "GOOD", ["the image agrees with all frames; it may contain a grid with the period of the scan (D404)"]
    return "GOOD", ["the image agrees with all frames, and only photon noise limits it"]


def limit_of(evidence: Evidence) -> Limit:
    """Return what limits the image: the first problem, or photon noise if the halves agree within it.

    A result that was still improving, and has no other problem than counts that the model does not explain, is limited
    by the number of iterations.
    """
    if grade(evidence)[0] == "GOOD":
        return "overlap" if any(each.code == "D404" for each in evidence.diagnoses) else "photons"
    serious = [each for each in evidence.diagnoses if each.level != "info"]
    if evidence.improving > IMPROVING and {each.code for each in serious} <= {"D418"}:
        return "iterations"
    if serious:
        return _LIMITS.get(serious[0].code, "model")
    if evidence.moved > MOVED:
        return "positions"
    if evidence.halves is None:
        return "unknown"
    return "photons" if evidence.halves.disagreement <= AGREE else "model"


def _bad(evidence: Evidence) -> Iterator[str]:
    """Yield the reasons why an image is wrong."""
    for each in evidence.diagnoses:
        if each.level == "error" and not _is_disproved(each, evidence):
            yield f"{each.what} ({each.code})"
    if evidence.diverged:
        yield "the reconstruction diverged"
    halves = evidence.halves
    if halves is not None and halves.disagreement > DISAGREE and halves.estimated_error > WRONG:
        cause = _cause(evidence) or "the frames contradict each other; "
        differ = f"differ {times(halves.disagreement)} times as much as with photon noise alone"
        yield f"{cause}two halves of the frames give images that {differ}"
    used, held_out = evidence.used, evidence.held_out
    if used is not None and held_out is not None and held_out.value > GAP * used.value:
        yield f"{_cause(evidence)}the image does not predict the held-out frames"
    if evidence.halves is None and evidence.used is not None and evidence.used.ratio > UNJUDGED:
        yield f"{_cause(evidence)}the counts deviate {times(evidence.used.ratio)} times as much as photon noise does"
    if evidence.holdout_error is not None and not evidence.holdout_error < BLIND:
        yield f"{_cause(evidence)}the model explains only a small part of the counts"


def _is_disproved(diagnosis: Diagnosis, evidence: Evidence) -> bool:
    """Return whether the halves show that waves at the edges of the array (D413) have not made the image wrong."""
    halves = evidence.halves
    return diagnosis.code == "D413" and halves is not None and halves.disagreement <= AGREE


def _doubts(evidence: Evidence) -> Iterator[str]:
    """Yield the reasons why an image may be wrong in details."""
    halves = evidence.halves
    if halves is None:
        yield "the error of the image is unknown"
    elif halves.disagreement > AGREE:
        ratio = times(halves.disagreement)
        yield f"{_cause(evidence)}the image has {ratio} times the error that photon noise alone would cause"
    elif halves.estimated_error > NOISY:
        yield "photon noise hides most of the structure"
    for name, deviance, most in (("held-out", evidence.held_out, PREDICTED), ("used", evidence.used, EXPLAINED)):
        if deviance is not None and deviance.ratio > most:
            ratio = times(deviance.ratio)
            yield f"{_cause(evidence)}{name} frames deviate {ratio} times as much from the model as photon noise does"
            break
    for each in evidence.diagnoses:
        if each.level == "error" or (each.level == "warning" and (halves is None or each.code not in _SEEN)):
            yield f"{each.what} ({each.code})"
    if evidence.moved > MOVED:
        yield (
            f"the refinement moved the positions by {evidence.moved:.2g} object pixels (rms), so the image may be "
            "distorted"
        )


def _cause(evidence: Evidence) -> str:
    """Return the first problem as the probable cause, as the start of a sentence, or nothing."""
    causes = [each for each in evidence.diagnoses if each.level == "warning" and each.code != "D418"]
    return f"{causes[0].what} ({causes[0].code}); " if causes else ""
