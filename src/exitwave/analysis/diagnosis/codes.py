"""The codes of everything that can be wrong with a measurement: what it is, what follows, what to do about it."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from exitwave.errors import Level


@dataclass(frozen=True)
class Diagnosis:
    """One thing that is wrong with a scan, or with the model of a result."""

    code: str
    """Stable short code, e.g. ``D402``."""
    level: Level
    """``error``: the image cannot be right; ``warning``: it suffers; ``info``: good to know."""
    what: str
    """What is wrong, in a few words."""
    evidence: str
    """How that is known: a sentence with the number."""
    number: float
    """The number itself, in SI units where it has one."""
    consequence: str
    """What it does to the image."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.level} {self.code}: {self.what}. {self.evidence} {self.consequence} {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis as a dictionary, for ``--json``."""
        return asdict(self)


class _Fault(NamedTuple):
    level: Level
    what: str
    consequence: str
    remedy: str


CODES: dict[str, _Fault] = {
    "D401": _Fault(
        "warning", "too few photons",
        "Noise hides fine and faint structure.",
        "Count longer, put more light on the sample, or scan more densely.",
    ),
    "D402": _Fault(
        "warning", "neighbours overlap too little",
        "The frames hardly constrain each other, and artefacts look like structure.",
        "Scan with smaller steps or a wider beam: 60 to 80 % of its diameter in common is good.",
    ),
    "D403": _Fault(
        "warning", "holes in the coverage",
        "The image is wrong or empty there.",
        "Scan the gap again, or do not interpret that place.",
    ),
    "D404": _Fault(
        "info", "the positions form a periodic grid",
        "The image may carry a faint grid of the same period (raster pathology).",
        "Use a spiral, or jitter the positions by a quarter of a step; object_constraints can suppress the grid.",
    ),
    "D405": _Fault(
        "warning", "the positions drift",
        "The image is sheared and blurred along the drift.",
        "Reconstruct with --refine-positions; let the stage come to rest before the scan.",
    ),
    "D406": _Fault(
        "warning", "the beam drifts",
        "One probe does not fit the first and the last frames.",
        "Reconstruct with variation_update or scale_update; let the optics come to rest.",
    ),
    "D407": _Fault(
        "warning", "the beam was lost",
        "Dark frames say that the sample is dark there.",
        "Leave these frames out; exitwave prepare does, and keeps a ledger of it.",
    ),
    "D408": _Fault(
        "warning", "the positions are wrong",
        "The image is blurred, and shows details twice.",
        "Reconstruct with --refine-positions.",
    ),
    "D409": _Fault(
        "warning", "the beam is only partly coherent",
        "One probe mode cannot explain the faint speckles, and the image gets artefacts.",
        "Reconstruct with more modes (--modes 3); close the slits of the beamline.",
    ),
    "D410": _Fault(
        "warning", "the detector is saturated",
        "The brightest counts are missing or wrong.",
        "Attenuate the beam or count shorter; detector.saturated=cap uses such pixels as lower bounds.",
    ),
    "D411": _Fault(
        "error", "distance, pixel size or the unit of the positions is wrong",
        "The steps of the scan have the wrong size in the object, and the image falls apart.",
        "Check them; --set distance=, --set pixel_size= and --set positions=um replace those of the file.",
    ),
    "D412": _Fault(
        "error", "the axes of detector and positions do not agree",
        "The frames are put together in the wrong places, however small the error looks.",
        "Flip or transpose the positions as the test of the orientation says.",
    ),
    "D413": _Fault(
        "warning", "too few detector pixels for the probe",
        "The speckles are finer than the pixels, and the beam reaches around the edges of its field.",
        "Use smaller detector pixels, a longer distance, no binning, or a smaller beam; or detector.oversample=2.",
    ),
    "D414": _Fault(
        "warning", "hot pixels are not masked",
        "They are taken as scattering, and the image gets waves and grain.",
        "Mask them; exitwave prepare finds them.",
    ),
    "D415": _Fault(
        "warning", "dead pixels are not masked",
        "Zeros without a meaning pull on the image.",
        "Mask them; exitwave prepare finds them.",
    ),
    "D416": _Fault(
        "warning", "high background",
        "Faint speckles drown in it, and the image loses its fine detail.",
        "Reconstruct with background_update, or give the detector a dark frame.",
    ),
    "D417": _Fault(
        "info", "the mask hides pixels that look good",
        "Counts are thrown away.",
        "Check the mask: 0 is good, 1 is bad.",
    ),
    "D418": _Fault(
        "warning", "the model does not explain the counts",
        "What it lacks goes into the image as artefacts.",
        "Try more iterations, more --modes and --refine-positions, one by one; check the axes of the positions.",
    ),
}  # fmt: skip
"""What each stable code means."""


def found(code: str, number: float, evidence: str, level: Level | None = None) -> Diagnosis:
    """Return a diagnosis with the words of its code.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    number : float
        The number that tells.
    evidence : str
        A sentence with it.
    level : str, optional
        Where the number makes it worse or better than usual.
    """
    fault = CODES[code]
    return Diagnosis(code, level or fault.level, fault.what, evidence, float(number), fault.consequence, fault.remedy)
