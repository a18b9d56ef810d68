"""The score of held-out frames, and how it ends a stage."""

import dataclasses
import math

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import modelled_frames, recompute
from exitwave.engine.backend import Misfit
from exitwave.engine.backends.create import make_backend
from exitwave.engine.problem import Problem
from exitwave.poisson import deviance, deviance_moments
from exitwave.reconstruction.score import Score, Scorer


@pytest.fixture(scope="module")
def scan():
    return exitwave.simulate(detector=128, frames=60, photons=3e5, seed=2)


def test_the_score_is_the_mean_deviance_of_the_held_out_frames(scan):
    last = list(exitwave.iterate(scan, iterations=4, holdout=0.2, threads=1))[-1]
    run = last._run
    result = last.result()
    held_out = modelled_frames(result, result.held_out)
    values = np.concatenate([deviance(frame.counts[frame.good], frame.model[frame.good]) for frame in held_out])
    assert Scorer(run.problem).score(run.state, run.backends[1]).value == pytest.approx(values.mean(), rel=0.02)
    assert result.holdout_deviances[-1] == pytest.approx(last.score.value)
    assert len(result.holdout_deviances) == len(result.errors)


def test_the_score_is_lowest_for_the_true_intensities():
    rng = np.random.default_rng(0)
    true = rng.gamma(0.3, 2.0, 20_000)
    counts = rng.poisson(true)
    scores = {factor: deviance(counts, factor * true).mean() for factor in (0.8, 0.9, 1.0, 1.1, 1.2)}
    assert min(scores, key=scores.__getitem__) == 1.0
    amplitude = {factor: ((np.sqrt(counts) - np.sqrt(factor * true)) ** 2).mean() for factor in (0.6, 0.8, 1.0)}
    assert min(amplitude, key=amplitude.__getitem__) < 1.0  # the error metric prefers a model that is too dark


@pytest.mark.parametrize("mean", [0.01, 0.3, 2.0, 40.0, 5000.0])
def test_the_moments_of_the_deviance_are_those_of_poisson_counts(mean):
    values = deviance(np.random.default_rng(1).poisson(mean, 400_000), np.full(400_000, mean))
    expected, variance = deviance_moments(np.array(mean))
    assert values.mean() == pytest.approx(expected, rel=0.03)
    assert values.var() == pytest.approx(variance, rel=0.03)


def test_a_gain_is_compared_with_its_noise():
    before = Score(np.array([1.0, 1.2, 1.4, 1.6]), Misfit(1.0, 1.0))
    gain, noise = dataclasses.replace(before, deviances=before.deviances - [0.1, 0.1, 0.1, 0.3]).gain_over(before)
    assert gain == pytest.approx(0.15)
    assert noise == pytest.approx(0.05)


def test_a_stage_with_patience_keeps_its_best_iteration(scan):
    settings = {"algorithm": "ML", "iterations": 60, "noise": "Poisson", "patience": 5, "threads": 1}
    *progress, last = exitwave.iterate(exitwave.simulate(detector=128, frames=60, photons=3e4, seed=2), **settings)
    assert last.stopped_by == "converged"
    assert last.iteration < 60
    assert last.score.value == pytest.approx(min(each.score.value for each in [*progress, last]))
    assert last.score.value < max(each.score.value for each in progress[-5:])
    result = last.result()
    assert result.holdout_errors[-1] == pytest.approx(last.score.misfit.error)
    assert recompute(result, result.held_out) == pytest.approx(last.score.misfit.error, rel=0.02)


def test_without_held_out_frames_the_error_metric_ends_the_stage(scan):
    last = list(exitwave.iterate(scan, iterations=300, holdout=0, patience=5, threads=1))[-1]
    assert last.stopped_by == "converged"
    assert math.isnan(last.score.value)


def test_the_null_deviance_is_that_of_the_mean_pattern(scan):
    last = list(exitwave.iterate(scan, iterations=1, holdout=0.2, threads=1))[-1]
    problem: Problem = last._run.problem
    used, null = last.reference_deviances()
    assert null > used > 0
    backend = make_backend(problem, 1, 1)
    assert Scorer(problem).used_deviance(last._run.state, backend) == pytest.approx(used)


def test_the_noise_of_a_single_group_does_not_count():
    high, low = (Score(np.array([value]), Misfit(1.0, 1.0)) for value in (1.3, 1.2))
    assert low.is_below(high, 0.05)
    assert not low.is_below(high, 0.15)
    assert not high.is_below(low, 0.0)
