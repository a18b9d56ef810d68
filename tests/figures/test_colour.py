import numpy as np
import pytest
from skimage.color import rgb2lab

from exitwave.figures.colour import colours, wheel

PHASES = np.linspace(-np.pi, np.pi, 73)


def test_zero_is_black_and_brightness_follows_the_amplitude():
    assert colours(np.zeros(3, complex)) == pytest.approx(0)
    lightness = rgb2lab(colours(np.linspace(0, 1, 50) * np.exp(0.7j)))[:, 0]
    assert (np.diff(lightness) > 0).all()


def test_all_phases_are_equally_bright():
    lightness = rgb2lab(colours(np.exp(1j * PHASES)))[:, 0]
    assert np.ptp(lightness) < 0.12 * lightness.mean()


def test_every_phase_has_a_different_colour_within_srgb():
    shades = colours(np.exp(1j * PHASES))
    assert shades.min() >= 0
    assert shades.max() <= 1
    assert shades[0] == pytest.approx(shades[-1])
    lab = rgb2lab(shades)
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.min() > 0.4 * steps.max()
    turns = np.diff(np.unwrap(np.arctan2(lab[:, 2], lab[:, 1])))
    assert (turns > 0).all()
    assert turns.sum() == pytest.approx(2 * np.pi)


def test_largest_or_given_amplitude_has_full_brightness():
    field = np.array([0.5, 2.0, 4.0])
    assert colours(field)[2] == pytest.approx(colours(np.array([1.0]))[0])
    assert colours(field, full=2.0)[1] == pytest.approx(colours(field, full=2.0)[2])


def test_wheel_shows_the_phase_of_its_label():
    disc = wheel(101)
    assert disc[50, 99, :3] == pytest.approx(colours(np.array([1.0]), full=1.0)[0], abs=0.03)
    assert disc[99, 50, :3] == pytest.approx(colours(np.array([1j]), full=1.0)[0], abs=0.03)
    assert disc[50, 50, :3] == pytest.approx(0)
    assert disc[0, 0, 3] == 0
    assert disc[50, 50, 3] == 1
