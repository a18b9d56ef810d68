import numpy as np
import pytest
from known import specimen

from exitwave.analysis.ambiguities import remove_ramp
from exitwave.analysis.registration import fourier_shift, register
from exitwave.optics import phase_ramp

SHAPE = (150, 132)


def window(margin: int = 30) -> np.ndarray:
    weights = np.zeros(SHAPE)
    weights[margin:-margin, margin:-margin] = 1
    return weights


def moved(object: np.ndarray, shift: tuple[float, float], ramp: tuple[float, float], scale: complex) -> np.ndarray:
    """Return an object for which the registration must find this shift, ramp and scale."""
    return fourier_shift(object, -np.array(shift)) * phase_ramp(SHAPE, -np.array(ramp)) / scale


def test_shift_by_whole_pixels_rolls_the_array_and_shifts_add_up():
    array = specimen((33, 40))
    assert fourier_shift(array, np.array([3, -5])) == pytest.approx(np.roll(array, (3, -5), (0, 1)))
    twice = fourier_shift(fourier_shift(array, np.array([0.3, 0.6])), np.array([0.7, -0.6]))
    assert twice == pytest.approx(fourier_shift(array, np.array([1.0, 0.0])), abs=1e-9)


def test_shift_keeps_the_energy_of_every_mode():
    modes = np.stack([specimen((33, 40)), 2j * specimen((33, 40), 4)])
    shifted = fourier_shift(modes, np.array([0.25, -7.3]))
    assert np.linalg.norm(shifted, axis=(1, 2)) == pytest.approx(np.linalg.norm(modes, axis=(1, 2)))


@pytest.mark.parametrize("phase", [0.2, 1.0, 2.0])
@pytest.mark.parametrize(
    ("shift", "ramp"),
    [((0, 0), (0, 0)), ((0.37, -0.21), (0.3, -2.0)), ((4.3, -7.8), (2.0, 0.9)), ((-20.6, 9.5), (0, 0.01))],
)
def test_shift_ramp_and_scale_are_found_together(phase, shift, ramp):
    reference, _ = remove_ramp(specimen(SHAPE, phase=phase), window())
    scale = 0.4 * np.exp(2.2j)
    found = register(moved(reference, shift, ramp, scale), reference, window())
    assert found.shift == pytest.approx(np.array(shift), abs=0.01)
    assert np.angle(np.exp(1j * (found.ramp - ramp))) == pytest.approx(np.zeros(2), abs=1e-3)
    assert abs(found.scale) == pytest.approx(abs(scale), rel=1e-3)


def test_noise_changes_the_shift_little():
    reference, _ = remove_ramp(specimen(SHAPE), window())
    rng = np.random.default_rng(1)
    noise = 0.05 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    found = register(moved(reference, (1.31, -2.44), (0.5, 0.0), 1j) + noise, reference, window())
    assert found.shift == pytest.approx([1.31, -2.44], abs=0.03)


def test_applied_alignment_agrees_with_the_reference():
    reference, _ = remove_ramp(specimen(SHAPE), window())
    moving = moved(reference, (0.4, -0.3), (1.2, -0.7), 3j)
    aligned = register(moving, reference, window()).apply(moving)
    apart = np.linalg.norm(window() * (aligned - reference))
    assert apart < 5e-3 * np.linalg.norm(window() * reference)


@pytest.mark.parametrize("other", [np.ones(SHAPE), specimen(SHAPE, 77)])
def test_unrelated_objects_give_finite_numbers(other):
    found = register(other, specimen(SHAPE), window())
    assert np.isfinite([*found.shift, *found.ramp, abs(found.scale)]).all()


def test_starting_values_give_the_same_alignment():
    reference, _ = remove_ramp(specimen(SHAPE), window())
    moving = moved(reference, (0.4, -0.3), (1.2, -0.7), 3j)
    found = register(moving, reference, window())
    again = register(moving, reference, window(), start=found)
    assert again.shift == pytest.approx(found.shift, abs=1e-4)
    assert again.ramp == pytest.approx(found.ramp, abs=1e-5)
