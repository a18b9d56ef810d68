import numpy as np
import pytest

from exitwave.errors import InputError
from exitwave.optics import fraunhofer, mode_powers, orthogonalise, probe_diameter, starting_modes


def random_modes(n, shape=(24, 30), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)) + 1j * rng.normal(size=(n, *shape))


def gram(modes):
    flat = modes.reshape(len(modes), -1)
    return flat @ flat.conj().T


def powers(modes):
    return np.sum(np.abs(modes) ** 2, axis=(1, 2))


def gaussian(shape, waist):
    y, x = (np.arange(n) - n // 2 for n in shape)
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / waist**2)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_starting_modes_share_the_power_and_are_orthogonal(n):
    probe = random_modes(1)[0] * gaussian((24, 30), 6.0)
    modes = starting_modes(probe, n, fraction=0.2)
    products, total = gram(modes), np.sum(np.abs(probe) ** 2)
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-10 * total
    assert powers(modes).sum() == pytest.approx(total)
    assert powers(modes)[1:].sum() == pytest.approx(0.2 * total)
    assert (np.diff(powers(modes)) < 0).all()
    assert np.allclose(modes[0], probe * np.sqrt(0.8))


def test_one_starting_mode_is_the_probe():
    probe = random_modes(1).astype(np.complex64)
    modes = starting_modes(probe, 1)
    assert modes.dtype == np.complex64
    assert np.allclose(modes, probe, rtol=1e-6)


def test_starting_modes_of_a_gaussian_are_hermite_gauss():
    modes = starting_modes(gaussian((64, 64), 8.0).astype(complex), 3)
    x = np.arange(64) - 32
    for mode, axis in ((modes[1], x[None, :]), (modes[2], x[:, None])):
        expected = gaussian((64, 64), 8.0) * axis
        overlap = abs(np.vdot(mode, expected)) / np.linalg.norm(mode) / np.linalg.norm(expected)
        assert overlap == pytest.approx(1, abs=1e-9)


def test_starting_modes_need_one_probe():
    with pytest.raises(InputError, match="one probe"):
        starting_modes(random_modes(2), 3)
    with pytest.raises(InputError, match="one probe"):
        starting_modes(np.zeros((8, 8), complex), 3)


def test_orthogonalise_keeps_the_intensity_in_every_plane():
    modes = random_modes(4)
    result = orthogonalise(modes)
    products = gram(result)
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-9 * products[0, 0].real
    assert (np.diff(powers(result)) <= 0).all()
    for plane in (np.asarray, fraunhofer):
        before, after = (np.sum(np.abs(plane(m)) ** 2, axis=0) for m in (modes, result))
        assert np.allclose(before, after, rtol=1e-9)


def test_orthogonalise_uses_the_hermitian_product():
    """Modes that differ by the factor i are linearly dependent only with the Hermitian product."""
    base = random_modes(1)[0]
    result = orthogonalise(np.stack([base, 1j * base]))
    assert powers(result)[1] < 1e-12 * powers(result)[0]


def test_orthogonalise_keeps_orthogonal_modes():
    modes = starting_modes(random_modes(1)[0], 4)
    assert np.allclose(orthogonalise(modes), modes, atol=1e-9)
    assert np.allclose(orthogonalise(modes[::-1]), modes, atol=1e-9)


def test_mode_powers_are_shares_of_the_total():
    modes = random_modes(1) * np.array([3.0, 1j, 0])[:, None, None]
    assert mode_powers(modes) == pytest.approx([0.9, 0.1, 0])
    assert not mode_powers(0 * modes).any()


def test_probe_diameter_of_a_disc_and_of_a_gaussian():
    y, x = np.indices((201, 301))
    disc = ((y - 100) ** 2 + ((x - 150) / 2) ** 2 <= 60.2**2).astype(complex)
    assert probe_diameter(disc, (2e-9, 1e-9)) == pytest.approx(2 * 60.2 * 2e-9, rel=2e-3)
    beam = gaussian((128, 128), 12.0)
    assert probe_diameter(beam.astype(complex), (1e-9, 1e-9)) == pytest.approx(24e-9, rel=1e-6)


def test_probe_diameter_does_not_depend_on_scale_or_mode_basis():
    modes = random_modes(3) * gaussian((24, 30), 5.0)
    size = probe_diameter(modes, (1e-9, 1e-9))
    assert probe_diameter(1e6 * modes, (1e-9, 1e-9)) == pytest.approx(size)
    assert probe_diameter(orthogonalise(modes), (1e-9, 1e-9)) == pytest.approx(size)
    with pytest.raises(InputError, match="zero"):
        probe_diameter(np.zeros((8, 8), complex), (1e-9, 1e-9))
