from typing import Any

import pytest

from exitwave.analysis.deviance import Deviance
from exitwave.analysis.diagnosis.codes import CODES, make_diagnosis
from exitwave.analysis.grade import Evidence, grade, limit_of
from exitwave.analysis.halves import Halves


def deviance(ratio: float) -> Deviance:
    return Deviance(5, ratio, 1.0, 0.01, 10.0)


def evidence(**changes: Any) -> Evidence:
    """Return the evidence of a good image, except for some changes."""
    good: dict[str, Any] = {
        "halves": Halves(1.0, 0.05, 0.05, 100),
        "used": deviance(0.95),
        "held_out": deviance(1.1),
        "holdout_error": 0.02,
        "moved": 0.0,
        "improving": 0.0,
        "diagnoses": (),
        "diverged": False,
    }
    return Evidence(**good | changes)


COUNTS, WRAPPED = make_diagnosis("D413", 0.006, ""), make_diagnosis("D413", 0.036, "", "error")
ERROR, WARNING = (make_diagnosis("D408", 1.0, "", level) for level in ("error", "warning"))


@pytest.mark.parametrize(
    ("changes", "expected", "limit", "reason"),
    [
        ({}, "GOOD", "photons", "only photon noise"),
        ({"held_out": None, "holdout_error": None}, "GOOD", "photons", "only photon noise"),
        ({"diagnoses": (ERROR,)}, "BAD", "positions", "the positions are inaccurate (D408)"),
        ({"diverged": True}, "BAD", "photons", "diverged"),
        ({"halves": Halves(4.0, 0.2, 0.05, 100)}, "BAD", "model", "4 times as much as with photon noise"),
        ({"halves": Halves(4.0, 0.2, 0.05, 100), "diagnoses": (WARNING,)}, "BAD", "positions", "inaccurate (D408)"),
        ({"held_out": deviance(4.0)}, "BAD", "photons", "does not predict the held-out frames"),
        ({"holdout_error": 0.9}, "BAD", "photons", "only a small part of the counts"),
        ({"holdout_error": float("nan")}, "BAD", "photons", "only a small part of the counts"),
        ({"halves": Halves(4.0, 0.004, 0.001, 100)}, "CHECK", "model", "4 times the error"),
        ({"halves": Halves(1.0, 0.5, 0.5, 100)}, "CHECK", "photons", "hides most of the structure"),
        ({"halves": Halves(1.2, 0.004, 0.001, 100), "improving": 0.1}, "CHECK", "iterations", "1.2 times the error"),
        ({"improving": 0.1}, "GOOD", "photons", "only photon noise"),
        ({"halves": None}, "CHECK", "unknown", "unknown"),
        ({"held_out": deviance(1.5)}, "CHECK", "photons", "held-out frames deviate 1.5 times"),
        ({"used": deviance(1.6)}, "CHECK", "photons", "used frames deviate 1.6 times"),
        ({"diagnoses": (WARNING,)}, "CHECK", "positions", "the positions are inaccurate (D408)"),
        ({"diagnoses": (COUNTS,)}, "GOOD", "photons", "only photon noise"),
        ({"diagnoses": (COUNTS,), "held_out": deviance(1.5)}, "CHECK", "detector", "too few detector pixels"),
        ({"diagnoses": (COUNTS,), "halves": None}, "CHECK", "detector", "unknown"),
        ({"diagnoses": (WRAPPED,)}, "CHECK", "detector", "too few detector pixels"),
        (
            {"diagnoses": (WRAPPED,), "halves": Halves(1.3, 0.2, 0.15, 100)},
            "BAD",
            "detector",
            "too few detector pixels",
        ),
        ({"moved": 3.0}, "CHECK", "positions", "moved the positions by 3 object pixels"),
    ],
)
def test_grade_limit_and_first_reason(changes: dict[str, Any], expected: str, limit: str, reason: str) -> None:
    found, reasons = grade(evidence(**changes))
    assert (found, limit_of(evidence(**changes))) == (expected, limit)
    assert reason in reasons[0]


@pytest.mark.parametrize("code", CODES)
def test_no_problem_of_level_error_is_good(code: str) -> None:
    expected = "CHECK" if code == "D413" else "BAD"  # the halves agree, so that the array is wide enough for the image
    assert grade(evidence(diagnoses=(make_diagnosis(code, 1.0, "", "error"),)))[0] == expected
