import numpy as np
import pytest

from exitwave.poisson import noise_misfit


@pytest.mark.parametrize("mean", [1e-3, 0.1, 0.9, 4.0, 50.0, 900.0])
def test_misfit_is_that_of_sampled_poisson_counts(mean: float) -> None:
    counts = np.random.default_rng(2).poisson(mean, 400_000)
    assert noise_misfit(np.array(mean)) == pytest.approx(np.mean((np.sqrt(counts) - np.sqrt(mean)) ** 2), rel=0.03)


def test_misfit_tends_to_a_quarter_and_to_twice_the_mean() -> None:
    assert noise_misfit(np.array([0.0, 1e-8, 1e5])) == pytest.approx([0, 2e-8, 0.25], rel=1e-3)
