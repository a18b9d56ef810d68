"""Results that cannot be right: each is marked as BAD with a diagnosis, and every verb copes with it."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import small_result, small_scan, small_truth
from typer.testing import CliRunner

import exitwave
from exitwave.analysis.diagnosis import diagnose
from exitwave.analysis.finite import impossible_values, with_finite_values
from exitwave.analysis.verdict import verdict
from exitwave.cli import app
from exitwave.errors import InputError
from exitwave.scan import Result


def _object(change: Callable[[Any], None]) -> Callable[[Result], Result]:
    def spoil(result: Result) -> Result:
        image = result.object.copy()
        change(image)
        return replace(result, object=image)

    return spoil


def _filled(name: str, value: float) -> Callable[[Result], Result]:
    return lambda result: replace(result, **{name: np.full_like(getattr(result, name), value)})


def _at_the_rim(result: Result) -> Result:
    probe = np.zeros_like(result.probe)
    probe[:, 0] = result.probe.max()
    return replace(result, probe=probe)


def _left_the_area(result: Result) -> Result:
    covered = np.zeros_like(result.mask)
    covered[12:-12, 12:-12] = 1
    return replace(result, mask=covered, object=np.where(covered, 1e-4, 1).astype(np.complex64))


WRONG: dict[str, tuple[Callable[[Result], Result], str]] = {
    "a block of NaN in the object": (_object(lambda image: image[10:16, 10:16].fill(np.nan)), "D423"),
    "an object of NaN": (_filled("object", np.nan), "D423"),
    "an infinite value in the object": (_object(lambda image: image[5].fill(np.inf)), "D423"),
    "a huge value in the object": (_object(lambda image: image[5].fill(3e38)), "D423"),
    "an infinite row of the probe": (
        lambda result: replace(result, probe=np.where(np.arange(24) == 5, np.inf, result.probe).astype(np.complex64)),
        "D423",
    ),
    "a probe of NaN": (_filled("probe", np.nan), "D423"),
    "an object of zeros": (_filled("object", 0), "D424"),
    "a probe of zeros": (_filled("probe", 0), "D424"),
    "a probe at the rim": (_at_the_rim, "D424"),
    "an object beside the illuminated area": (_left_the_area, "D424"),
    "a probe of a hundred times the power": (lambda result: replace(result, probe=10 * result.probe), "D425"),
    "a position of NaN": (
        lambda result: replace(result, positions=np.where(np.arange(40)[:, None] == 7, np.nan, result.positions)),
        "D423",
    ),
    "positions of NaN": (_filled("positions", np.nan), "D423"),
    "errors of NaN": (
        lambda result: _filled("holdout_errors", np.nan)(_filled("errors", np.nan)(result)),
        "D423",
    ),
    "a model of NaN": (
        lambda result: replace(result, model={name: np.full_like(v, np.nan) for name, v in result.model.items()}),
        "D423",
    ),
    "a covered area of NaN": (_filled("mask", np.nan), "D423"),
    "no covered area": (_filled("mask", 0), ""),
    "coordinates of NaN": (_filled("x", np.nan), ""),
    "equal coordinates": (_filled("x", 0), ""),
    "a resolution of NaN": (
        lambda result: replace(result, frc=replace(result.frc, correlation=np.full(2, np.nan), resolution=np.nan)),
        "",
    ),
}
CONTINUABLE = ("D425", "")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Result:
    file = tmp_path_factory.mktemp("good") / "scan.cxi"
    scan = small_scan(40, 24)
    scan = replace(scan, truth=small_truth(scan), detector=replace(scan.detector, dark=None))
    scan.save(file)
    result = small_result(exitwave.open(file))  # type: ignore[arg-type]
    factor = np.float32(np.sqrt(scan.patterns[:].sum() / len(scan.patterns)) / np.linalg.norm(result.probe))
    model = {name: value for name, value in result.model.items() if name == "pointing"}
    recipe = {"stages": [{"algorithm": "mPIE", "iterations": 5}]}
    return replace(result, mask=np.ones_like(result.mask), probe=factor * result.probe, recipe=recipe, model=model)


def test_a_good_result_has_none_of_these_diagnoses(good: Result) -> None:
    assert not {"D423", "D424", "D425"} & {diagnosis.code for diagnosis in diagnose(good)}
    assert impossible_values(good) == {}
    assert with_finite_values(good) is good


@pytest.mark.parametrize("name", [name for name, (_, code) in WRONG.items() if code])
def test_a_wrong_result_is_bad_for_this_reason(name: str, good: Result) -> None:
    spoil, code = WRONG[name]
    wrong = spoil(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        diagnoses = diagnose(wrong)
    assert code in {diagnosis.code for diagnosis in diagnoses if diagnosis.level == "error"}
    judged = verdict(wrong, diagnoses)
    assert judged.grade == "BAD"
    assert any(f"({code})" in reason for reason in judged.reasons)


@pytest.mark.parametrize("name", WRONG)
def test_verbs_cope_with_it(name: str, good: Result, tmp_path: Path) -> None:
    file = tmp_path / "result.cxi"
    spoil, code = WRONG[name]
    spoil(good).save(file)
    for words in (
        ("inspect", file, "--json"),
        ("validate", file),
        ("compare", file),
        ("convert", file, tmp_path / "copy.cxi", "--to", "seed"),
        ("convert", file, tmp_path / "copy.h5", "--to", "ptypy"),
    ):
        run = CliRunner().invoke(app, list(map(str, words)))
        assert run.exit_code == 0 or (words[0] in ("compare", "validate") and run.exit_code in (1, 2)), run.output
        assert "Unexpected" not in run.output
        assert code in run.output or words[0] != "inspect"


@pytest.mark.parametrize("name", ["a block of NaN in the object", "a probe of zeros", "a position of NaN"])
def test_a_report_draws_what_there_is(name: str, good: Result, tmp_path: Path) -> None:
    spoil, code = WRONG[name]
    spoil(good).save(tmp_path / "result.cxi")
    run = CliRunner().invoke(app, ["report", str(tmp_path / "result.cxi"), "-o", str(tmp_path / "report.html")])
    assert run.exit_code == 0, run.output
    assert code in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in WRONG if WRONG[name][1] not in CONTINUABLE])
def test_a_wrong_result_is_not_continued(name: str, good: Result) -> None:
    if name in (
        "errors of NaN",
        "a covered area of NaN",
        "a probe at the rim",
        "an object beside the illuminated area",
    ):
        result = exitwave.reconstruct(WRONG[name][0](good), iterations=1, threads=1)
        assert np.isfinite(result.object).all()
        return
    with pytest.raises(InputError, match=r"not finite|is zero"):
        exitwave.reconstruct(WRONG[name][0](good), iterations=1, threads=1)


def test_positions_outside_the_object_are_refused_before_compiled_loops_read_there(good: Result) -> None:
    moved = replace(good, positions=good.positions + 5e-6)
    with pytest.raises(InputError, match="outside the object"):
        exitwave.reconstruct(moved, iterations=1, threads=1)


def test_the_image_is_compared_without_its_impossible_values(good: Result) -> None:
    holes = WRONG["a block of NaN in the object"][0](good)
    found = exitwave.compare(holes, good)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.pixels < exitwave.compare(good, good).pixels
