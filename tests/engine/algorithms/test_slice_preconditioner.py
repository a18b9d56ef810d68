"""The preconditioner of slices: the Gauss-Newton blocks of a weak thick sample, and their inverse."""

from dataclasses import replace

import numpy as np
import pytest
from problems import torch

from exitwave.engine import arrays
from exitwave.engine.algorithms.slice_preconditioner import EPS, inverse, overlaps, precondition
from exitwave.engine.model.slices import Slices
from exitwave.engine.problem import Problem

SHAPE, CURVE = (32, 24), (40.0, 55.0)
"""Shape of a frame, and minus the phase between slices over the square of the frequency in cycles per pixel."""


def frequencies(shape):
    fy, fx = (np.fft.fftfreq(n) for n in shape)
    return fy[:, None], fx


def phase(shape=SHAPE):
    """Return the phase of a plane wave from one slice to the next, exactly quadratic."""
    y, x = frequencies(shape)
    return -(CURVE[0] * y**2 + CURVE[1] * x**2)


def thick(number, object_shape=(64, 72), curve=1.0):
    frames = np.zeros((1, *SHAPE), np.float32)
    first = np.arange(1)
    slices = Slices(number, curve * phase(), (1.0, 1.0))
    return Problem(frames, -1.0, np.zeros((1, 2), np.float32), object_shape, first, first[:0], 1.0, slices=slices)


def cone_probe(modes=2, radius=0.12, seed=0):
    """Return a probe that is a narrow cone, so that scattered waves stay within the frequencies of the frame."""
    y, x = frequencies(SHAPE)
    rng = np.random.default_rng(seed)
    inside = np.hypot(y, x) < radius
    spectrum = inside * (rng.standard_normal((modes, *SHAPE)) + 1j * rng.standard_normal((modes, *SHAPE)))
    return np.fft.ifft2(spectrum)


def scattered(probe, transfer, wave, at, number):
    """Return the exit wave that a weak wave in one slice adds."""

    def propagate(psi, slices):
        return np.fft.ifft2(np.fft.fft2(psi) * transfer**slices)

    return propagate(wave * propagate(probe, at), number - 1 - at)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("wave", [(0, 0), (1, 2), (-3, 1), (6, -4)])
@pytest.mark.parametrize("spacing", [1.0, 1.7])
def test_blocks_are_those_of_a_weak_sample(number, wave, spacing):
    probe, (y, x), (row, column) = cone_probe(), np.indices(SHAPE), wave
    detail = np.exp(2j * np.pi * (row * y / SHAPE[0] + column * x / SHAPE[1]))
    waves = [scattered(probe, np.exp(1j * spacing * phase()), detail, at, number) for at in range(number)]
    gram = np.array([[np.vdot(a, b) for b in waves] for a in waves]) / np.vdot(probe, probe).real
    found = overlaps(thick(number), probe, spacing)[
        :, 2 * row, 3 * column
    ]  # the object's grid is 2 and 3 times as wide
    np.testing.assert_allclose(found, gram[0], atol=1e-12)
    solved = inverse(found[:, None, None])[:, :, 0, 0]
    np.testing.assert_allclose(solved @ (gram + EPS * np.eye(number)), (1 + EPS) * np.eye(number), atol=2e-6)


@pytest.mark.parametrize("number", [2, 4])
def test_filters_are_hermitian_and_positive(number):
    filters = np.moveaxis(inverse(overlaps(thick(number), cone_probe())), (0, 1), (-2, -1))
    np.testing.assert_allclose(filters, filters.conj().swapaxes(-1, -2), atol=1e-5)
    values = np.linalg.eigvalsh(filters.astype(complex))
    assert values.min() > (1 + EPS) / (number + EPS) - 1e-5
    assert values.max() < (1 + EPS) / EPS + 1e-4


def test_projections_that_leave_the_window_make_no_filter_negative():
    filters = np.moveaxis(inverse(overlaps(thick(3, curve=3.0), np.ones((1, *SHAPE), complex))), (0, 1), (-2, -1))
    values = np.linalg.eigvalsh(filters.astype(complex))
    assert values.min() > 0
    assert values.max() < (1 + EPS) / EPS + 1e-4


def test_a_single_slice_and_slices_far_apart_keep_their_gradient():
    rng = np.random.default_rng(1)
    gradient = rng.standard_normal((3, 64, 72)) + 1j * rng.standard_normal((3, 64, 72))
    one = precondition(inverse(overlaps(thick(1), cone_probe())), gradient[:1])
    np.testing.assert_allclose(one, gradient[:1], atol=1e-6)
    fine = np.fft.ifft2(np.fft.fft2(gradient) * (np.hypot(*frequencies((64, 72))) > 0.2))
    cone = np.fft.ifft2(np.hypot(*frequencies(SHAPE)) < 0.3)[None]
    far = overlaps(thick(3, curve=3.0), cone)
    assert far[1, 13, 0] != 0
    found = precondition(inverse(far), fine)
    assert np.linalg.norm(found - fine) < 0.1 * np.linalg.norm(fine)


def test_coarse_differences_are_amplified_and_sums_are_divided():
    cone = np.fft.ifft2(np.hypot(*frequencies(SHAPE)) < 0.12)[None]
    filters = inverse(overlaps(thick(2), cone))
    y = np.indices((64, 72))[0]
    wave = np.exp(2j * np.pi * y / 64)
    both, apart = np.stack([wave, wave]), np.stack([wave, -wave])
    assert np.abs(precondition(filters, both)).max() == pytest.approx((1 + EPS) / (2 + EPS), rel=0.05)
    assert np.abs(precondition(filters, apart)).max() > 5


def test_cropped_frames_have_the_same_blocks():
    """A coarse stage has larger object pixels: the same frequencies in other units."""
    problem, probe = thick(2), cone_probe()
    rows, columns = np.r_[0:8, -8:0], np.r_[0:6, -6:0]
    cropped = np.fft.ifft2(np.fft.fft2(probe)[:, rows][:, :, columns])
    slices = problem.slices.cropped(rows % 32, columns % 24, 2)
    coarse = replace(problem, slices=slices, object_shape=(32, 36))
    near = overlaps(problem, probe)[:, :4, :4]
    np.testing.assert_allclose(overlaps(coarse, cropped)[:, :4, :4], near, atol=1e-12)


@torch
def test_tensors_give_the_results_of_arrays():
    from torch import from_numpy

    rng = np.random.default_rng(2)
    gradient = (rng.standard_normal((3, 64, 72)) + 1j * rng.standard_normal((3, 64, 72))).astype(np.complex64)
    filters, tensor = inverse(overlaps(thick(3), cone_probe())), from_numpy(gradient)
    found = precondition(arrays.on_device_of(tensor, filters), tensor)
    assert found.dtype == tensor.dtype
    np.testing.assert_allclose(found.numpy(), precondition(filters, gradient), atol=1e-4)
