"""Orthogonal probe relaxation: the axes, the noise, and the recovery of a drift."""

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.model import opr
from exitwave.simulation import simulate


def waves(count, shape=(12, 15), seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape)) + 1j * rng.standard_normal((count, *shape))


def angle(found, truth, mode):
    """Degrees between the true variation and the space of those found, without their parts along the mode."""
    basis = np.array([each - mode * np.vdot(mode, each) / np.vdot(mode, mode) for each in found])
    basis = np.linalg.qr(basis.reshape(len(basis), -1).T)[0]
    unit = truth.ravel() / np.linalg.norm(truth)
    return np.degrees(np.arcsin(min(1.0, np.linalg.norm(unit - basis @ (basis.conj().T @ unit)))))


def share(result):
    """Power of every variation, relative to that of all modes."""
    power = np.mean(result.model["opr_weights"] ** 2, axis=0) * (np.abs(result.model["opr_modes"]) ** 2).sum((1, 2))
    return power / (np.abs(result.probe) ** 2).sum()


def test_new_axes_make_the_same_product():
    u, used = waves(3), np.arange(5, 40)
    v = np.random.default_rng(1).standard_normal((40, 3)) * [1, 3, 0.1]
    turn, weights = opr.orthogonal(u, v, used, 2.5)
    turned = np.tensordot(turn, u, 1)
    assert np.tensordot(weights, turned, 1) == pytest.approx(np.tensordot(v, u, 1))
    flat = turned.reshape(3, -1).view(float)
    assert flat @ flat.T == pytest.approx(2.5**2 * np.eye(3))
    products = weights[used].T @ weights[used]
    assert products == pytest.approx(np.diag(np.diag(products)), abs=1e-9 * products.max())
    assert (np.diff(np.diag(products)) <= 0).all()


def test_a_variation_that_is_nothing_has_axes_too():
    turn, weights = opr.orthogonal(0 * waves(2), np.ones((9, 2)), np.arange(9), 1.0)
    assert np.isfinite(turn).all()
    assert not weights.any()


@pytest.mark.parametrize("whole", [False, True])
def test_the_phase_of_the_mode_is_no_variation(whole):
    u, mode = waves(2), waves(1, seed=5)[0]
    left = opr.without(u, mode, whole=whole)
    along = np.tensordot(left, mode.conj(), 2)
    assert along.imag == pytest.approx(0, abs=1e-9)
    assert (np.abs(along).max() < 1e-9) == whole
    assert np.vdot(mode, u[0] - left[0]) == pytest.approx(np.vdot(mode, u[0]) - np.vdot(mode, left[0]))


def test_what_is_not_more_than_noise_fades():
    assert opr.significance(np.array([1.0, 0.5, 1e-3, 0.0]), 1e-2) == pytest.approx([0.985, 0.97, 0.1, 0.1])


def test_a_drift_of_the_probe_is_found_and_the_object_is_the_better_for_it(tmp_path):
    scan = simulate(detector=128, frames=100, photons=2e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 25, "threads": 1}
    without = exitwave.reconstruct(scan, **settings)
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    truth = scan.truth.model
    assert angle(found.model["opr_modes"], truth["opr_modes"][0], found.probe[0]) < 15
    assert abs(np.corrcoef(found.model["opr_weights"][:, 0], truth["opr_weights"][:, 0])[0, 1]) > 0.99
    assert exitwave.compare(found).error < 0.3 * exitwave.compare(without).error
    assert found.holdout_errors[-1] < 0.5 * without.holdout_errors[-1]
    found.save(tmp_path / "found.cxi")
    again = exitwave.open(tmp_path / "found.cxi")
    assert recompute(again) == pytest.approx(found.errors[-1], rel=1e-4)
    onward = exitwave.reconstruct(again, iterations=2, threads=1, opr_update=True)
    assert onward.errors[-3] == found.errors[-1]
    assert onward.errors[-1] < 1.3 * found.errors[-1]


@pytest.mark.parametrize("photons", [1e4, 2e6])
def test_a_steady_probe_gets_no_variation(photons):
    scan = simulate(detector=128, frames=100, photons=photons, seed=3)
    found = exitwave.reconstruct(scan, opr_update={"number": 3}, iterations=12, threads=1)
    assert share(found).sum() < 1e-3


def test_the_first_of_several_modes_varies_and_the_others_become_orthogonal():
    scan = simulate(detector=128, frames=60, photons=1e6, modes=3, probe_drift=0.1, seed=3)
    found = exitwave.reconstruct(scan, opr_update=True, iterations=8, threads=1)
    powers = (np.abs(found.probe) ** 2).sum((1, 2))
    assert (np.diff(powers) < 0).all()
    assert abs(np.vdot(found.probe[1], found.probe[2])) < 1e-4 * powers[1]
    assert recompute(found) == pytest.approx(found.errors[-1], rel=1e-4)


def test_variations_are_found_beside_a_probe_that_is_left_alone():
    scan = simulate(detector=128, frames=60, photons=1e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 15, "threads": 1, "probe_update": {"enabled": False}}
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    assert np.array_equal(found.probe, scan.probe)
    assert found.errors[-1] < 0.5 * exitwave.reconstruct(scan, **settings).errors[-1]


@pytest.mark.parametrize("algorithm", ["LSQ-ML", "ePIE"])
def test_other_algorithms_have_variations_too(algorithm):
    scan = simulate(detector=128, frames=60, photons=1e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 10, "threads": 1, "algorithm": algorithm}
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    assert found.errors[-1] < 0.7 * exitwave.reconstruct(scan, **settings).errors[-1]
