"""Recording and replay of CUDA graphs, without a GPU: a replay runs the plain operations."""

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
pytestmark = pytest.mark.skipif(GPU, reason="with a GPU, the tests of the passes record CUDA graphs")
NAMES = "object", "probe_density", "probe", "object_density"


@pytest.fixture
def recording(monkeypatch):
    """Return a function that makes a backend with a recorder, and the log of recordings and replays."""
    from exitwave.engine.backends.cuda import fused, graphs, kernels

    monkeypatch.setattr(fused, "_for_device", lambda _: True)
    monkeypatch.setattr(kernels, "BLOCK", 256)
    monkeypatch.setattr(graphs, "RUNS_BEFORE_RECORDING", 3)
    log = []

    def capture(self, action):
        """Imitate a graph: each replay runs the action and writes its results to the same tensors."""
        log.append("recorded")
        results = tuple(each.clone() for each in action())

        def replay():
            log.append("replayed")
            for target, source in zip(results, action(), strict=True):
                target.copy_(source)

        return results, replay

    monkeypatch.setattr(graphs.Recorder, "_capture", capture)

    def make(problem, modes):
        backend = Build("torch-cpu")(problem, modes)
        backend.recorder.enabled = True
        return backend

    return make, log


def on_tensors(state):
    state.object, state.probe = torch.from_numpy(state.object), torch.from_numpy(state.probe)
    return state


def close(a, b, tolerance=1e-4):
    return np.linalg.norm(np.asarray(a) - b) <= tolerance * np.linalg.norm(b)


@pytest.mark.parametrize("noise", ["amplitude", "Poisson"])
def test_replayed_passes_agree_with_the_reference(recording, noise):
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
    assert log.count("replayed") == 5


def test_without_fused_kernels_passes_are_not_recorded(recording, monkeypatch):
    from exitwave.engine.backends.cuda import fused

    make, log = recording
    monkeypatch.setattr(fused, "_for_device", lambda _: False)
    problem, truth = make_problem((16, 16), frames=6)
    backend, found = make(problem, 1), on_tensors(single(perturb(truth)))
    expected = ReferenceBackend(problem).gather(perturb(truth), problem.used)
    for _ in range(5):
        assert close(backend.gather(found, problem.used).object, expected.object)
    assert not log


def test_new_positions_are_recorded_again(recording):
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


def test_a_difference_of_the_first_replay_disables_recording(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    make, _ = recording
    problem, truth = make_problem((16, 16), frames=6)
    backend, found = make(problem, 1), on_tensors(single(perturb(truth)))
    correct = graphs.Recorder._capture

    def wrong(self, action):
        results, _ = correct(self, action)
        return tuple(2 * each for each in results), lambda: None

    monkeypatch.setattr(graphs.Recorder, "_capture", wrong)
    sums = [backend.gather(found, problem.used).object.clone() for _ in range(5)]
    assert all(torch.equal(each, sums[0]) for each in sums)
    assert not backend.recorder.enabled


def test_an_action_that_cannot_be_recorded_runs_without_a_graph(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    def fails(self, action):
        raise RuntimeError("operation not permitted when stream is capturing")

    make, _ = recording
    monkeypatch.setattr(graphs.Recorder, "_capture", fails)
    problem, _ = make_problem((16, 16), frames=6)
    backend, target = make(problem, 1), torch.zeros((8, 8), dtype=torch.complex64)
    num, den = torch.ones_like(target), torch.full((8, 8), 2.0)
    for count in range(1, 6):
        backend.descend(target, num, den, Step(1.0, 0.5))
        assert torch.allclose(target, torch.full_like(target, count / 2))
    assert not backend.recorder.enabled


def test_each_call_adds_the_step_once(recording, monkeypatch):
    from exitwave.engine.backends.cuda import graphs

    make, _ = recording
    replays = []
    monkeypatch.setattr(graphs.Recorder, "_capture", lambda self, action: ((), lambda: (replays.append(1), action())))
    problem, _ = make_problem((16, 16), frames=6)
    backend, target = make(problem, 1), torch.zeros((8, 8), dtype=torch.complex64)
    velocity, num, den = torch.zeros_like(target), torch.ones_like(target), torch.full((8, 8), 2.0)
    for count in range(1, 8):
        backend.descend(target, num, den, Step(1.0, 0.5), velocity)
        assert torch.allclose(target, torch.full_like(target, count / 2))
        assert torch.allclose(velocity, target)
    assert len(replays) == 5
