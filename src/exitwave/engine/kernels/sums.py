"""The compiled loops over sums and stacks as a whole: adding up what threads have, steps, and counts of frames."""

import numpy as np

from exitwave.engine.kernels import rows
from exitwave.engine.kernels.compiled import compiled


@compiled
def collect(parts, low, high, first, last):
    """Move the other threads' rows from first to last to the first's; thread t has rows from low[t] to high[t] only."""
    for r in range(first, last):
        for t in range(1, parts.shape[0]):
            if low[t] <= r < high[t]:
                move(parts[0, r], parts[t, r])


@compiled
def move(total, part):
    """Add a part to the total, and clear it."""
    for i in range(total.shape[0]):
        total[i] += part[i]
        part[i] = 0.0


@compiled
def clear(total, low, high):
    """Set the rows from low to high to 0."""
    for r in range(low, high):
        total[r] = 0.0


@compiled
def descend(target, velocity, numerator, denominator, largest, length, alpha):
    """Update flat arrays: target += length * numerator / ((1 - alpha) * denominator + alpha * largest).

    The same is added to a velocity that is not empty.
    """
    share, floor, n = np.float32(1.0 - alpha), np.float32(alpha * largest) + np.float32(1e-20), denominator.shape[0]
    if velocity.shape[0]:
        rows.descend_both(target, velocity, numerator, denominator, length, share, floor, n)
    else:
        rows.descend(target, numerator, denominator, length, share, floor, n)


@compiled
def signals(stack, invalid):
    """Return the sum of the valid counts of every frame."""
    out = np.zeros(stack.shape[0])
    for j in range(stack.shape[0]):
        for r in range(stack.shape[1]):
            total = np.float32(0)
            counts = stack[j, r]
            for c in range(stack.shape[2]):
                total += np.float32(counts[c]) if counts[c] != invalid else np.float32(0)
            out[j] += total
    return out
