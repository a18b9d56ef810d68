"""Offsets of the exposures of a fly scan."""

import numpy as np

from exitwave.engine.model.fly_scan import FlyScan
from exitwave.reconstruction.fly_scan import exposure_offsets


def test_exposures_are_spread_evenly_over_the_motion():
    positions = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 9, 0], [1, 9, 0.0]])
    assert np.allclose(exposure_offsets(positions, FlyScan(exposures=2, motion=(4, 2)))[3], [[-1, -0.5], [1, 0.5]])
    motions = np.diff(exposure_offsets(positions, FlyScan(exposures=2)), axis=1)[:, 0] * 2
    assert np.allclose(motions, [[1, 0], [1, 0], [1, 0], [-1, 0], [-1, 0]])
    assert np.allclose(exposure_offsets(positions, FlyScan(exposures=5)).mean(1), 0)
