"""Results that cannot be right: impossible values, and an object or probe without power where it should be."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exitwave.analysis.diagnosis.codes import Diagnosis, make_diagnosis
from exitwave.analysis.finite import impossible_values, with_finite_values
from exitwave.scan import Result

RIM, AT_RIM = 1 / 16, 0.75
"""Width of the rim of the probe's array relative to its side, and share of the power there from which on the probe has
left its array. The rim is 23 % of the area."""
FAINT = 1e-3
"""Power per pixel of the covered area, relative to that of the pixels around it, below which the object has left it."""


def diagnose_values(result: Result) -> Iterator[Diagnosis]:
    """Yield D423 for impossible values of a result, and D424 if object or probe have no power where it should be."""
    counts = impossible_values(result)
    if counts:
        total = sum(counts.values())
        listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
        yield make_diagnosis("D423", total, f"Values that are not finite or impossibly large: {listed}.")
    result = with_finite_values(result)
    if not len(result.probe):
        return
    for evidence, number in (_probe_power(result.probe), _object_power(result)):
        if evidence:
            yield make_diagnosis("D424", number, evidence)
            return


def _probe_power(probe: NDArray[np.complex64]) -> tuple[str, float]:
    """Return what is wrong with the power of the probe, or an empty text, and the share of the power at the rim."""
    power = (np.abs(probe.astype(np.complex128)) ** 2).sum(axis=0)
    if not power.any():
        return "The probe is zero everywhere.", 0.0
    rows, columns = (max(1, round(RIM * n)) for n in power.shape)
    share = 1 - float(power[rows:-rows, columns:-columns].sum() / power.sum())
    return (f"{share:.0%} of the power of the probe is at the rim of its array." if share > AT_RIM else ""), share


def _object_power(result: Result) -> tuple[str, float]:
    """Return what is wrong with the power of the object, or an empty text, and the power inside relative to outside."""
    slices = result.object.reshape(-1, *result.object.shape[-2:]).astype(np.complex128)
    power, covered = np.abs(slices.prod(axis=0)) ** 2, result.mask > 0.5
    if not covered.any():
        return ("The object is zero everywhere." if not power.any() else ""), 0.0
    inside = float(power[covered].mean())
    if inside == 0:
        return "The object is zero in the whole area that the beam has illuminated.", 0.0
    outside = float(power[~covered].mean()) if not covered.all() else inside
    ratio = inside / outside if outside else 1.0
    found = f"The object has {ratio:.2g} times the power per pixel in the illuminated area as around it."
    return (found if ratio < FAINT else ""), ratio
