"""How the frames of an iteration are grouped."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def random_batches(rng: np.random.Generator, frames: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield all frames once, in random groups whose sizes differ by at most one and do not exceed ``size``."""
    yield from np.array_split(rng.permutation(frames), -(-len(frames) // size))
