import dataclasses
from importlib import util

import numpy as np
import pytest

from exitwave.engine.backends.create import make_backend
from exitwave.engine.backends.device import gpu_present
from exitwave.engine.model.near_field import Propagator
from exitwave.engine.problem import Problem
from exitwave.engine.state import State

torch = pytest.mark.skipif(util.find_spec("torch") is None, reason="PyTorch is not installed; pip install -e '.[cuda]'")
"""Mark of tests that need PyTorch."""


def make_problem(
    shape=(16, 16), frames=12, modes=1, *, subpixel=True, mask=0.0, dtype=np.uint16, seed=0, photons=1e5, margin=1
):
    """Return a small random problem and its exact state: smooth probe modes, random object, noisy counts.

    All windows are at least ``margin`` pixels inside the object.
    """
    rng = np.random.default_rng(seed)
    ny, nx = shape
    object_shape = (ny + 14, nx + 18)
    low, high = np.array(shape) // 2 + margin, np.array(object_shape) - np.array(shape) // 2 - 1 - margin
    pixels = rng.uniform(low, high, (frames, 2))
    pixels = (pixels if subpixel else np.rint(pixels)).astype(np.float32)
    obj = (1 + 0.4 * rng.standard_normal(object_shape)) * np.exp(1j * rng.uniform(-1, 1, object_shape))
    r, c = np.meshgrid(np.arange(ny) - ny // 2, np.arange(nx) - nx // 2, indexing="ij")
    envelope = np.exp(-(r**2 + c**2) / (2 * (min(shape) / 6) ** 2) + 0.05j * (r**2 + c**2))
    pointing = rng.uniform(-0.8, 0.8, (modes, 2))
    probe = np.stack([envelope * np.exp(1j * (a * r + b * c)) / (k + 1) for k, (a, b) in enumerate(pointing)])
    probe *= np.sqrt(photons / (np.abs(probe) ** 2).sum())
    state = State(obj, probe, np.random.default_rng(seed))
    exact = Problem(
        np.zeros((frames, ny, nx), np.float32), -1.0, pixels, object_shape, np.arange(frames), np.arange(0), photons
    )
    exact_counts = model(exact, state)
    counts = rng.poisson(exact_counts).astype(dtype) if np.issubdtype(dtype, np.integer) else exact_counts.astype(dtype)
    invalid = 65535 if dtype == np.uint16 else -1.0
    counts[rng.random(counts.shape) < mask] = invalid
    problem = Problem(counts, float(invalid), pixels, object_shape, np.arange(frames), np.arange(0), photons)
    return problem, state


def make_near(problem, state, reach=6.0):
    """Return the problem in the near field with exact counts; wavelength * distance is ``reach`` square pixels."""
    fy, fx = (np.fft.fftfreq(n) for n in problem.shape)
    transfer = np.exp(-1j * np.pi * reach * (fy[:, None] ** 2 + 1.3 * fx**2))
    near = dataclasses.replace(problem, propagator=Propagator(transfer))
    counts = model(near, state).astype(problem.counts.dtype)
    counts[problem.counts == problem.invalid] = problem.invalid
    return dataclasses.replace(near, counts=counts)


def model(problem, state):
    """Return the intensities of all frames from the definition; in the far field with zero frequency at [0, 0]."""
    corners, rest = problem.windows()
    ny, nx = problem.shape
    fy, fx = np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx)
    frames = []
    for (top, left), (dy, dx) in zip(corners, rest.astype(float), strict=True):
        frame_probe = np.fft.ifft2(np.fft.fft2(state.probe) * np.exp(-2j * np.pi * (fy * dy + fx * dx)))
        wave = np.fft.fft2(frame_probe * state.object[top : top + ny, left : left + nx], norm="ortho")
        if problem.propagator:
            back = np.exp(2j * np.pi * (fy * dy + fx * dx))
            wave = np.fft.ifft2(wave * problem.propagator.transfer * back, norm="ortho")
        frames.append((np.abs(wave) ** 2).sum(0))
    return np.array(frames)


def correction(reference, state, j, noise="amplitude"):
    """Return chi of frame j, shape (modes, ny, nx), by the reference backend."""
    far = reference.propagate(state, j, reference.frame_probe(state, j) * state.object[reference.window(state, j)])
    return reference.propagate_back(state, j, reference.compare(state, j, far, noise).factor * far)


def single(state):
    """Return a copy of the state in single precision."""
    return State(state.object.astype(np.complex64), state.probe.astype(np.complex64), np.random.default_rng(0))


def double(state):
    """Return a copy of the state in double precision."""
    return State(state.object.copy(), state.probe.copy(), np.random.default_rng(0))


def perturb(state, seed=1, amount=0.2):
    """Return a copy of the state with noise."""
    rng = np.random.default_rng(seed)
    noise = lambda a: a * (1 + amount * (rng.standard_normal(a.shape) + 1j * rng.standard_normal(a.shape)))  # noqa: E731
    return State(noise(state.object), noise(state.probe), np.random.default_rng(0))


@dataclasses.dataclass(frozen=True)
class Build:
    """Makes a backend on one device."""

    device: str
    threads: int = 1

    def __call__(self, problem, modes):
        """Return the backend for a problem; on tensors with parts of 5 frames, so that there are several parts."""
        backend = make_backend(problem, modes, self.threads, self.device)
        if self.device != "cpu":
            backend.plan = backend.plan._replace(group_size=5)
        return backend


GPU = gpu_present()
ON_TENSORS = [pytest.param(Build("torch-cpu"), marks=torch, id="tensors")]
ON_TENSORS += [pytest.param(Build("cuda:0"), id="gpu")] * GPU
on_each_number_of_threads = pytest.mark.parametrize(
    "build",
    [pytest.param(Build("cpu", 1), id="1 thread"), pytest.param(Build("cpu", 3), id="3 threads"), *ON_TENSORS],
    indirect=True,
)
"""Parameters of the fixture `build` for tests of several thread counts."""
