"""The transforms of `butterflies` against NumPy's, in both directions, along rows and columns."""

import numpy as np
import pytest

from exitwave.engine.backends.cpu.fft import butterflies, transforms

LENGTHS = (16, 32, 48, 64, 80, 128, 144, 192, 256, 400, 512, 640, 1024)


def run(wave, n, count, sign, across):
    """Transform rows or columns of a wave, in place."""
    code = butterflies.transform(n, count, wave.shape[1] // 2, sign, across)
    table = np.ascontiguousarray(butterflies.twiddles(n, sign, across))
    code.ctypes(table.ctypes.data, wave.ctypes.data, wave.ctypes.data)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
def test_a_transform_is_that_of_numpy_and_changes_no_other_numbers(n, across):
    count, extra = 8, 24
    shape = (n, extra) if across else (count + 1, n + extra)
    rng = np.random.default_rng(n)
    start = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    part = (slice(None), slice(count)) if across else (slice(count), slice(n))
    for sign, transform in ((transforms.FORWARD, np.fft.fft), (transforms.BACKWARD, np.fft.ifft)):
        wave = transforms.zeros(shape[0], 2 * shape[1])
        wave.view(np.complex64)[:] = start
        run(wave, n, count, sign, across)
        expected = transform(start[part].astype(complex), axis=0 if across else 1)
        expected *= n if sign == transforms.BACKWARD else 1
        found = wave.view(np.complex64)
        assert np.linalg.norm(found[part] - expected) < 4e-7 * np.linalg.norm(expected)
        found[part] = start[part]
        assert (found == start).all()


@pytest.mark.parametrize("n", [16, 48, 128])
def test_columns_are_multiplied_by_ramps_when_they_are_read(n):
    rng, width = np.random.default_rng(n), 8
    wave, rows, columns = (transforms.zeros(*shape) for shape in ((n, 2 * width), (2 * n,), (2 * width,)))
    for array in (wave, rows, columns):
        array[:] = rng.normal(size=array.shape)
    z, row_ramp, column_ramp = (each.view(np.complex64).astype(complex) for each in (wave, rows, columns))
    out = transforms.zeros(n, 2 * width)
    code = butterflies.ramped(n, width, width, transforms.BACKWARD)
    table = np.ascontiguousarray(butterflies.twiddles(n, transforms.BACKWARD, True))
    code.ctypes(*(each.ctypes.data for each in (table, wave, out, rows, columns)))
    expected = n * np.fft.ifft(row_ramp[:, None] * column_ramp * z, axis=0)
    assert np.linalg.norm(out.view(np.complex64) - expected) < 4e-7 * np.linalg.norm(expected)
    assert (wave.view(np.complex64) == z).all()


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("n", [16, 48, 128])
def test_columns_are_multiplied_by_conjugate_ramps_when_they_are_written(n, added):
    rng, width = np.random.default_rng(n), 8
    wave, out, rows, columns = (transforms.zeros(*shape) for shape in ((n, 2 * width),) * 2 + ((2 * n,), (2 * width,)))
    for array in (wave, out, rows, columns):
        array[:] = rng.normal(size=array.shape)
    z, before, row_ramp, column_ramp = (each.view(np.complex64).astype(complex) for each in (wave, out, rows, columns))
    expected = (row_ramp[:, None] * column_ramp).conj() * np.fft.fft(z, axis=0) + added * before
    code = butterflies.ramped_back(n, width, width, transforms.FORWARD, added)
    table = np.ascontiguousarray(butterflies.twiddles(n, transforms.FORWARD, True))
    for target in (out,) if added else (out, wave):
        code.ctypes(*(each.ctypes.data for each in (table, wave, target, rows, columns)))
        assert np.linalg.norm(target.view(np.complex64) - expected) < 4e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("n", [1, 7, 24, 100, 112, 528, 960, 2048])
def test_other_lengths_are_transformed_by_fftw(n):
    assert butterflies.factors(n) is None


@pytest.mark.parametrize("n", LENGTHS)
def test_the_factors_of_a_length_are_multiples_of_a_vector(n):
    a, b = butterflies.factors(n)
    assert a * b == n
    assert a % butterflies.LANES == b % butterflies.LANES == 0
    assert b <= a <= butterflies.LARGEST
