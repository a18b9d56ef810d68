"""Near-field images that are read as far-field patterns (D422)."""

from dataclasses import replace

import pytest

import exitwave
from exitwave.analysis.diagnosis.near_field import (
    PROPORTIONAL,
    diagnose_near_field,
    looks_like_near_field,
    measure_shifts,
)


@pytest.fixture(scope="module")
def near():
    return exitwave.simulate("near-field", frames=80, detector=128, photons=1e7)


def test_the_shifts_give_the_size_of_a_pixel_on_the_sample(near):
    shifts = measure_shifts(near)
    assert shifts.proportional > PROPORTIONAL
    assert shifts.object_pixel == pytest.approx(near.object_pixel[0], rel=0.15)


def test_near_field_images_in_the_far_field_are_reported_with_the_command(near):
    wide = replace(near, near=None, detector=replace(near.detector, distance=near.detector.distance / 100))
    (found,) = diagnose_near_field(wide)
    assert found.code == "D422"
    assert found.level == "error"
    assert "--set geometry=near" in found.remedy


@pytest.mark.parametrize("preset", ["26-ID", "2-ID-D"])
def test_far_field_patterns_are_not_reported(preset):
    scan = exitwave.simulate(preset, detector=128, frames=60, photons=1e6, seed=3)
    assert looks_like_near_field(scan) is None


def test_measured_images_are_recognised(measured):
    shifts = looks_like_near_field(exitwave.open(measured / "petra_p25_near_field.cxi"))
    assert shifts is not None
    assert shifts.proportional > 0.98
    assert looks_like_near_field(exitwave.open(measured / "velociprobe_siemens_star.cxi")) is None
