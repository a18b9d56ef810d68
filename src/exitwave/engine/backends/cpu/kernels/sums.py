"""The compiled loops over sums and stacks as a whole: adding up what threads have, steps, and counts of frames."""

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.vectors import WIDTH
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows

TOGETHER = 16
"""Rows that are summed up before digits are lost."""


@compiled
def share_out(tops, height, seen, keeper, homes):
    """Sort frames with windows from ``tops``, shape (frames, exposures), into shares that see the same rows.

    Returns their order, and where in it the shares end. Writes the first and the last row that each thread sees, shape
    (2, threads), for every row of the object the thread that alone sees it, or 0, and to which set of sums each thread
    adds it, shape (threads, rows): its own, but for a row that no other thread sees.
    """
    threads = seen.shape[1]
    order, ends = np.argsort(tops[:, 0], kind="mergesort"), np.zeros(threads + 1, np.int64)
    users = np.zeros(keeper.shape[0], np.int64)
    keeper[:] = 0
    for t in range(threads):
        ends[t + 1] = len(order) * (t + 1) // threads
        low, high = keeper.shape[0], 0
        for j in order[ends[t] : ends[t + 1]]:
            low, high = min(low, tops[j].min()), max(high, tops[j].max() + height)
        for row in range(low, high):
            keeper[row] = t if users[row] == 0 else 0
            users[row] += 1
        seen[0, t], seen[1, t] = low, high
    for t in range(threads):
        for row in range(keeper.shape[0]):
            homes[t, row] = 0 if keeper[row] == t else t
    return order, ends


@intrinsic
def pointer(context, address):
    """Return an address as a pointer."""

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), code


@compiled
def numbers(address, count):
    """Return the numbers at an address."""
    return carray(pointer(address), count, np.float32)


@compiled
def integers(address, count):
    """Return the integers at an address."""
    return carray(pointer(address), count, np.int64)


def collect(address, thread):
    """Move rows of other threads' sums to those of the first: a task.

    Its arguments are the numbers of threads and of arrays, and of each array, shape (threads, rows, width), its
    address, how far one set is from the next, ``width``, and the addresses of a ``keeper``, shape (rows,), and of what
    is ``seen``, shape (2, threads): thread t has rows from seen[0, t] to seen[1, t] only, and of these no row r with
    keeper[r] = t.
    """
    threads, count = integers(address, 2)
    for k in range(count):
        base, apart, width, kept, seen = integers(address + 8 * (2 + 5 * k), 5)
        starts, stops = integers(seen, threads), integers(seen + 8 * threads, threads)
        low, rows = starts.min(), stops.max() - starts.min()
        keeper = integers(kept, max(0, stops.max()))
        for r in range(low + rows * thread // threads, low + rows * (thread + 1) // threads):
            for t in range(1, threads):
                if starts[t] <= r < stops[t] and keeper[r] != t:
                    row = base + 4 * r * width
                    move(numbers(row, width), numbers(row + 4 * t * apart, width))


@compiled
def move(total, part):
    """Add a part to the total, and clear it."""
    for i in range(total.shape[0]):
        total[i] += part[i]
        part[i] = 0.0


@compiled
def clear(total, keeper, number, low, high):
    """Set the rows from low to high that a thread keeps to 0."""
    for r in range(low, high):
        if keeper[r] == number:
            total[r] = 0.0


@compiled
def descend(target, velocity, numerator, denominator, length, share, floor):
    """Update flat arrays: target += length * numerator / (share * denominator + floor).

    The same is added to a velocity that is not empty.
    """
    n = denominator.shape[0]
    if velocity.shape[0]:
        rows.descend_both(target, velocity, numerator, denominator, length, share, floor, n)
    else:
        rows.descend(target, numerator, denominator, length, share, floor, n)


@compiled
def describe(said, scalars, threads, target, velocity, numerator, denominator, length, share, floor):
    """Write the arguments of `descend_together`, of which the scalars are the last three."""
    said[0], said[1], said[2], said[3] = threads, denominator.shape[0], target.ctypes.data, velocity.ctypes.data
    said[4], said[5], said[6] = numerator.ctypes.data, denominator.ctypes.data, velocity.shape[0]
    scalars[0], scalars[1], scalars[2] = length, share, floor


def descend_together(address, thread):
    """Do what `descend` does with a part of the pixels: a task.

    Its arguments are the numbers of threads and of pixels, the addresses of target, velocity, numerator and
    denominator, whether there is a velocity, and the scalars in single precision.
    """
    threads, pixels, target, velocity, numerator, denominator, both = integers(address, 7)
    length, share, floor = numbers(address + 56, 3)
    first, last = pixels * thread // threads, pixels * (thread + 1) // threads
    n = last - first
    descend(
        numbers(target + 8 * first, 2 * n), numbers(velocity + 8 * first, 2 * n if both else 0),
        numbers(numerator + 8 * first, 2 * n), numbers(denominator + 4 * first, n), length, share, floor,
    )  # fmt: skip


@compiled
def weigh(array, weights):
    """Return sum weights |array|^2 of a plane, shape (rows, columns); the rows' sums are added in double precision."""
    total = 0.0
    for r in range(array.shape[0]):
        row = weights.dtype.type(0)
        for c in range(array.shape[1]):
            z = array[r, c]
            row += weights[r, c] * (z.real * z.real + z.imag * z.imag)
        total += row
    return total


@compiled
def cross_term(frames, corners, obj, change, both):
    """Return Re sum conj(change) obj both over the windows of frames at their corners, shape (npos, 2).

    ``both``, shape (ny, 2 * nx), is the same in every window: of a probe and its change, sum_k conj(P_k) dP_k.
    """
    total, sums = 0.0, np.zeros(2 * WIDTH, np.float32)
    for j in frames:
        top, left = corners[j]
        for r in range(both.shape[0]):
            part = slice(2 * left, 2 * left + both.shape[1])
            rows.add_crossing(change[top + r, part], obj[top + r, part], both[r], sums, both.shape[1] // 2)
            if (r + 1) % TOGETHER == 0 or r + 1 == both.shape[0]:
                total += sums.sum()
                sums[:] = 0
    return total


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


@compiled
def take(out, probe_num, spectrum_num, plans):
    """Write what a probe wants, shape (modes, ny, 2 * nx), and clear its sums; the transform is unnormalised."""
    transform_columns(plans.columns_backward, spectrum_num, plans)
    transform_rows(plans.rows_backward, spectrum_num, plans)
    for k in range(out.shape[0]):
        for r in range(out.shape[1]):
            for i in range(out.shape[2]):
                out[k, r, i] = probe_num[k, r, i] + spectrum_num[k, r, i]
    probe_num[:] = 0
    spectrum_num[:] = 0
