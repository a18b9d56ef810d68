import numpy as np
import pytest
from known import smooth, specimen

from exitwave.analysis.ambiguities import best_scale, remove_ramp
from exitwave.optics import phase_ramp

SHAPE = (90, 117)


def disc(radius: float = 0.8) -> np.ndarray:
    rows, columns = np.linspace(-1, 1, SHAPE[0])[:, None], np.linspace(-1, 1, SHAPE[1])
    return (np.hypot(rows, columns) < radius).astype(float)


@pytest.mark.parametrize("ramp", [(0.0, 0.0), (0.003, -0.011), (0.8, 1.7), (-3.1, 3.0)])
@pytest.mark.parametrize("mask", [None, disc()])
def test_pure_ramp_is_removed_exactly_even_with_phase_wraps(ramp, mask):
    flat, found = remove_ramp(2.5j * phase_ramp(SHAPE, np.array(ramp)), mask)
    assert found == pytest.approx(np.array(ramp), abs=1e-9)
    assert np.abs(flat - 2.5).max() < 1e-6


@pytest.mark.parametrize("phase", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("ramp", [(0.02, -0.3), (2.9, -2.2)])
def test_ramp_of_any_object_grows_by_exactly_the_added_ramp(phase, ramp):
    object, mask = specimen(SHAPE, phase=phase), disc()
    flat, own = remove_ramp(object, mask)
    again, both = remove_ramp(0.2 * np.exp(1.3j) * object * phase_ramp(SHAPE, np.array(ramp)), mask)
    assert np.angle(np.exp(1j * (both - own - ramp))) == pytest.approx(np.zeros(2), abs=1e-9)
    assert np.abs(again - 0.2 * flat).max() < 1e-6


def test_values_outside_the_mask_have_no_influence():
    mask = disc(0.6)
    object = phase_ramp(SHAPE, np.array([0.4, -0.2]))
    object[mask == 0] = 50 * phase_ramp(SHAPE, np.array([-1.0, 1.0]))[mask == 0]
    assert remove_ramp(object, mask)[1] == pytest.approx([0.4, -0.2], abs=1e-9)


def test_amplitude_is_unchanged_and_weighted_sum_is_real():
    object = specimen(SHAPE) * np.exp(2.1j)
    flat, _ = remove_ramp(object, disc())
    assert np.abs(flat) == pytest.approx(np.abs(object))
    total = np.sum(flat * disc())
    assert total.real > 0
    assert abs(total.imag) < 1e-9 * total.real


def test_empty_object_has_no_ramp():
    flat, ramp = remove_ramp(np.zeros((20, 20), complex))
    assert not ramp.any()
    assert not flat.any()


def test_best_scale_leaves_an_orthogonal_remainder():
    a, b = specimen(SHAPE, 1), specimen(SHAPE, 5)
    weights = np.abs(smooth(SHAPE, 0.1, 3))
    scale = best_scale(a, b, weights)
    assert abs(np.sum(weights * b.conj() * (a - scale * b))) < 1e-9 * np.sum(weights * np.abs(b) ** 2)
    assert best_scale((2 - 3j) * b, b) == pytest.approx(2 - 3j)
