"""Fourier transforms of many rows or columns, for the lengths that detectors mostly have.

A length n = a b is done in two steps: with j = b j1 + j2 and k = k1 + a k2,

    X[k] = sum_j2 W_b^(j2 k2) W_n^(j2 k1) sum_j1 W_a^(j1 k1) x[j],    W_n = exp(-+ 2 pi i / n)

(J. W. Cooley and J. W. Tukey, Math. Comput. 19, 297 (1965)). A vector holds numbers that do not meet in a step: of
columns, neighbouring columns; of rows, neighbouring j2 in the first step and neighbouring k1 in the second. Every
number is read and written once, and between the steps it is in the first cache. A step of up to `LARGEST` numbers is
done within the registers as far as they reach, with fused multiply-adds, which FFTW as it is packaged does without.
"""

import cmath
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from exitwave.engine.kernels.compiled import callback
from exitwave.engine.kernels.vectors import FLOAT, WIDTH, Vectors

LANES = WIDTH // 2
"""Complex numbers in a vector."""
LARGEST = 32
"""Numbers that one step transforms, at most."""
PRIMES = (2, 3, 5)
_WORD = ir.IntType(64)


def factors(n: int) -> tuple[int, int] | None:
    """Return a and b of the two steps for a length n, a >= b; None: it has no such transform."""
    rest = n
    for prime in PRIMES:
        while rest % prime == 0:
            rest //= prime
    steps = [b for b in range(LANES, math.isqrt(n) + 1, LANES) if n % b == 0 and n // b % LANES == 0]
    return (n // steps[-1], steps[-1]) if rest == 1 and steps and n // steps[-1] <= LARGEST else None


def twiddles(n: int, sign: int, across: bool) -> NDArray[np.complex64]:
    """Return the factors W_n^(j2 k1) between the steps: by j2 and k1 for columns (``across``), else by k1 and j2."""
    a, b = factors(n) or (n, 1)
    table = np.exp(sign * 2j * np.pi / n * np.outer(np.arange(b), np.arange(a))).astype(np.complex64)
    return table if across else table.T


@functools.cache
def transform(n: int, count: int, stride: int, sign: int, across: bool) -> Any:
    """Return the compiled transform of ``count`` rows, or columns (``across``), of length n, in place.

    Its ``address`` is that of a function of the addresses of the twiddles, of the first number, and again of that.
    Rows have ``stride`` complex numbers from one to the next.
    """

    def rows(table: int, source: int, target: int) -> None:
        _rows(table, source, n, count, stride, sign)

    def columns(table: int, source: int, target: int) -> None:
        _columns(table, source, n, count, stride, sign)

    return callback(types.void(types.intp, types.intp, types.intp), columns if across else rows)


def _emitted(emit: Callable[..., None]) -> Any:
    """Make a function of a table's and a buffer's address and of four known numbers for compiled code."""

    @intrinsic(prefer_literal=True)
    def function(context: Any, table: Any, address: Any, n: Any, count: Any, stride: Any, sign: Any) -> Any:
        known = n, count, stride, sign
        if not all(isinstance(each, types.IntegerLiteral) for each in known):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            emit(builder, *arguments[:2], *(each.literal_value for each in known))
            return context.get_dummy_value()

        return types.void(table, address, *known), code

    return function


class _Numbers:
    """Complex numbers in memory."""

    def __init__(self, builder: Any, address: Any) -> None:
        self.builder, self.start = builder, builder.inttoptr(address, ir.PointerType(FLOAT))

    def _vector(self, index: Any) -> Any:
        place = self.builder.gep(self.start, [self.builder.shl(index, _word(1))])
        return self.builder.bitcast(place, ir.PointerType(ir.VectorType(FLOAT, WIDTH)))

    def __getitem__(self, index: Any) -> Any:
        value = self.builder.load(self._vector(index))
        value.align = 4
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        self.builder.store(value, self._vector(index)).align = 4

    def part(self, index: Any, imaginary: int) -> Any:
        """Return the real or the imaginary part of one number."""
        place = self.builder.add(self.builder.shl(index, _word(1)), _word(imaginary))
        return self.builder.load(self.builder.gep(self.start, [place]))


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _scratch(builder: Any, numbers: int) -> _Numbers:
    """Return room on the stack that starts with a line of the cache."""
    room = cgutils.alloca_once(builder, FLOAT, size=_word(2 * numbers + 16))
    return _Numbers(builder, builder.and_(builder.add(builder.ptrtoint(room, _WORD), _word(63)), _word(-64)))


def _emit_columns(builder: Any, table: Any, address: Any, n: int, count: int, stride: int, sign: int) -> None:
    """Emit the transform of columns: a vector has `LANES` of them."""
    (a, b), v = factors(n) or (n, 1), Vectors(builder, WIDTH)
    data, twiddle, between = _Numbers(builder, address), _Numbers(builder, table), _scratch(builder, LANES * n)

    def index(start: Any, number: Any, size: int) -> Any:
        return builder.add(start, builder.mul(number, _word(size)))

    with cgutils.for_range_slice(builder, _word(0), _word(count), _word(LANES)) as (left, _):
        with cgutils.for_range(builder, _word(b)) as loop:
            first = index(left, loop.index, stride)
            found = _butterfly(v, [data[builder.add(first, _word(j1 * b * stride))] for j1 in range(a)], sign)
            for k1, z in enumerate(found):
                place = index(_word(k1), loop.index, a)
                re, im = (v.fill(twiddle.part(place, which), WIDTH) for which in (0, 1))
                between[builder.mul(place, _word(LANES))] = v.multiply(re, im, z) if k1 else z
        with cgutils.for_range(builder, _word(a)) as loop:
            waves = [between[index(_word(j2 * a * LANES), loop.index, LANES)] for j2 in range(b)]
            first = index(left, loop.index, stride)
            for k2, z in enumerate(_butterfly(v, waves, sign)):
                data[builder.add(first, _word(k2 * a * stride))] = z


def _emit_rows(builder: Any, table: Any, address: Any, n: int, count: int, stride: int, sign: int) -> None:
    """Emit the transform of rows: a vector has `LANES` numbers of one."""
    (a, b), v = factors(n) or (n, 1), Vectors(builder, WIDTH)
    data, twiddle, between = _Numbers(builder, address), _Numbers(builder, table), _scratch(builder, n)
    with cgutils.for_range(builder, _word(count)) as loop:
        first = builder.mul(loop.index, _word(stride))
        for j2 in range(0, b, LANES):
            found = _butterfly(v, [data[builder.add(first, _word(j1 * b + j2))] for j1 in range(a)], sign)
            for k1, z in enumerate(found):
                place = _word(k1 * b + j2)
                factor = twiddle[place]
                between[place] = v.multiply(v.real(factor), v.imag(factor), z) if k1 else z
        for k1 in range(0, a, LANES):
            waves = []
            for j2 in range(0, b, LANES):
                waves += _transpose(v, [between[_word((k1 + lane) * b + j2)] for lane in range(LANES)])
            for k2, z in enumerate(_butterfly(v, waves, sign)):
                data[builder.add(first, _word(k2 * a + k1))] = z


_columns, _rows = _emitted(_emit_columns), _emitted(_emit_rows)


def _butterfly(v: Vectors, x: list[Any], sign: int) -> list[Any]:
    """Return the transform of some vectors, number by number of them."""
    n = len(x)
    if n == 2:
        return [v.add(*x), v.sub(*x)]
    if n in PRIMES:
        return _odd(v, x, sign)
    first = 4 if n % 4 == 0 and n not in (4, 8) else next(prime for prime in PRIMES if n % prime == 0)
    rest, out = n // first, [None] * n
    parts = [_butterfly(v, x[j2::rest], sign) for j2 in range(rest)]
    for k1 in range(first):
        turned = [_turn(v, parts[j2][k1], sign * j2 * k1, n) for j2 in range(rest)]
        out[k1::first] = _butterfly(v, turned, sign)
    return out


def _odd(v: Vectors, x: list[Any], sign: int) -> list[Any]:
    """Return the transform of an odd number of vectors, from the sums and the differences of pairs."""
    n, out = len(x), list(x)
    pairs = [(j, v.add(x[j], x[n - j]), v.sub(x[j], x[n - j])) for j in range(1, n // 2 + 1)]
    for _, both, _ in pairs:
        out[0] = v.add(out[0], both)
    for k in range(1, n // 2 + 1):
        even, odd = x[0], None
        for j, both, difference in pairs:
            angle = 2 * math.pi * j * k / n
            even = v.add(even, v.mul(both, v.constant(math.cos(angle), both)))
            term = v.twist(difference, sign * math.sin(angle))
            odd = term if odd is None else v.add(odd, term)
        out[k], out[n - k] = v.add(even, odd), v.sub(even, odd)
    return out


def _turn(v: Vectors, z: Any, k: int, n: int) -> Any:
    """Return z exp(2 pi i k / n)."""
    if k % n == 0:
        return z
    if 4 * k % n == 0:
        quarter = 4 * k // n % 4
        return v.sub(v.constant(0.0, z), z) if quarter == 2 else v.twist(z, 2.0 - quarter)
    factor = cmath.exp(2j * math.pi * k / n)
    return v.add(v.mul(z, v.constant(factor.real, z)), v.twist(z, factor.imag))


def _transpose(v: Vectors, rows: list[Any]) -> list[Any]:
    """Return `LANES` vectors of complex numbers as if they were the rows of a matrix, transposed."""
    step = 1
    while step < LANES:
        for i in (i for i in range(LANES) if not i & step):
            low = [lane + (LANES - step) * bool(lane & step) for lane in range(LANES)]
            high = [place + step for place in low]
            rows[i], rows[i + step] = (
                v.shuffle(rows[i], [2 * place + part for place in places for part in (0, 1)], rows[i + step])
                for places in (low, high)
            )
        step *= 2
    return rows
