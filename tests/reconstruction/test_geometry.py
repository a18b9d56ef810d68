"""Geometry of the detector: settings, doubts, and near-field reconstructions, saved and continued."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.cxi.validate import validate
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError
from exitwave.reconstruction.geometry import with_geometry
from exitwave.scan import NearField


@pytest.fixture(scope="module")
def near():
    return exitwave.simulate("near-field", frames=60, detector=64, photons=1e7)


def recipe(**settings):
    return make_recipe(settings)


def test_the_settings_select_the_geometry(near):
    far = dataclasses.replace(near, near=None)
    assert with_geometry(far, recipe()).near is None
    assert with_geometry(near, recipe()).near == near.near
    assert with_geometry(near, recipe(geometry="far")).near is None
    assert with_geometry(near, recipe(geometry="near")).near == near.near
    assert with_geometry(far, recipe(geometry="near")).near == NearField(None)
    assert with_geometry(far, recipe(geometry="near", source_distance="5mm")).near == NearField(5e-3)
    assert with_geometry(near, recipe(source_distance=5e-3)).near == NearField(5e-3)
    with pytest.raises(InputError, match="not used in the far field"):
        with_geometry(far, recipe(source_distance=5e-3))
    with pytest.raises(InputError, match="coarse"):
        exitwave.reconstruct(near, coarse=2, iterations=1)


def test_a_doubtful_geometry_has_a_finding(near, measured: Path):
    codes = lambda scan: {finding.code for finding in scan.findings}  # noqa: E731
    assert codes(with_geometry(near, recipe())) == set()
    assert codes(with_geometry(exitwave.simulate(frames=20, detector=128, step=5e-6), recipe())) == {"W241"}
    far_away = dataclasses.replace(near, detector=dataclasses.replace(near.detector, distance=1e3))
    assert codes(with_geometry(far_away, recipe(source_distance=1e3))) == {"W242"}
    scan = exitwave.open(measured / "petra_p25_near_field.cxi")
    assert codes(with_geometry(scan, recipe())) - codes(scan) == {"W241"}
    scan = exitwave.open(measured / "velociprobe_siemens_star.cxi")
    assert codes(with_geometry(scan, recipe())) - codes(scan) == set()


@pytest.mark.parametrize("algorithm", ["mPIE", "LSQ-ML"])
def test_the_truth_is_recovered_without_a_starting_probe(algorithm):
    scan = exitwave.simulate("near-field", frames=80, detector=64, photons=1e7, step=6e-7)
    result = exitwave.reconstruct(scan, probe="auto", algorithm=algorithm, iterations=60, threads=1)
    assert exitwave.compare(result).error < 0.1
    assert result.holdout_errors[-1] < 1.5 * result.errors[-1]


def test_a_result_can_be_recomputed_opened_and_continued(near, tmp_path: Path):
    result = exitwave.reconstruct(near, iterations=3, threads=1, modes=2)
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)
    assert result.object_pixel == pytest.approx(near.object_pixel)
    near.save(tmp_path / "scan.cxi")
    file = tmp_path / "result.cxi"
    exitwave.reconstruct(exitwave.open(tmp_path / "scan.cxi"), iterations=3, threads=1, modes=2).save(file)
    assert not [finding for finding in validate(file) if finding.level == "error"]
    again = exitwave.open(file)
    assert again.scan.near == near.near
    assert recompute(again) == pytest.approx(result.errors[-1], rel=1e-4)
    further = exitwave.reconstruct(again, iterations=2, threads=1)
    assert further.errors[-1] < result.errors[-1]
    with pytest.raises(InputError, match="keeps the geometry"):
        exitwave.reconstruct(again, geometry="far")


def test_a_result_in_a_parallel_beam_with_large_detector_pixels_opens(near, tmp_path: Path):
    detector = dataclasses.replace(near.detector, pixel_size=(55e-6, 55e-6))
    dataclasses.replace(near, detector=detector, near=NearField(), truth=None, probe=None).save(tmp_path / "scan.cxi")
    file = tmp_path / "result.cxi"
    exitwave.reconstruct(exitwave.open(tmp_path / "scan.cxi"), iterations=1, threads=1).save(file)
    assert exitwave.open(file).object_pixel == pytest.approx((55e-6, 55e-6))
    assert not [finding for finding in validate(file) if finding.level == "error"]


def test_a_measured_near_field_is_reconstructed(measured: Path):
    scan = exitwave.open(measured / "petra_p25_near_field.cxi")
    result = exitwave.reconstruct(scan, geometry="near", source_distance="3.65mm", iterations=20, threads=1)
    assert result.holdout_errors[-1] < 1.5 * result.errors[-1]
    assert result.holdout_errors[-1] < 0.007
    spokes = np.angle(result.object)[result.mask > 0]
    assert np.ptp(np.percentile(spokes, [5, 95])) > 0.3  # rad of gold
