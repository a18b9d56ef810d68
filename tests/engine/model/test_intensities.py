"""Refinement of the intensity per frame."""

import numpy as np
import pytest

import exitwave
from exitwave.simulation import simulate


def test_a_fluctuation_of_the_beam_is_refined_and_the_object_improves():
    scan = simulate(detector=128, frames=100, photons=1e6, beam_fluctuation=0.2, seed=3)
    settings = {"iterations": 15, "threads": 1}
    not_refined = exitwave.reconstruct(scan, **settings)
    refined = exitwave.reconstruct(scan, intensity_update=True, **settings)
    truth = scan.truth.model["probe_factors"]
    error = refined.model["probe_factors"] / refined.model["probe_factors"].mean() - truth / truth.mean()
    assert np.median(np.abs(error)) < 0.15 * truth.std()
    assert np.corrcoef(refined.model["probe_factors"], truth)[0, 1] > 0.98
    assert exitwave.compare(refined).error < 0.8 * exitwave.compare(not_refined).error
    assert refined.holdout_errors[-1] < 0.8 * not_refined.holdout_errors[-1]
    used = np.setdiff1d(np.arange(100), refined.held_out)
    assert refined.model["probe_factors"][used].mean() == pytest.approx(1)


def test_factors_of_a_constant_beam_stay_close_to_1():
    scan = simulate(detector=128, frames=100, photons=1e6, seed=3)
    refined = exitwave.reconstruct(scan, intensity_update=True, iterations=10, threads=1)
    assert refined.model["probe_factors"].std() < 0.01
