"""Operations on rows of complex numbers, written as vector instructions for the compiled loops.

Every operation is a rule for a vector of neighbouring numbers (`vectors`). From it, code is emitted for long vectors
and for the single numbers that remain at the end of a row. Complex rows are float32 with real and imaginary parts side
by side.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from exitwave.engine.backends.cpu.kernels.vectors import FLOAT, WIDTH, Vectors


def _operation(kinds: str, scalars: int = 0, width: int = WIDTH) -> Callable[[Callable[..., None]], Any]:
    """Make a function ``f(*rows, *scalars, n)`` for compiled code from a rule ``rule(vectors, rows, *scalars)``.

    ``kinds`` has a letter for each row: ``c`` is complex, ``r`` real (of any type of number), ``s`` a vector of sums,
    and ``d`` a vector of at least ``2 * WIDTH`` sums whose terms have real and imaginary parts. Within the rule,
    ``rows[k]`` reads and ``rows[k] = value`` writes. n is the number of complex or real numbers.
    """

    def make(rule: Callable[..., None]) -> Any:
        def typing(context: Any, *arguments: Any) -> Any:
            rows = arguments[: len(kinds)]
            assert all(row.layout == "C" for row in rows), "rows are contiguous"
            return types.void(*rows, *[types.float32] * scalars, types.intp), emit

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = zip(signature.args[: len(kinds)], arguments[: len(kinds)], strict=True)
            pointers = [context.make_array(kind)(context, builder, array).data for kind, array in arrays]
            numbers, n = arguments[len(kinds) : -1], arguments[-1]
            step = n.type(width // 2)
            whole = builder.mul(builder.sdiv(n, step), step)
            for start, stop, size in ((n.type(0), whole, width), (whole, n, 2)):
                vectors = Vectors(builder, size)
                with (
                    _registers(vectors, pointers, kinds) as places,
                    cgutils.for_range_slice(builder, start, stop, n.type(size // 2)) as (index, _),
                ):
                    rule(vectors, _Rows(vectors, places, kinds, index), *numbers)
            return context.get_dummy_value()

        names = ", ".join(f"a{i}" for i in range(len(kinds) + scalars + 1))
        space: dict[str, Any] = {"typing": typing}
        # an intrinsic needs a fixed number of arguments
        exec(f"def function(context, {names}): return typing(context, {names})", space)
        function = space["function"]
        function.__name__, function.__doc__ = rule.__name__, rule.__doc__
        return intrinsic(function)

    return make


@contextmanager
def _registers(v: Vectors, pointers: list[Any], kinds: str) -> Iterator[list[Any]]:
    """Copy sums to local variables, which no row overlaps, so that the compiler keeps them in registers."""
    vectors = {k: ir.VectorType(FLOAT, _count(v, kind)) for k, kind in enumerate(kinds) if kind in "sd"}
    local = {k: cgutils.alloca_once(v.builder, vector) for k, vector in vectors.items()}
    there = {k: v.builder.bitcast(pointers[k], vector.as_pointer()) for k, vector in vectors.items()}
    for k, place in local.items():
        value = v.builder.load(there[k])
        value.align = 4
        v.builder.store(value, place)
    yield [v.builder.bitcast(local[k], pointers[k].type) if k in local else each for k, each in enumerate(pointers)]
    for k, place in local.items():
        v.builder.store(v.builder.load(place), there[k]).align = 4


def _count(v: Vectors, kind: str) -> int:
    """Return the number of floats in a vector of a row."""
    return v.width // (1 if kind in "cd" else 2)


class _Rows:
    """The rows at one index of the loop."""

    def __init__(self, vectors: Vectors, pointers: list[Any], kinds: str, index: Any) -> None:
        self.vectors, self.pointers, self.kinds, self.index = vectors, pointers, kinds, index

    def _place(self, k: int) -> Any:
        builder, kind = self.vectors.builder, self.kinds[k]
        first = self.index.type(0)
        places = {"c": builder.shl(self.index, self.index.type(1)), "r": self.index, "s": first, "d": first}
        pointer, count = builder.gep(self.pointers[k], [places[kind]]), _count(self.vectors, kind)
        return builder.bitcast(pointer, ir.PointerType(ir.VectorType(self.pointers[k].type.pointee, count)))

    def prefetch(self, k: int) -> None:
        """Load a row into the caches before it is needed."""
        builder, byte, one = self.vectors.builder, ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, one, one, one])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        hints = [ir.Constant(one, hint) for hint in (0, 3, 1)]  # to read, keep in all caches, data
        builder.call(function, [builder.bitcast(self._place(k), byte), *hints])

    def __getitem__(self, k: int) -> Any:
        value = self.vectors.builder.load(self._place(k))
        value.align = 1 if isinstance(value.type.element, ir.IntType) else 4
        if isinstance(value.type.element, ir.IntType):
            value = self.vectors.builder.uitofp(value, ir.VectorType(FLOAT, value.type.count))
        return value

    def __setitem__(self, k: int, value: Any) -> None:
        self.vectors.builder.store(value, self._place(k)).align = 4


@_operation("c", width=2 * WIDTH)
def prefetch(v: Any, rows: Any) -> None:
    """Load a row into the caches, 64 bytes at a time; the remainder at its end is not loaded."""
    if v.width == 2 * WIDTH:
        rows.prefetch(0)


@_operation("ccc")
def multiply(v: Any, rows: Any) -> None:
    """Out = p o."""
    p = rows[1]
    rows[0] = v.multiply(v.real(p), v.imag(p), rows[2])


@_operation("ccc")
def subtract_product(v: Any, rows: Any) -> None:
    """Out -= p o."""
    p = rows[1]
    rows[0] = v.sub(rows[0], v.multiply(v.real(p), v.imag(p), rows[2]))


@_operation("ccc", scalars=2)
def multiply_ramps(v: Any, rows: Any, re: Any, im: Any) -> None:
    """Out = (re + i im) ramp z."""
    ramp = v.multiply(v.fill(re, v.width), v.fill(im, v.width), rows[1])
    rows[0] = v.multiply(v.real(ramp), v.imag(ramp), rows[2])


@_operation("cc")
def add(v: Any, rows: Any) -> None:
    """Out += z."""
    rows[0] = v.add(rows[0], rows[1])


@_operation("ccc")
def add_conjugate_product(v: Any, rows: Any) -> None:
    """Out += conj(p) w."""
    p = rows[1]
    rows[0] = v.add(rows[0], v.multiply(v.real(p), v.imag(p), rows[2], conjugate=True))


@_operation("cc")
def conjugate_multiply(v: Any, rows: Any) -> None:
    """W = conj(o) w."""
    o = rows[1]
    rows[0] = v.multiply(v.real(o), v.imag(o), rows[0], conjugate=True)


@_operation("crcrcc", width=2 * WIDTH)
def add_and_multiply(v: Any, rows: Any) -> None:
    """Out += conj(p) w and power += |p|^2, then w = conj(o) w; rows are out, power, w, |o|^2 to add to, p, o."""
    w, p, o = rows[2], rows[4], rows[5]
    rows[0] = v.add(rows[0], v.multiply(v.real(p), v.imag(p), w, conjugate=True))
    rows[2] = v.multiply(v.real(o), v.imag(o), w, conjugate=True)
    rows[1], rows[3] = v.add(rows[1], v.power(p)), v.add(rows[3], v.power(o))


@_operation("crcrccc", width=2 * WIDTH)
def add_both(v: Any, rows: Any) -> None:
    """Out += conj(p) w and power += |p|^2, other += conj(o) w and |o|^2: out, power, other, power, p, o, w."""
    p, o, w = rows[4], rows[5], rows[6]
    rows[0] = v.add(rows[0], v.multiply(v.real(p), v.imag(p), w, conjugate=True))
    rows[2] = v.add(rows[2], v.multiply(v.real(o), v.imag(o), w, conjugate=True))
    rows[1], rows[3] = v.add(rows[1], v.power(p)), v.add(rows[3], v.power(o))


@_operation("rc", width=2 * WIDTH)
def power(v: Any, rows: Any) -> None:
    """Out = |z|^2."""
    rows[0] = v.power(rows[1])


@_operation("rc", width=2 * WIDTH)
def add_power(v: Any, rows: Any) -> None:
    """Out += |z|^2."""
    rows[0] = v.add(rows[0], v.power(rows[1]))


@_operation("cr", width=2 * WIDTH)
def scale(v: Any, rows: Any) -> None:
    """Z *= factor."""
    rows[0] = v.mul(rows[0], v.twice(rows[1]))


def _correction(v: Any, model: Any, counts: Any, invalid: Any, fade: Any) -> tuple[Any, Any]:
    """Return (sqrt(I) - sqrt(m)) sqrt(m) / (m + fade) and (sqrt(I) - sqrt(m))^2, both 0 on invalid pixels.

    The definition is `backends.reference.likelihood`. Both need only the root of I m.
    """
    good = v.builder.fcmp_ordered("!=", counts, v.fill(invalid, counts.type.count))
    counts, model = v.where(good, counts), v.where(good, model)
    both = v.sqrt(v.mul(counts, model))
    factor = v.mul(v.sub(both, model), v.inverse(v.add(model, v.fill(fade, counts.type.count))))
    return v.where(good, factor), v.add(v.sub(counts, both), v.sub(model, both))


@_operation("rrs", scalars=4, width=2 * WIDTH)
def correct(v: Any, rows: Any, invalid: Any, fade: Any, intensity: Any, normal: Any) -> None:
    """Model -> normal * factor, in place: rows are model / intensity, counts, and the sums of the misfit."""
    model = v.mul(rows[0], v.fill(intensity, v.width // 2))
    factor, misfit = _correction(v, model, rows[1], invalid, fade)
    rows[0] = v.mul(factor, v.fill(normal, v.width // 2))
    rows[2] = v.add(rows[2], misfit)


@_operation("crs", scalars=4, width=2 * WIDTH)
def correct_wave(v: Any, rows: Any, invalid: Any, fade: Any, intensity: Any, normal: Any) -> None:
    """`correct` and `scale` in one, for a single mode: rows are the wave, counts, and the sums of the misfit."""
    wave = rows[0]
    model = v.mul(v.power(wave), v.fill(intensity, v.width // 2))
    factor, misfit = _correction(v, model, rows[1], invalid, fade)
    rows[0] = v.mul(wave, v.twice(v.mul(factor, v.fill(normal, v.width // 2))))
    rows[2] = v.add(rows[2], misfit)


@_operation("ccccc")
def sum_of_products(v: Any, rows: Any) -> None:
    """Out = p a + q b."""
    p, q = rows[1], rows[3]
    first = v.multiply(v.real(p), v.imag(p), rows[2])
    rows[0] = v.add(first, v.multiply(v.real(q), v.imag(q), rows[4]))


@_operation("rrrrrccc", width=2 * WIDTH)
def add_quartic(v: Any, rows: Any) -> None:
    """Add the coefficients of |A + t B + t^2 C|^2, from t^0 to t^4."""
    a, b, c = rows[5], rows[6], rows[7]
    ab, ac, bc = v.dot(a, b), v.dot(a, c), v.dot(b, c)
    terms = v.power(a), v.add(ab, ab), v.add(v.power(b), v.add(ac, ac)), v.add(bc, bc), v.power(c)
    for k, term in enumerate(terms):
        rows[k] = v.add(rows[k], term)


@_operation("cccd", width=2 * WIDTH)
def add_cross_term(v: Any, rows: Any) -> None:
    """Add Re conj(d) o q to the sums; rows are d, o, q and the sums."""
    o = rows[1]
    rows[3] = v.add(rows[3], v.mul(rows[0], v.multiply(v.real(o), v.imag(o), rows[2])))


@_operation("ccccccccccc" + "ddddddd")
def add_responses(v: Any, rows: Any) -> None:
    """Add the responses of a frame after the first; see `backend.RESPONSES`.

    Rows are the object shifted by -2, -1, 1 and 2 columns, then by as many rows, the object, p, w, and the sums. With
    q = conj(p) w, <d p, w> is <d, q>, and <d p, e p> the sum of |p|^2 Re conj(d) e.
    """
    x, y = (_derivative(v, *(rows[k] for k in range(first, first + 4))) for first in (0, 4))
    o, p = rows[8], rows[9]
    q, power = v.multiply(v.real(p), v.imag(p), rows[10], conjugate=True), v.power_twice(p)
    squares = [v.mul(power, v.mul(a, b)) for a, b in ((y, y), (x, x), (y, x))]
    terms = *squares, v.mul(y, q), v.mul(x, q), v.mul(power, v.mul(o, o)), v.mul(o, q)
    for k, term in enumerate(terms, start=11):
        rows[k] = v.add(rows[k], term)


@_operation("cccdd", width=2 * WIDTH)
def add_power_and_gain(v: Any, rows: Any) -> None:
    """Add |o p|^2 and Re conj(o) conj(p) w, the responses without derivatives; rows are o, p, w and the sums."""
    o, p = rows[0], rows[1]
    q = v.multiply(v.real(p), v.imag(p), rows[2], conjugate=True)
    for k, term in enumerate((v.mul(v.power_twice(p), v.mul(o, o)), v.mul(o, q)), start=3):
        rows[k] = v.add(rows[k], term)


def _derivative(v: Any, far_before: Any, before: Any, after: Any, far_after: Any) -> Any:
    """Return the derivative by central differences of fourth order."""
    near, far = v.sub(after, before), v.sub(far_after, far_before)
    return v.sub(v.mul(near, v.constant(8 / 12, near)), v.mul(far, v.constant(1 / 12, far)))


@_operation("cdcc", scalars=1, width=2 * WIDTH)
def add_opr_sums(v: Any, rows: Any, weight: Any) -> None:
    """Out += weight z and sums += Re conj(u) z: out, sums, u, z."""
    z = rows[3]
    rows[0] = v.add(rows[0], v.mul(v.fill(weight, v.width), z))
    rows[1] = v.add(rows[1], v.mul(rows[2], z))


@_operation("ccc", scalars=1)
def add_weighted(v: Any, rows: Any, weight: Any) -> None:
    """Out = z + weight u, rows are out, z and u; out may be z."""
    rows[0] = v.add(rows[1], v.mul(v.fill(weight, v.width), rows[2]))


@_operation("cc", scalars=2)
def multiply_conjugate_ramps(v: Any, rows: Any, re: Any, im: Any) -> None:
    """Z = conj((re + i im) ramp) z; rows are z and the ramp."""
    ramp = v.multiply(v.fill(re, v.width), v.fill(im, v.width), rows[1])
    rows[0] = v.multiply(v.real(ramp), v.imag(ramp), rows[0], conjugate=True)


@_operation("ccc", scalars=2)
def add_ramped(v: Any, rows: Any, re: Any, im: Any) -> None:
    """Out += (re + i im) ramp z; rows are out, ramp and z."""
    ramp = v.multiply(v.fill(re, v.width), v.fill(im, v.width), rows[1])
    rows[0] = v.add(rows[0], v.multiply(v.real(ramp), v.imag(ramp), rows[2]))


@_operation("rrcc", scalars=3, width=2 * WIDTH)
def add_mixture(v: Any, rows: Any, normal: Any, c: Any, other: Any) -> None:
    """Add |normal w|^2 to the first row, and |c normal w + other p|^2 to the second; rows 3 and 4 are w and p."""
    w = v.mul(rows[2], v.fill(normal, v.width))
    mixed = v.add(v.mul(w, v.fill(c, v.width)), v.mul(rows[3], v.fill(other, v.width)))
    rows[0], rows[1] = v.add(rows[0], v.power(w)), v.add(rows[1], v.power(mixed))


@_operation("ccr", scalars=5)
def advance(v: Any, rows: Any, normal: Any, keep: Any, a: Any, c: Any, other: Any) -> None:
    """P = (keep + other f) p + (a + c f) normal w, then w = (p - normal w) normal; rows are w, p and f."""
    factor, normal = v.twice(rows[2]), v.fill(normal, v.width)
    w = v.mul(rows[0], normal)
    of_stored = v.add(v.fill(keep, v.width), v.mul(factor, v.fill(other, v.width)))
    of_model = v.add(v.fill(a, v.width), v.mul(factor, v.fill(c, v.width)))
    p = v.add(v.mul(of_stored, rows[1]), v.mul(of_model, w))
    rows[1], rows[0] = p, v.mul(v.sub(p, w), normal)


@_operation("cccr", scalars=3)
def step(v: Any, rows: Any, length: Any, share: Any, floor: Any) -> None:
    """Out += length conj(p) w / (share d + floor)."""
    p = rows[1]
    weight = _weight(v, rows[3], length, share, floor)
    rows[0] = v.add(rows[0], v.mul(weight, v.multiply(v.real(p), v.imag(p), rows[2], conjugate=True)))


@_operation("ccr", scalars=3)
def to_step(v: Any, rows: Any, length: Any, share: Any, floor: Any) -> None:
    """W = length conj(o) w / (share d + floor)."""
    o = rows[1]
    weight = _weight(v, rows[2], length, share, floor)
    rows[0] = v.mul(weight, v.multiply(v.real(o), v.imag(o), rows[0], conjugate=True))


@_operation("ccr", scalars=3)
def descend(v: Any, rows: Any, length: Any, share: Any, floor: Any) -> None:
    """Out += length z / (share d + floor)."""
    rows[0] = v.add(rows[0], v.mul(_weight(v, rows[2], length, share, floor), rows[1]))


@_operation("cccr", scalars=3)
def descend_both(v: Any, rows: Any, length: Any, share: Any, floor: Any) -> None:
    """Add length z / (share d + floor) to two rows; rows 3 and 4 are z and d."""
    change = v.mul(_weight(v, rows[3], length, share, floor), rows[2])
    rows[0], rows[1] = v.add(rows[0], change), v.add(rows[1], change)


def _weight(v: Any, denominator: Any, length: Any, share: Any, floor: Any) -> Any:
    """Return length / (share d + floor), for complex numbers."""
    count = v.width // 2
    whole = v.add(v.mul(denominator, v.fill(share, count)), v.fill(floor, count))
    return v.twice(v.div(v.fill(length, count), whole))
