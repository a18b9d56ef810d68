"""Frames and positions that are out of step (D419)."""

from dataclasses import replace

import numpy as np
import pytest

import exitwave
from exitwave.analysis.diagnosis import diagnose
from exitwave.cxi.frame_settings import with_frame_settings
from exitwave.frames import Frames

START = 47


@pytest.fixture(scope="module")
def scan():
    return exitwave.simulate("2-ID-D", detector=128, frames=120, photons=1e7, specimen="texture", seed=1)


def without_a_trigger(scan):
    """Return a scan whose frames from `START` on belong to the next position."""
    frames = np.stack(list(scan.patterns.pick(np.arange(len(scan.patterns)))))
    frames[START:-1], frames[-1] = frames[START + 1 :], 0
    return replace(scan, patterns=Frames(frames))


def test_a_lost_trigger_is_found_with_the_command_that_repairs_it(scan):
    (found,) = [each for each in diagnose(without_a_trigger(scan)) if each.code == "D419"]
    assert found.level == "error"
    by, start = found.remedy.split("frames.shift=")[1].split()[0].split("@")
    assert int(by) == 1
    assert int(start) == pytest.approx(START, abs=2)


def test_frames_in_order_are_not_reported(scan):
    assert "D419" not in {each.code for each in diagnose(scan)}


def test_the_repair_gives_the_positions_back(scan):
    repaired = with_frame_settings(without_a_trigger(scan), {"frames.shift": f"1@{START}"})
    later = np.arange(START, len(scan.positions) - 1)
    np.testing.assert_array_equal(repaired.positions[later], scan.positions[later + 1])
    np.testing.assert_array_equal(repaired.positions[:START], scan.positions[:START])
    assert len(scan.positions) - 1 not in repaired.used_frames


def test_a_jump_of_the_pattern_centre_is_not_a_lost_trigger():
    raster = exitwave.simulate(
        "2-ID-D", detector=128, frames=120, photons=1e7, specimen="texture", seed=1, scan="raster"
    )
    frames = raster.patterns[:].copy()
    frames[110:] = np.roll(frames[110:], 2, axis=1)
    codes = {each.code for each in diagnose(replace(raster, patterns=Frames(frames)))}
    assert "D421" in codes
    assert "D419" not in codes
