import numpy as np
import pytest

from exitwave.simulation import SPECIMENS


def power_by_radius(specimen):
    """Return the power within rings of the spectrum, 0 to 0.75 cycles per pixel in steps of 0.05."""
    window = np.outer(*(np.hanning(n) for n in specimen.shape))
    spectrum = np.abs(np.fft.fft2((specimen - specimen.mean()) * window)) ** 2
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in specimen.shape), indexing="ij"))
    ring = (f / 0.05).astype(int)
    return np.bincount(ring.ravel(), spectrum.ravel()) / np.bincount(ring.ravel())


@pytest.mark.parametrize("name", SPECIMENS)
def test_specimens_have_amplitudes_and_phases_in_their_ranges(name):
    specimen = SPECIMENS[name]((150, 210), 3)
    assert specimen.shape == (150, 210)
    assert specimen.dtype == np.complex64
    for part, low, high in ((np.abs(specimen), 0.6, 1.0), (np.angle(specimen), -1.2, 0.2)):
        assert part.min() == pytest.approx(low, abs=1e-5)
        assert part.max() == pytest.approx(high, abs=1e-5)
        assert part.std() > 0.1 * (high - low)


@pytest.mark.parametrize("name", SPECIMENS)
def test_specimens_are_determined_by_the_seed(name):
    first = SPECIMENS[name]((64, 80), 1)
    assert np.array_equal(first, SPECIMENS[name]((64, 80), 1))
    assert np.abs(first - SPECIMENS[name]((64, 80), 2)).max() > 0.1


@pytest.mark.parametrize("name", SPECIMENS)
def test_specimens_are_well_sampled_and_have_signal_up_to_nyquist(name):
    power = power_by_radius(SPECIMENS[name]((256, 256), 0))
    assert power[0] > 100 * power[9], "large features dominate the grain"
    assert power[9] > 3 * power[12], "little beyond the Nyquist circle"
    # the last ring before Nyquist is above the counting noise of 1e4 photons per pixel, (1e-2)^2 per pixel
    assert power[9] > 3 * 1e-4 * np.sum(np.outer(np.hanning(256), np.hanning(256)) ** 2)


@pytest.mark.parametrize("name", SPECIMENS)
def test_specimens_fill_the_field(name):
    specimen = SPECIMENS[name]((300, 300), 0)
    tiles = specimen.reshape(4, 75, 4, 75).swapaxes(1, 2).reshape(16, -1)
    assert (np.abs(tiles - tiles.mean(axis=1, keepdims=True)).std(axis=1) > 0.03).all()
