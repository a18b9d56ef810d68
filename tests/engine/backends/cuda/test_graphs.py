"""Recordings of what a GPU does again and again, without a GPU: what is played back are the plain calls."""

import os

import numpy as np
import pytest
from problems import GPU, Build, make_problem, perturb, single

from exitwave.engine.backend import Step
from exitwave.engine.backends.reference.passes import ReferenceBackend

if not GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before the kernels are imported
torch = pytest.importorskip("torch")
pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(GPU, reason="the stand-in is not for a machine with a GPU")
NAMES = "object", "probe_density", "probe", "object_density"


@pytest.fixture
def recording(monkeypatch):
    """Return what makes sweeps that record, and a list with an entry for each recording and each playback."""
    from exitwave.engine.backends.cuda import fused, graphs, kernels

    monkeypatch.setattr(fused, "_used", lambda _: True)
    monkeypatch.setattr(kernels, "BLOCK", 256)
    monkeypatch.setattr(graphs, "OFTEN", 3)
    log = []

    def capture(self, act):
        """Do as a graph does: nothing happens before it is played, and then it happens to the same tensors."""
        kept = []
        log.append("recorded")

        def play():
            log.append("played")
            for target, source in zip(kept, act(), strict=True):
                target.copy_(source)

        kept.extend(each.clone() for each in act())
        return tuple(kept), play

    monkeypatch.setattr(graphs.Recorder, "_capture", capture)

    def make(problem, modes):
        backend = Build("torch-cpu")(problem, modes)
        backend.recorder.works = True
        return backend

    return make, log


def on_tensors(state):
    state.object, state.probe = torch.from_numpy(state.object), torch.from_numpy(state.probe)
    return state


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(np.asarray(a) - b) <= tolerance * np.linalg.norm(b)


@pytest.mark.parametrize("noise", ["amplitude", "Poisson"])
def test_passes_that_are_played_back_agree_with_the_reference(recording, noise):
    make, log = recording
    problem, truth = make_problem((16, 16), frames=8, modes=2, mask=0.1, dtype=np.uint16)
    backend, plain, rng = make(problem, 2), ReferenceBackend(problem), np.random.default_rng(0)
    state, found = perturb(truth), on_tensors(single(perturb(truth)))
    for _ in range(7):
        batch = rng.permutation(8)[:4]
        expected, sums = plain.gather(state, batch, noise=noise), backend.gather(found, batch, noise=noise)
        for name in NAMES:
            assert close(getattr(sums, name), getattr(expected, name)), name
        assert float(sums.loss) == pytest.approx(expected.loss, rel=1e-4)
        assert float(sums.misfit.difference) == pytest.approx(expected.misfit.difference, rel=1e-4)
        assert sums.misfit.signal == pytest.approx(expected.misfit.signal)
    assert log.count("recorded") == 1
    assert log.count("played") == 5


def test_other_positions_are_other_recordings(recording):
    make, log = recording
    problem, truth = make_problem((16, 16), frames=6, margin=4)
    backend, plain = make(problem, 1), ReferenceBackend(problem)
    state, found = perturb(truth), on_tensors(single(perturb(truth)))
    for move in (0.0, 0.3):
        state.positions = found.positions = problem.pixels.astype(float) + move
        for _ in range(4):
            expected, sums = plain.gather(state, problem.used), backend.gather(found, problem.used)
            assert close(sums.object, expected.object)
    assert log.count("recorded") == 2


def test_a_difference_of_the_first_playback_ends_recordings(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    make, _ = recording
    problem, truth = make_problem((16, 16), frames=6)
    backend, found = make(problem, 1), on_tensors(single(perturb(truth)))
    honest = graphs.Recorder._capture

    def wrong(self, act):
        results, _ = honest(self, act)
        return tuple(2 * each for each in results), lambda: None

    monkeypatch.setattr(graphs.Recorder, "_capture", wrong)
    sums = [backend.gather(found, problem.used).object.clone() for _ in range(5)]
    assert all(torch.equal(each, sums[0]) for each in sums)
    assert not backend.recorder.works


def test_what_cannot_be_recorded_is_done_as_before(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    def fails(self, act):
        raise RuntimeError("operation not permitted when stream is capturing")

    make, _ = recording
    monkeypatch.setattr(graphs.Recorder, "_capture", fails)
    problem, _ = make_problem((16, 16), frames=6)
    backend, target = make(problem, 1), torch.zeros((8, 8), dtype=torch.complex64)
    num, den = torch.ones_like(target), torch.full((8, 8), 2.0)
    for count in range(1, 6):
        backend.descend(target, num, den, Step(1.0, 0.5))
        assert torch.allclose(target, torch.full_like(target, count / 2))
    assert not backend.recorder.works


def test_steps_are_taken_once_each_time(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    make, _ = recording
    played = []
    monkeypatch.setattr(graphs.Recorder, "_capture", lambda self, act: ((), lambda: (played.append(1), act())))
    problem, _ = make_problem((16, 16), frames=6)
    backend, target = make(problem, 1), torch.zeros((8, 8), dtype=torch.complex64)
    velocity, num, den = torch.zeros_like(target), torch.ones_like(target), torch.full((8, 8), 2.0)
    for count in range(1, 8):
        backend.descend(target, num, den, Step(1.0, 0.5), velocity)
        assert torch.allclose(target, torch.full_like(target, count / 2))
        assert torch.allclose(velocity, target)
    assert len(played) == 5
