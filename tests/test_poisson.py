import numpy as np
import pytest

from exitwave.engine import backend
from exitwave.engine.backends.reference.likelihood import likelihood
from exitwave.poisson import READOUT, deviance, deviance_moments, noise_misfit


@pytest.mark.parametrize("mean", [1e-3, 0.1, 0.9, 4.0, 50.0, 900.0])
def test_misfit_is_that_of_sampled_poisson_counts(mean: float) -> None:
    counts = np.random.default_rng(2).poisson(mean, 400_000)
    assert noise_misfit(np.array(mean)) == pytest.approx(np.mean((np.sqrt(counts) - np.sqrt(mean)) ** 2), rel=0.03)


def test_misfit_tends_to_a_quarter_and_to_twice_the_mean() -> None:
    assert noise_misfit(np.array([0.0, 1e-8, 1e5])) == pytest.approx([0, 2e-8, 0.25], rel=1e-3)


@pytest.mark.parametrize("mean", [1e-3, 0.1, 0.9, 4.0, 50.0, 900.0])
def test_moments_of_the_deviance_are_those_of_sampled_poisson_counts(mean: float) -> None:
    values = deviance(np.random.default_rng(3).poisson(mean, 400_000), np.array(mean))
    expected, variance = deviance_moments(np.array(mean))
    assert expected == pytest.approx(values.mean(), abs=5 * values.std() / 400_000**0.5)
    assert variance == pytest.approx(values.var(), rel=0.2)


def test_moments_of_the_deviance_tend_to_those_of_chi_squared() -> None:
    expected, variance = deviance_moments(np.array([0.0, 1e-8, 1e6]))
    assert expected == pytest.approx([0, 2e-8 * (2 * np.log(2) - 1), 1], rel=2e-2)
    assert variance == pytest.approx([0, 4e-8 * (2 * np.log(2) - 1) ** 2, 2], rel=2e-2)


def test_deviance_is_four_times_the_loss_of_the_engine() -> None:
    rng = np.random.default_rng(0)
    model = rng.uniform(0, 20, (6, 6))
    counts = rng.poisson(model)
    assert deviance(counts, model) == pytest.approx(4 * likelihood(counts, model, "Poisson", 0).loss)
    assert deviance(counts, counts) == pytest.approx(0)
    assert backend.READOUT == READOUT
