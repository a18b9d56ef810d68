"""Intensity per frame."""

import numpy as np
import pytest

import exitwave
from exitwave.simulation import simulate


def test_the_fluctuation_of_the_beam_is_found_and_the_object_is_the_better_for_it():
    scan = simulate(detector=128, frames=100, photons=1e6, beam_fluctuation=0.2, seed=3)
    settings = {"iterations": 15, "threads": 1}
    without = exitwave.reconstruct(scan, **settings)
    found = exitwave.reconstruct(scan, intensity_update=True, **settings)
    truth = scan.truth.model["probe_factors"]
    wrong = found.model["probe_factors"] / found.model["probe_factors"].mean() - truth / truth.mean()
    assert np.median(np.abs(wrong)) < 0.15 * truth.std()
    assert np.corrcoef(found.model["probe_factors"], truth)[0, 1] > 0.98
    assert exitwave.compare(found).error < 0.8 * exitwave.compare(without).error
    assert found.holdout_errors[-1] < 0.8 * without.holdout_errors[-1]
    used = np.setdiff1d(np.arange(100), found.held_out)
    assert found.model["probe_factors"][used].mean() == pytest.approx(1)


def test_a_steady_beam_stays_steady():
    scan = simulate(detector=128, frames=100, photons=1e6, seed=3)
    found = exitwave.reconstruct(scan, intensity_update=True, iterations=10, threads=1)
    assert found.model["probe_factors"].std() < 0.01
