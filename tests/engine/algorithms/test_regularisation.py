"""The prior of ML: gradient, majorant, invariance to the scale of the object, and less noise with few photons."""

import numpy as np
import pytest

import exitwave
from exitwave.engine.algorithms import regularisation
from exitwave.engine.algorithms.regularisation import add_prior, make_prior, slope_and_curvature
from exitwave.engine.backend import Misfit, Sums
from exitwave.engine.parallel.tiles import WHOLE_OBJECT
from exitwave.engine.recipe import make_recipe
from exitwave.errors import InputError


@pytest.fixture
def example():
    """Return an object, a direction, and a probe density."""
    rng = np.random.default_rng(0)
    obj, direction = (rng.standard_normal((2, 9, 11)) + 1j * rng.standard_normal((2, 9, 11))) * [[[1.0]], [[0.3]]]
    return obj, direction, rng.random((9, 11))


def value(obj, prior):
    """Return R from its definition."""
    links = np.concatenate([np.diff(obj, axis=0).ravel(), np.diff(obj, axis=1).ravel()])
    return prior.weight * (np.sqrt(np.abs(links) ** 2 + prior.edge**2) - prior.edge).sum()


def sums_of(obj):
    return Sums(np.zeros_like(obj), np.zeros(obj.shape), obj[None], np.zeros(obj.shape), Misfit(0.0, 0.0))


def test_the_sum_and_the_slope_are_the_gradient_of_the_prior_without_the_common_factor(example):
    obj, direction, density = example
    prior, sums = make_prior(obj, density, 1.0, WHOLE_OBJECT), sums_of(obj)
    majorant, sums = add_prior(prior, obj, sums, WHOLE_OBJECT)
    slope, _ = slope_and_curvature(majorant, obj, direction, WHOLE_OBJECT)
    assert slope == pytest.approx(-2 * np.vdot(sums.object, direction).real)
    across = direction - obj * np.vdot(obj, direction).real / np.vdot(obj, obj).real
    numeric = (value(obj + 1e-5 * across, prior) - value(obj - 1e-5 * across, prior)) / 2e-5
    assert slope == pytest.approx(numeric, rel=1e-6)
    assert slope_and_curvature(majorant, obj, obj, WHOLE_OBJECT)[0] == pytest.approx(0, abs=1e-9)


def test_the_majorant_is_nowhere_below_the_prior(example):
    obj, direction, density = example
    prior = make_prior(obj, density, 1.0, WHOLE_OBJECT)
    majorant, _ = add_prior(prior, obj, sums_of(obj), WHOLE_OBJECT)
    without_common = regularisation.Majorant(majorant.rows, majorant.columns, 0.0)
    slope, curvature = slope_and_curvature(without_common, obj, direction, WHOLE_OBJECT)
    for length in (-3.0, -0.5, 0.1, 1.0, 5.0):
        bound = value(obj, prior) + length * slope + length**2 / 2 * curvature
        assert value(obj + length * direction, prior) <= bound + 1e-9


def test_the_prior_does_not_depend_on_the_scale_of_the_object(example):
    obj, _, density = example
    one, other = (make_prior(factor * obj, density, 1.0, WHOLE_OBJECT) for factor in (1.0, 7.0))
    assert value(7 * obj, other) == pytest.approx(value(obj, one))


def test_the_prior_reduces_the_noise_of_few_photons():
    scan = exitwave.simulate(detector=128, frames=60, photons=3e5, seed=1)
    errors = {}
    for strength in (None, 1.0):
        settings = {"algorithm": "ML", "iterations": 30, "noise": "Poisson", "regularisation": strength, "threads": 1}
        errors[strength] = exitwave.compare(exitwave.reconstruct(scan, **settings)).error
    assert errors[1.0] < 0.85 * errors[None]


def test_a_flat_object_has_no_prior_yet(example):
    flat = np.ones((9, 11), complex)
    assert make_prior(flat, example[2], 1.0, WHOLE_OBJECT) is None


def test_only_ml_accepts_the_prior():
    with pytest.raises(InputError, match="mPIE does not use regularisation"):
        make_recipe({"algorithm": "mPIE", "regularisation": 1.0})
