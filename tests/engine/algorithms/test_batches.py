"""The grouping of frames into batches."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from exitwave.engine.algorithms.batches import batches

KINDS = ["random", "compact", "sparse"]


def scattered(count, seed=0):
    return np.random.default_rng(seed).uniform(0, 10 * count**0.5, (count, 2)).astype(np.float32)


def grid(rows, columns):
    return 10 * np.stack(np.divmod(np.arange(rows * columns), columns), axis=1).astype(np.float32)


def spiral(count):
    k = np.arange(count)
    angle = k * np.pi * (3 - 5**0.5)
    return (6 * k**0.5 * np.array([np.cos(angle), np.sin(angle)])).T.astype(np.float32)


def groups(kind, pixels, size, seed=0):
    return list(batches(kind, np.random.default_rng(seed), np.arange(len(pixels)), size, pixels))


def nearest(pixels, group):
    return cKDTree(pixels[group]).query(pixels[group], 2)[0][:, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "size"), [(10, 3), (7, 7), (5, 100), (64, 1), (97, 13), (1, 4), (50_000, 64)])
def test_every_frame_is_in_exactly_one_batch(kind, count, size):
    frames = np.arange(count) * 3
    found = list(batches(kind, np.random.default_rng(0), frames, size, scattered(3 * count)))
    lengths = [len(group) for group in found]
    assert np.array_equal(np.sort(np.concatenate(found)), frames)
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_frames_at_one_point_or_on_one_line_are_grouped(kind):
    for pixels in (np.zeros((20, 2), np.float32), scattered(20) * np.float32([1, 0])):
        assert np.array_equal(np.sort(np.concatenate(groups(kind, pixels, 6))), np.arange(20))


@pytest.mark.parametrize("pixels", [scattered(400), scattered(50_000), grid(20, 19), spiral(400)])
def test_compact_batches_are_closer_and_sparse_ones_farther_apart_than_random_ones(pixels):
    found = {kind: groups(kind, pixels, 48) for kind in KINDS}
    extent = {kind: np.mean([pixels[g].std(axis=0).mean() for g in found[kind]]) for kind in KINDS}
    distance = {kind: np.concatenate([nearest(pixels, g) for g in found[kind]]) for kind in KINDS}
    assert extent["compact"] < 0.5 * extent["random"]
    assert distance["compact"].mean() < 0.7 * distance["random"].mean()
    assert distance["sparse"].mean() > 1.1 * distance["random"].mean()
    assert np.percentile(distance["sparse"], 5) >= np.percentile(distance["random"], 5)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_repeat_with_the_seed_and_differ_in_the_next_iteration(kind):
    pixels, rng = scattered(200), np.random.default_rng(1)
    first, repeated = groups(kind, pixels, 20, seed=1), list(batches(kind, rng, np.arange(200), 20, pixels))
    after = list(batches(kind, rng, np.arange(200), 20, pixels))
    assert all(np.array_equal(a, b) for a, b in zip(first, repeated, strict=True))
    assert {frozenset(g) for g in repeated} != {frozenset(g) for g in after}
