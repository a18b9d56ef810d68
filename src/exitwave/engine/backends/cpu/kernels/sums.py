"""The compiled loops over whole arrays: the sums of all threads, steps, and sums of counts."""

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from exitwave.engine.backends.cpu.kernels import rows
from exitwave.engine.backends.cpu.kernels.compiled import compiled
from exitwave.engine.backends.cpu.kernels.vectors import WIDTH
from exitwave.engine.backends.cpu.kernels.waves import transform_columns, transform_rows

FLUSH_ROWS = 16
"""Rows that are summed in single precision before their sum is added in double precision."""


@compiled
def distribute_frames(tops, height, row_ranges, owner, sets_of_rows):
    """Sort frames by the first rows of their windows, shape (frames, exposures), and divide them between the threads.

    Returns their order, and the indices in it at which the threads' parts end. Writes to ``row_ranges``, shape (2,
    threads), the first row and the end of the rows to which each thread adds; to ``owner``, for every row of the
    object, the only thread that adds to it, or 0; and to ``sets_of_rows``, shape (threads, rows), the set of sums to
    which a thread adds a row: the first for a row that no other thread uses, its own for any other.
    """
    threads = row_ranges.shape[1]
    order, ends = np.argsort(tops[:, 0], kind="mergesort"), np.zeros(threads + 1, np.int64)
    users = np.zeros(owner.shape[0], np.int64)
    owner[:] = 0
    for t in range(threads):
        ends[t + 1] = len(order) * (t + 1) // threads
        low, high = owner.shape[0], 0
        for j in order[ends[t] : ends[t + 1]]:
            low, high = min(low, tops[j].min()), max(high, tops[j].max() + height)
        for row in range(low, high):
            owner[row] = t if users[row] == 0 else 0
            users[row] += 1
        row_ranges[0, t], row_ranges[1, t] = low, high
    for t in range(threads):
        for row in range(owner.shape[0]):
            sets_of_rows[t, row] = 0 if owner[row] == t else t
    return order, ends


@intrinsic
def pointer(context, address):
    """Return an address as a pointer."""

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), code


@compiled
def floats_at(address, count):
    """Return the float32 numbers at an address as an array."""
    return carray(pointer(address), count, np.float32)


@compiled
def integers_at(address, count):
    """Return the int64 numbers at an address as an array."""
    return carray(pointer(address), count, np.int64)


def collect(address, thread):
    """Move rows of other threads' sums to those of the first: a task.

    Its arguments are the numbers of threads and of arrays, and of each array, shape (threads, rows, width): its
    address, the distance from one set to the next, ``width``, and the addresses of an ``owner``, shape (rows,), and of
    ``row_ranges``, shape (2, threads); see `distribute_frames`.
    """
    threads, count = integers_at(address, 2)
    for k in range(count):
        base, distance, width, owners, ranges = integers_at(address + 8 * (2 + 5 * k), 5)
        starts, stops = integers_at(ranges, threads), integers_at(ranges + 8 * threads, threads)
        low, rows = starts.min(), stops.max() - starts.min()
        owner = integers_at(owners, max(0, stops.max()))
        for r in range(low + rows * thread // threads, low + rows * (thread + 1) // threads):
            for t in range(1, threads):
                if starts[t] <= r < stops[t] and owner[r] != t:
                    row = base + 4 * r * width
                    move_row(floats_at(row, width), floats_at(row + 4 * t * distance, width))


@compiled
def move_row(total, part):
    """Add a part to the total, and set it to 0."""
    for i in range(total.shape[0]):
        total[i] += part[i]
        part[i] = 0.0


@compiled
def clear(total, owner, number, low, high):
    """Set the rows from low to high that thread ``number`` owns to 0."""
    for r in range(low, high):
        if owner[r] == number:
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
def write_descent(arguments, scalars, threads, target, velocity, numerator, denominator, length, share, floor):
    """Write the arguments of `descend_together`; ``scalars`` are the last three, in single precision."""
    arguments[0], arguments[1] = threads, denominator.shape[0]
    arguments[2], arguments[3] = target.ctypes.data, velocity.ctypes.data
    arguments[4], arguments[5], arguments[6] = numerator.ctypes.data, denominator.ctypes.data, velocity.shape[0]
    scalars[0], scalars[1], scalars[2] = length, share, floor


def descend_together(address, thread):
    """Do what `descend` does, with a part of the pixels for every thread: a task.

    Its arguments are the numbers of threads and of pixels, the addresses of target, velocity, numerator and
    denominator, the length of the velocity, and the scalars in single precision.
    """
    threads, pixels, target, velocity, numerator, denominator, both = integers_at(address, 7)
    length, share, floor = floats_at(address + 56, 3)
    first, last = pixels * thread // threads, pixels * (thread + 1) // threads
    n = last - first
    descend(
        floats_at(target + 8 * first, 2 * n), floats_at(velocity + 8 * first, 2 * n if both else 0),
        floats_at(numerator + 8 * first, 2 * n), floats_at(denominator + 4 * first, n), length, share, floor,
    )  # fmt: skip


@compiled
def weighted_power(array, weights):
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
def cross_term(frames, corners, obj, d_obj, d_probe_product):
    """Return Re sum conj(dO) O sum_k conj(P_k) dP_k over the windows of frames at their corners, shape (npos, 2).

    ``d_probe_product``, shape (ny, 2 * nx), is sum_k conj(P_k) dP_k, the same in every window.
    """
    total, sums = 0.0, np.zeros(2 * WIDTH, np.float32)
    height, width = d_probe_product.shape
    for j in frames:
        top, left = corners[j]
        for r in range(height):
            part = slice(2 * left, 2 * left + width)
            rows.add_cross_term(d_obj[top + r, part], obj[top + r, part], d_probe_product[r], sums, width // 2)
            if (r + 1) % FLUSH_ROWS == 0 or r + 1 == height:
                total += sums.sum()
                sums[:] = 0
    return total


@compiled
def signals(counts, invalid):
    """Return the sum of the valid counts of every frame."""
    out = np.zeros(counts.shape[0])
    for j in range(counts.shape[0]):
        for r in range(counts.shape[1]):
            total = np.float32(0)
            row = counts[j, r]
            for c in range(counts.shape[2]):
                total += np.float32(row[c]) if row[c] != invalid else np.float32(0)
            out[j] += total
    return out


@compiled
def take_probe_sums(out, probe_num, spectrum_num, plans):
    """Write the sum of the probe, shape (modes, ny, 2 * nx), and set its parts to 0; the transform is unnormalised."""
    transform_columns(plans.columns_backward, spectrum_num, plans)
    transform_rows(plans.rows_backward, spectrum_num, plans)
    for k in range(out.shape[0]):
        for r in range(out.shape[1]):
            for i in range(out.shape[2]):
                out[k, r, i] = probe_num[k, r, i] + spectrum_num[k, r, i]
    probe_num[:] = 0
    spectrum_num[:] = 0
