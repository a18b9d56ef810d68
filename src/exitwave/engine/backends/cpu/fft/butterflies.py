"""Fourier transforms of many rows or columns, for the most frequent lengths of detectors.

A transform of length n = a b has two steps: with j = b j1 + j2 and k = k1 + a k2,

    X[k] = sum_j2 W_b^(j2 k2) W_n^(j2 k1) sum_j1 W_a^(j1 k1) x[j],    W_n = exp(-+ 2 pi i / n)

(J. W. Cooley and J. W. Tukey, Math. Comput. 19, 297 (1965)). A vector holds numbers that a step does not combine: of
columns, neighbouring columns; of rows, neighbouring j2 in the first step and neighbouring k1 in the second. Every
number is read and written once, and between the steps it is in the first cache. A step transforms up to `LARGEST`
numbers, within the registers as far as possible, with fused multiply-adds; the FFTW of the pyFFTW package has none.
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

from exitwave.engine.backends.cpu.kernels.compiled import callback
from exitwave.engine.backends.cpu.kernels.vectors import FLOAT, WIDTH, Vectors

LANES = WIDTH // 2
"""Complex numbers in a vector."""
LARGEST = 32
"""The most numbers that one step transforms."""
PRIMES = (2, 3, 5)
"""The prime factors of the lengths."""
_WORD = ir.IntType(64)


def factors(n: int) -> tuple[int, int] | None:
    """Return a and b of the two steps for a length n, with a >= b; None: this module does not cover the length."""
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
    """Return the compiled transform of ``count`` rows, or columns (``across``), of length n.

    Its ``address`` is that of a function of three addresses: of the twiddles, of the first number to read, and of the
    first to write; the last two may be equal. There are ``stride`` complex numbers from one row to the next.
    """

    def rows(table: int, source: int, target: int) -> None:
        _rows(table, source, target, 0, 0, n, count, stride, sign)

    def columns(table: int, source: int, target: int) -> None:
        _columns(table, source, target, 0, 0, n, count, stride, sign)

    return callback(types.void(*[types.intp] * 3), columns if across else rows)


@functools.cache
def ramped(n: int, count: int, stride: int, sign: int) -> Any:
    """Return the `transform` of columns whose number [r, c] is multiplied by two ramps, at r and at c, when it is read.

    The addresses of the ramps are two more arguments: first that of the rows, then that of the columns.
    """

    def columns(table: int, source: int, target: int, rows: int, columns: int) -> None:
        _ramped(table, source, target, rows, columns, n, count, stride, sign)

    return callback(types.void(*[types.intp] * 5), columns)


@functools.cache
def ramped_back(n: int, count: int, stride: int, sign: int, added: bool) -> Any:
    """Return the `transform` of columns whose result is multiplied by the conjugate of two ramps, and written or added.

    The arguments are those of `ramped`.
    """

    def columns(table: int, source: int, target: int, rows: int, columns: int) -> None:
        _ramped_back(table, source, target, rows, columns, n, count, stride, sign)

    def columns_added(table: int, source: int, target: int, rows: int, columns: int) -> None:
        _added_back(table, source, target, rows, columns, n, count, stride, sign)

    return callback(types.void(*[types.intp] * 5), columns_added if added else columns)


def _emitted(emit: Callable[..., None], source: type["_Waves"], target: type["_Waves"]) -> Any:
    """Make a function for compiled code, with the arguments of `ramped` and the constants n, count, stride and sign."""
    kinds = source, target

    @intrinsic(prefer_literal=True)
    def function(context: Any, table: Any, source: Any, target: Any, first: Any, second: Any,
                 n: Any, count: Any, stride: Any, sign: Any) -> Any:  # fmt: skip
        known = n, count, stride, sign
        if not all(isinstance(each, types.IntegerLiteral) for each in known):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            n, count, stride, sign = (each.literal_value for each in known)
            v, step = Vectors(builder, WIDTH), _word(stride)
            twiddle, start, end, *more = arguments[:5]
            waves = (kind(v, address, step, *more) for kind, address in zip(kinds, (start, end), strict=True))
            emit(v, _Numbers(builder, twiddle), *waves, n, count, sign)
            return context.get_dummy_value()

        return types.void(table, source, target, first, second, *known), code

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

    def both(self, index: Any) -> tuple[Any, Any]:
        """Return the real and the imaginary part of one number, each in all elements of a vector."""
        real = self.builder.shl(index, _word(1))
        places = real, self.builder.add(real, _word(1))
        scalars = [self.builder.load(self.builder.gep(self.start, [place])) for place in places]
        re, im = (Vectors(self.builder, WIDTH).fill(scalar, WIDTH) for scalar in scalars)
        return re, im


class _Waves:
    """Rows of complex numbers in memory, ``step`` numbers from one to the next."""

    def __init__(self, v: Vectors, address: Any, step: Any, *more: Any) -> None:
        self.v, self.step, self.numbers = v, step, _Numbers(v.builder, address)

    def _index(self, place: tuple[Any, Any]) -> Any:
        row, column = place
        return self.v.builder.add(self.v.builder.mul(row, self.step), column)

    def __getitem__(self, place: tuple[Any, Any]) -> Any:
        return self.numbers[self._index(place)]

    def __setitem__(self, place: tuple[Any, Any], value: Any) -> None:
        self.numbers[self._index(place)] = value


class _Ramped(_Waves):
    """Rows that are multiplied by two ramps when they are read."""

    def __init__(self, v: Vectors, address: Any, step: Any, rows: Any, columns: Any) -> None:
        super().__init__(v, address, step)
        self.rows, self.columns = _Numbers(v.builder, rows), _Numbers(v.builder, columns)

    def __getitem__(self, place: tuple[Any, Any]) -> Any:
        return self.v.multiply(*self._ramp(place), super().__getitem__(place))

    def _ramp(self, place: tuple[Any, Any]) -> tuple[Any, Any]:
        row, column = place
        ramp = self.v.multiply(*self.rows.both(row), self.columns[column])
        return self.v.real(ramp), self.v.imag(ramp)


class _RampedBack(_Ramped):
    """Rows that are multiplied by the conjugate of two ramps when they are written."""

    def __setitem__(self, place: tuple[Any, Any], value: Any) -> None:
        super().__setitem__(place, self.v.multiply(*self._ramp(place), value, conjugate=True))


class _AddedBack(_Ramped):
    """Rows to which numbers are added after multiplication by the conjugate of two ramps."""

    def __setitem__(self, place: tuple[Any, Any], value: Any) -> None:
        ramped = self.v.multiply(*self._ramp(place), value, conjugate=True)
        _Waves.__setitem__(self, place, self.v.add(_Waves.__getitem__(self, place), ramped))


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _scratch(builder: Any, numbers: int) -> _Numbers:
    """Return memory on the stack that starts at a cache line."""
    memory = cgutils.alloca_once(builder, FLOAT, size=_word(2 * numbers + 16))
    return _Numbers(builder, builder.and_(builder.add(builder.ptrtoint(memory, _WORD), _word(63)), _word(-64)))


def _emit_columns(v: Vectors, twiddle: "_Numbers", source: Any, target: Any, n: int, count: int, sign: int) -> None:
    """Emit the transform of columns: a vector holds numbers of `LANES` columns."""
    (a, b), builder = factors(n) or (n, 1), v.builder
    between = _scratch(builder, LANES * n)
    with cgutils.for_range_slice(builder, _word(0), _word(count), _word(LANES)) as (left, _):
        with cgutils.for_range(builder, _word(b)) as loop:
            rows = [builder.add(loop.index, _word(j1 * b)) for j1 in range(a)]
            for k1, z in enumerate(_butterfly(v, [source[row, left] for row in rows], sign)):
                place = builder.add(builder.mul(loop.index, _word(a)), _word(k1))
                re, im = twiddle.both(place)
                between[builder.mul(place, _word(LANES))] = v.multiply(re, im, z) if k1 else z
        with cgutils.for_range(builder, _word(a)) as loop:
            places = [builder.add(loop.index, _word(j2 * a)) for j2 in range(b)]
            waves = [between[builder.mul(place, _word(LANES))] for place in places]
            for k2, z in enumerate(_butterfly(v, waves, sign)):
                target[builder.add(loop.index, _word(k2 * a)), left] = z


def _emit_rows(v: Vectors, twiddle: "_Numbers", source: Any, target: Any, n: int, count: int, sign: int) -> None:
    """Emit the transform of rows: a vector holds `LANES` numbers of one row."""
    (a, b), between = factors(n) or (n, 1), _scratch(v.builder, n)
    with cgutils.for_range(v.builder, _word(count)) as loop:
        for j2 in range(0, b, LANES):
            waves = [source[loop.index, _word(j1 * b + j2)] for j1 in range(a)]
            for k1, z in enumerate(_butterfly(v, waves, sign)):
                place = _word(k1 * b + j2)
                factor = twiddle[place]
                between[place] = v.multiply(v.real(factor), v.imag(factor), z) if k1 else z
        for k1 in range(0, a, LANES):
            waves = []
            for j2 in range(0, b, LANES):
                waves += _transpose(v, [between[_word((k1 + lane) * b + j2)] for lane in range(LANES)])
            for k2, z in enumerate(_butterfly(v, waves, sign)):
                target[loop.index, _word(k2 * a + k1)] = z


_rows, _columns = _emitted(_emit_rows, _Waves, _Waves), _emitted(_emit_columns, _Waves, _Waves)
_ramped = _emitted(_emit_columns, _Ramped, _Waves)
_ramped_back, _added_back = (_emitted(_emit_columns, _Waves, target) for target in (_RampedBack, _AddedBack))


def _butterfly(v: Vectors, x: list[Any], sign: int) -> list[Any]:
    """Return the transform along a list of vectors, element by element."""
    n = len(x)
    if n == 2:
        return [v.add(*x), v.sub(*x)]
    if n in PRIMES:
        return _odd(v, x, sign)
    first = 4 if n % 4 == 0 and n not in (4, 8) else next(prime for prime in PRIMES if n % prime == 0)
    rest, out = n // first, [None] * n
    parts = [_butterfly(v, x[j2::rest], sign) for j2 in range(rest)]
    for k1 in range(first):
        twisted = [_rotate(v, parts[j2][k1], sign * j2 * k1, n) for j2 in range(rest)]
        out[k1::first] = _butterfly(v, twisted, sign)
    return out


def _odd(v: Vectors, x: list[Any], sign: int) -> list[Any]:
    """Return the transform along an odd number of vectors, from the sums and the differences of pairs."""
    n, out = len(x), list(x)
    pairs = [(j, v.add(x[j], x[n - j]), v.sub(x[j], x[n - j])) for j in range(1, n // 2 + 1)]
    for _, both, _ in pairs:
        out[0] = v.add(out[0], both)
    for k in range(1, n // 2 + 1):
        even, odd = x[0], None
        for j, both, difference in pairs:
            angle = 2 * math.pi * j * k / n
            even = v.add(even, v.mul(both, v.constant(math.cos(angle), both)))
            term = v.times_i(difference, sign * math.sin(angle))
            odd = term if odd is None else v.add(odd, term)
        out[k], out[n - k] = v.add(even, odd), v.sub(even, odd)
    return out


def _rotate(v: Vectors, z: Any, k: int, n: int) -> Any:
    """Return z exp(2 pi i k / n)."""
    if k % n == 0:
        return z
    if 4 * k % n == 0:
        quarter = 4 * k // n % 4
        return v.sub(v.constant(0.0, z), z) if quarter == 2 else v.times_i(z, 2.0 - quarter)
    factor = cmath.exp(2j * math.pi * k / n)
    return v.add(v.mul(z, v.constant(factor.real, z)), v.times_i(z, factor.imag))


def _transpose(v: Vectors, rows: list[Any]) -> list[Any]:
    """Return the transpose of a matrix whose rows are `LANES` vectors of complex numbers."""
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
