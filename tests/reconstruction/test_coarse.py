"""Coarse grids: registration with the fine grid, counts, and the return of changes."""

import dataclasses

import numpy as np
import pytest
from problems import make_problem, model, perturb, single

import exitwave
from exitwave.analysis.error import recompute
from exitwave.engine.recipe import make_recipe
from exitwave.engine.state import State
from exitwave.errors import InputError
from exitwave.reconstruction import coarse
from exitwave.simulation import simulate


def smooth(shape, limit, seed=0):
    """Return a periodic complex array without frequencies at or above a limit in cycles per field."""
    rng = np.random.default_rng(seed)
    f = [np.abs(np.fft.fftfreq(n, 1 / n)) < limit for n in shape[-2:]]
    spectrum = rng.standard_normal((*shape, 2)) @ [1, 1j] * (f[0][:, None] & f[1])
    return np.fft.ifft2(spectrum) * np.prod(shape[-2:]) ** 0.5


@pytest.mark.parametrize("shape", [(60, 48), (2, 45, 63)])
def test_coarse_pixels_lie_on_every_nth_fine_pixel(shape):
    fine = smooth(shape, 5)
    for factor in (2, 3, 4):
        if all(n % factor == 0 for n in shape[-2:]):
            few = coarse.resample(fine, [n // factor for n in shape[-2:]])
            assert np.allclose(few, fine[..., ::factor, ::factor], atol=1e-12)
            assert np.allclose(coarse.resample(few, shape[-2:]), fine, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_coarse_model_gives_the_middle_of_the_frames(factor):
    """With exit waves that have no frequency outside the middle, and positions between pixels."""
    problem, _ = make_problem((128, 256), frames=6)
    y, x = np.indices((128, 256)) - np.array([64, 128])[:, None, None]
    probe = 100 * np.exp(-(y**2 + (x / 2) ** 2) / (2 * 12**2) + 0.002j * y * x)[None]
    state = State(1 + 0.3 * smooth(problem.object_shape, 5), probe, np.random.default_rng(0))
    problem = dataclasses.replace(problem, counts=model(problem, state).astype(np.float32), invalid=-1.0)
    small, pair = coarse.crop(problem, factor), coarse.coarsen(state, factor)
    assert np.abs(model(small, pair.coarse) - small.counts).max() < 1e-3 * small.counts.max()
    assert small.photons == pytest.approx(problem.counts.sum((1, 2)).mean(), rel=1e-5)
    assert np.linalg.norm(pair.coarse.probe) == pytest.approx(np.linalg.norm(state.probe), rel=1e-6)


def test_bad_pixels_do_not_move_and_are_not_counted():
    problem, _ = make_problem((64, 64), mask=0.2)
    small = coarse.crop(problem, 2)
    for frame, full in zip(small.counts, problem.counts, strict=True):
        assert np.array_equal(np.fft.fftshift(frame), np.fft.fftshift(full)[16:48, 16:48])
    counts = [frame[frame != problem.invalid].sum(dtype=float) for frame in small.counts]
    assert small.photons == pytest.approx(np.mean(counts))


def test_without_a_coarse_change_the_fine_state_does_not_change():
    _, truth = make_problem((64, 64))
    state = single(perturb(truth))
    merged = coarse.coarsen(state, 2).merged()
    assert np.array_equal(merged.object, state.object)
    assert np.array_equal(merged.probe, state.probe)


def test_details_beyond_the_coarse_grid_stay():
    _, truth = make_problem((64, 64))
    state = perturb(truth)
    pair = coarse.coarsen(state, 2)
    pair.coarse.probe *= 2
    merged = pair.merged()
    inside = coarse.resample(coarse.resample(state.probe, (32, 32)), (64, 64))
    assert np.allclose(merged.probe - state.probe, inside, atol=1e-9)


@pytest.fixture(scope="module")
def scan():
    return simulate(frames=120, detector=256, photons=4e6, seed=3)


def test_a_coarse_reconstruction_registers_with_the_truth(scan):
    result = exitwave.reconstruct(scan, coarse=2, probe_update={"enabled": False}, threads=2)
    comparison = exitwave.compare(result)
    assert np.all(np.abs(np.array(comparison.shift) / comparison.pixel) < 0.05)
    # the frequencies of the coarse grid are nearly right
    assert comparison.frc.correlation[: len(comparison.frc.correlation) // 4].min() > 0.9
    assert recompute(result) == pytest.approx(result.errors[-1], rel=1e-4)


def test_fine_and_coarse_stages_continue_each_other(scan):
    still = {"object_update": {"enabled": False}, "probe_update": {"enabled": False}}
    stages = [{"iterations": 12, "coarse": 2}, {"iterations": 2}, {"iterations": 1, "coarse": 2} | still]
    run = exitwave.iterate(scan, make_recipe({"stages": stages, "threads": 2}))
    errors, results = zip(*((step.error, step.result()) for step in run), strict=True)
    # the coarse object explains the whole frames at once, and a coarse stage keeps details beyond its grid
    assert errors[12] < 0.3 * next(exitwave.iterate(scan, iterations=1, threads=2)).error
    assert errors[14] < 0.9 * errors[13]  # the error of the middle of the frames
    assert np.array_equal(results[14].object, results[13].object)
    assert np.array_equal(results[14].probe, results[13].probe)


@pytest.mark.parametrize(("detector", "factor"), [(128, 4), (132, 4), (96, 4)])
def test_frames_that_become_too_small_or_are_not_divisible_are_refused(detector, factor):
    problem, _ = make_problem((detector, detector) if detector != 128 else (64, 128), frames=2)
    with pytest.raises(InputError, match="coarse: 4 for frames of"):
        coarse.crop(problem, factor)


def test_a_crop_that_cuts_the_beam_off_is_refused():
    with pytest.raises(InputError, match=r"coarse: 4 keeps 0\.1% of the counts"):
        exitwave.reconstruct(simulate(frames=20, detector=128), coarse=4, iterations=1)


def test_other_factors_are_refused():
    with pytest.raises(InputError, match="coarse"):
        make_recipe({"coarse": 3})
