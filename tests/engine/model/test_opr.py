"""Orthogonal probe relaxation: orthogonal axes, noise, and the recovery of a drift."""

import numpy as np
import pytest

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.model import opr
from exitwave.simulation import simulate


def random_modes(count, shape=(12, 15), seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape)) + 1j * rng.standard_normal((count, *shape))


def angle(found, truth, mode):
    """Return the angle in degrees between the true OPR mode and the span of those found, without parts along a mode."""
    basis = np.array([each - mode * np.vdot(mode, each) / np.vdot(mode, mode) for each in found])
    basis = np.linalg.qr(basis.reshape(len(basis), -1).T)[0]
    unit = truth.ravel() / np.linalg.norm(truth)
    return np.degrees(np.arcsin(min(1.0, np.linalg.norm(unit - basis @ (basis.conj().T @ unit)))))


def relative_power(result):
    """Return the power of every OPR mode, relative to that of all probe modes."""
    power = np.mean(result.model["opr_weights"] ** 2, axis=0) * (np.abs(result.model["opr_modes"]) ** 2).sum((1, 2))
    return power / (np.abs(result.probe) ** 2).sum()


def test_orthogonal_axes_do_not_change_the_product():
    u, used = random_modes(3), np.arange(5, 40)
    v = np.random.default_rng(1).standard_normal((40, 3)) * [1, 3, 0.1]
    transform, weights = opr.orthogonal_axes(u, v, used, 2.5)
    transformed = np.tensordot(transform, u, 1)
    assert np.tensordot(weights, transformed, 1) == pytest.approx(np.tensordot(v, u, 1))
    flat = transformed.reshape(3, -1).view(float)
    assert flat @ flat.T == pytest.approx(2.5**2 * np.eye(3))
    products = weights[used].T @ weights[used]
    assert products == pytest.approx(np.diag(np.diag(products)), abs=1e-9 * products.max())
    assert (np.diff(np.diag(products)) <= 0).all()


def test_opr_modes_of_zero_have_finite_axes():
    transform, weights = opr.orthogonal_axes(0 * random_modes(2), np.ones((9, 2)), np.arange(9), 1.0)
    assert np.isfinite(transform).all()
    assert not weights.any()


@pytest.mark.parametrize("whole", [False, True])
def test_the_phase_of_the_probe_mode_is_removed_from_the_opr_modes(whole):
    u, mode = random_modes(2), random_modes(1, seed=5)[0]
    left = opr.remove_mode(u, mode, whole=whole)
    along = np.tensordot(left, mode.conj(), 2)
    assert along.imag == pytest.approx(0, abs=1e-9)
    assert (np.abs(along).max() < 1e-9) == whole
    assert np.vdot(mode, u[0] - left[0]) == pytest.approx(np.vdot(mode, u[0]) - np.vdot(mode, left[0]))


def test_weights_of_noise_are_reduced():
    assert opr.significant_part(np.array([1.0, 0.5, 1e-3, 0.0]), 1e-2) == pytest.approx([0.985, 0.97, 0.1, 0.1])


def test_a_drift_of_the_probe_is_refined_and_the_object_improves(tmp_path):
    scan = simulate(detector=128, frames=100, photons=2e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 25, "threads": 1}
    not_refined = exitwave.reconstruct(scan, **settings)
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    truth = scan.truth.model
    assert angle(found.model["opr_modes"], truth["opr_modes"][0], found.probe[0]) < 15
    assert abs(np.corrcoef(found.model["opr_weights"][:, 0], truth["opr_weights"][:, 0])[0, 1]) > 0.99
    assert exitwave.compare(found).error < 0.3 * exitwave.compare(not_refined).error
    assert found.holdout_errors[-1] < 0.5 * not_refined.holdout_errors[-1]
    found.save(tmp_path / "found.cxi")
    again = exitwave.open(tmp_path / "found.cxi")
    assert recompute(again) == pytest.approx(found.errors[-1], rel=1e-4)
    continued = exitwave.reconstruct(again, iterations=2, threads=1, opr_update=True)
    assert continued.errors[-3] == found.errors[-1]
    assert continued.errors[-1] < 1.3 * found.errors[-1]


@pytest.mark.parametrize("photons", [1e4, 2e6])
def test_opr_modes_of_a_constant_probe_stay_negligible(photons):
    scan = simulate(detector=128, frames=100, photons=photons, seed=3)
    found = exitwave.reconstruct(scan, opr_update={"number": 3}, iterations=12, threads=1)
    assert relative_power(found).sum() < 1e-3


def test_the_first_of_several_modes_varies_and_all_become_orthogonal():
    scan = simulate(detector=128, frames=60, photons=1e6, modes=3, probe_drift=0.1, seed=3)
    found = exitwave.reconstruct(scan, opr_update=True, iterations=8, threads=1)
    powers = (np.abs(found.probe) ** 2).sum((1, 2))
    assert (np.diff(powers) < 0).all()
    assert abs(np.vdot(found.probe[1], found.probe[2])) < 1e-4 * powers[1]
    assert recompute(found) == pytest.approx(found.errors[-1], rel=1e-4)


def test_opr_modes_are_refined_with_a_probe_that_is_not_updated():
    scan = simulate(detector=128, frames=60, photons=1e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 15, "threads": 1, "probe_update": {"enabled": False}}
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    assert np.array_equal(found.probe, scan.probe)
    assert found.errors[-1] < 0.5 * exitwave.reconstruct(scan, **settings).errors[-1]


@pytest.mark.parametrize("algorithm", ["LSQ-ML", "ePIE"])
def test_opr_modes_are_refined_with_other_algorithms(algorithm):
    scan = simulate(detector=128, frames=60, photons=1e6, probe_drift=0.2, seed=3)
    settings = {"iterations": 10, "threads": 1, "algorithm": algorithm}
    found = exitwave.reconstruct(scan, opr_update=True, **settings)
    assert found.errors[-1] < 0.7 * exitwave.reconstruct(scan, **settings).errors[-1]
