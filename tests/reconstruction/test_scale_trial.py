"""A scale of the positions that is wrong by a factor, and its diagnosis."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.analysis.diagnosis import diagnose
from exitwave.positions import neighbour_distance
from exitwave.reconstruction import scale_trial
from exitwave.reconstruction.scale_trial import FACTORS, rank_scales, scale_decision


@pytest.fixture(scope="module")
def scan():
    return exitwave.simulate(detector=128, frames=60, photons=1e6, seed=4)


@pytest.fixture
def reconstruct(monkeypatch, scan):
    """Replace the short reconstruction by an error that depends on the distance of neighbours."""

    def prepare(right: float, noise: float = 0.01) -> None:
        step = neighbour_distance(scale_trial.central_frames(scan, scale_trial.FRAMES).positions)

        def error(part, recipe):
            apart = np.log(neighbour_distance(part.positions) / step / right)
            return noise + 0.05 * min(abs(apart), 1.0), None

        monkeypatch.setattr(scale_trial, "reconstruct_shortly", error)

    return prepare


def test_a_pixel_size_that_is_half_of_the_true_one_is_found(scan, reconstruct):
    reconstruct(2.0)
    decision = scale_decision(rank_scales(scan), scan)
    assert decision.settings["factor"] == pytest.approx(2)
    right = decision.settings["right"]
    assert right["pixel_size"] == f"{scan.detector.pixel_size[1] * 2e6:g}um"
    assert float(right["energy"].removesuffix("keV")) == pytest.approx(scan.energy * 2 / 1e3, rel=0.01)


def test_finer_factors_are_tried_around_the_best_one(scan, reconstruct):
    reconstruct(2.4, noise=0.001)
    assert rank_scales(scan)[0].factor == pytest.approx(2.4)


def test_the_scale_of_the_file_is_kept_if_no_other_is_clearly_better(scan, reconstruct):
    reconstruct(1.2, noise=0.05)
    decision = scale_decision(rank_scales(scan), scan)
    assert decision.name == "as in the file"
    assert set(decision.settings["errors"]) >= {f"{factor:.3g}" for factor in FACTORS}


def test_the_diagnosis_names_the_commands(scan, reconstruct):
    reconstruct(0.5)
    decision = scale_decision(rank_scales(scan), scan)
    result = exitwave.reconstruct(scan, iterations=1, threads=1)
    (found,) = [each for each in diagnose(replace(result, choices=(decision,))) if each.code == "D411"]
    assert found.level == "error"
    assert found.number == pytest.approx(0.5)
    assert f"--set pixel_size={decision.settings['right']['pixel_size']}" in found.remedy
