"""Codes of the problems of a scan or result: what is wrong, its consequence and the remedy."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from exitwave.errors import Level


@dataclass(frozen=True)
class Diagnosis:
    """One problem of a scan, or of the model of a result."""

    code: str
    """Stable short code, e.g. ``D402``."""
    level: Level
    """``error``: the image cannot be correct; ``warning``: it is degraded; ``info``: for information."""
    what: str
    """What is wrong, in a few words."""
    evidence: str
    """Evidence: a sentence with the number."""
    number: float
    """The number, in SI units if it has a unit."""
    consequence: str
    """Effect on the image."""
    remedy: str
    """What the user can do."""

    def __str__(self) -> str:
        return f"{self.level} {self.code}: {self.what}. {self.evidence} {self.consequence} {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis as a dictionary, for ``--json``."""
        return asdict(self)


class _Problem(NamedTuple):
    level: Level
    what: str
    consequence: str
    remedy: str


CODES: dict[str, _Problem] = {
    "D401": _Problem(
        "warning", "too few photons",
        "Noise hides fine and weak structure.",
        "Count longer, use a more intense beam, or scan with smaller steps.",
    ),
    "D402": _Problem(
        "warning", "neighbouring frames overlap too little",
        "The frames hardly constrain each other, and artefacts can look like structure.",
        "Use smaller steps or a wider beam: a linear overlap of 60 to 80 % of the beam diameter is good.",
    ),
    "D403": _Problem(
        "warning", "holes in the coverage",
        "The image is wrong or empty there.",
        "Scan the gap again, or do not interpret the image there.",
    ),
    "D404": _Problem(
        "info", "the positions form a periodic grid",
        "The image may contain a faint grid of the same period (raster pathology).",
        "Use a spiral scan, or add random offsets of a quarter of a step; object_constraints can suppress the grid.",
    ),
    "D405": _Problem(
        "warning", "the positions drift",
        "The image is sheared and blurred along the drift.",
        "Reconstruct with --refine-positions; let the stage settle before the scan.",
    ),
    "D406": _Problem(
        "warning", "the beam drifts",
        "One probe does not fit both the first and the last frames.",
        "Reconstruct with --set opr_update.number=3 or --set intensity_update=true; let the optics stabilise first.",
    ),
    "D407": _Problem(
        "warning", "the beam was lost",
        "Frames without beam make the sample look dark at their positions.",
        "Leave these frames out; exitwave prepare does this and lists them.",
    ),
    "D408": _Problem(
        "warning", "the positions are inaccurate",
        "The image is blurred and may show details twice.",
        "Reconstruct with --refine-positions.",
    ),
    "D409": _Problem(
        "warning", "the beam is only partly coherent",
        "One probe mode cannot explain the weak speckles, and the image has artefacts.",
        "Reconstruct with more modes (--modes 3), or close the slits of the beamline.",
    ),
    "D410": _Problem(
        "warning", "the detector is saturated",
        "The highest counts are missing or wrong.",
        "Attenuate the beam or shorten the exposure; detector.saturated=cap uses such pixels as lower bounds.",
    ),
    "D411": _Problem(
        "error", "distance, pixel size or the unit of the positions is wrong",
        "The steps of the scan have the wrong size in the object, and the reconstruction fails.",
        "Check them; --set distance=, --set pixel_size= and --set positions=um override the values in the file.",
    ),
    "D412": _Problem(
        "error", "the axes of detector and positions do not agree",
        "The frames are combined at wrong places, even if the error is small.",
        "Flip or transpose the positions as the orientation test shows.",
    ),
    "D413": _Problem(
        "warning", "too few detector pixels for the probe",
        "The speckles are finer than the detector pixels, and the probe wraps around the edges of its array.",
        "Use smaller detector pixels, a longer distance, no binning or a smaller beam; or set detector.oversample=2.",
    ),
    "D414": _Problem(
        "warning", "hot pixels are not masked",
        "Their counts are taken as scattering, which causes waves and grain in the image.",
        "Mask them; exitwave prepare finds them.",
    ),
    "D415": _Problem(
        "warning", "dead pixels are not masked",
        "Their zeros are taken as measurements, which distorts the image.",
        "Mask them; exitwave prepare finds them.",
    ),
    "D416": _Problem(
        "warning", "high background",
        "It hides weak speckles, and the image loses fine detail.",
        "Reconstruct with background_update, or add a dark frame to the detector.",
    ),
    "D417": _Problem(
        "info", "the mask hides pixels that look good",
        "Valid counts are not used.",
        "Check the mask: 0 is good, 1 is bad.",
    ),
    "D418": _Problem(
        "warning", "the model does not explain the counts",
        "Effects that the model lacks appear as artefacts in the image.",
        "Try more iterations, more --modes and --refine-positions, one at a time; check the axes of the positions.",
    ),
    "D419": _Problem(
        "error", "frames and positions are out of step",
        "A trigger was lost or doubled, and all later frames are combined at wrong places.",
        "Reconstruct the scan with --set frames.shift=K@N: from frame N on, frame j gets the position j + K.",
    ),
    "D420": _Problem(
        "error", "frames are repeated",
        "The detector did not record these positions, and the image is wrong there.",
        "Reconstruct the scan with --set frames.leave_out=FRAMES to leave them out, such as 3,40:60.",
    ),
    "D421": _Problem(
        "warning", "the centre of the patterns moves",
        "The direction of the beam changes, and the phase of the image is curved or has steps.",
        "Reconstruct with --set pointing_update=true; let the optics stabilise before the scan.",
    ),
    "D422": _Problem(
        "error", "the frames are near-field images, and are read as far-field patterns",
        "The model is wrong, and the image has nothing to do with the sample.",
        "Reconstruct the scan with --set geometry=near; the distance of the source is found from the frames.",
    ),
    "D423": _Problem(
        "error", "the result contains values that are not finite",
        "The image is wrong there, and nearby.",
        "Reconstruct the scan again with smaller steps; if the file was copied, compare it with the original.",
    ),
    "D424": _Problem(
        "error", "the object or the probe is empty, or has left its array",
        "There is no image where the beam has illuminated the sample.",
        "Reconstruct the scan again with smaller steps, or with another starting probe (--probe auto).",
    ),
    "D425": _Problem(
        "error", "the model has another energy than the counts",
        "Object and probe do not describe these frames.",
        "Check that the frames are those of the result, or reconstruct the scan again.",
    ),
}  # fmt: skip
"""Problem of each stable code."""


def make_diagnosis(code: str, number: float, evidence: str, level: Level | None = None) -> Diagnosis:
    """Return a diagnosis with the texts of its code.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    number : float
        The number of the evidence.
    evidence : str
        A sentence with the number.
    level : str, optional
        The level, if the number makes it differ from that of the code.
    """
    problem = CODES[code]
    return Diagnosis(
        code, level or problem.level, problem.what, evidence, float(number), problem.consequence, problem.remedy
    )
