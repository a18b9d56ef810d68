"""Arithmetic on vectors of neighbouring numbers, emitted for the compiled loops.

Compilers vectorise loops over complex numbers badly: they separate and merge real and imaginary parts, and do not
vectorise at all if they cannot prove that many arrays do not overlap. So the operations on rows and the Fourier
transforms are written with explicit vectors, which LLVM translates to the instructions of the processor. Complex
numbers have their real and imaginary parts side by side.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

FLOAT, INDEX = ir.FloatType(), ir.IntType(32)
_RELAXED = ("fast",)
WIDTH = 8
"""Floats in a vector: 32 bytes."""
_ESTIMATES = binding.get_host_cpu_features().get("avx", False)
"""Whether the processor has estimates of 1 / x and 1 / sqrt(x) for `WIDTH` floats, of 12 bits.

One Newton step gives 23 bits.
"""
_SMALLEST = 1e-30
"""Keeps the inverse root of 0 finite."""


class Vectors:
    """Emits arithmetic on vectors of ``width`` floats, or ``width / 2`` complex numbers."""

    def __init__(self, builder: Any, width: int) -> None:
        self.builder, self.width = builder, width

    def shuffle(self, first: Any, indices: list[int], second: Any = None) -> Any:
        """Return a vector of the numbers at some indices of the first, or of the first followed by the second."""
        second = ir.Constant(first.type, ir.Undefined) if second is None else second
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(INDEX, len(indices)), indices))

    def add(self, x: Any, y: Any) -> Any:
        """Return x + y."""
        return self.builder.fadd(x, y, _RELAXED)

    def sub(self, x: Any, y: Any) -> Any:
        """Return x - y."""
        return self.builder.fsub(x, y, _RELAXED)

    def mul(self, x: Any, y: Any) -> Any:
        """Return x y, number by number."""
        return self.builder.fmul(x, y, _RELAXED)

    def div(self, x: Any, y: Any) -> Any:
        """Return x / y."""
        return self.builder.fdiv(x, y, _RELAXED)

    def constant(self, value: float, like: Any) -> Any:
        """Return a vector of one value, as long as another."""
        return ir.Constant(like.type, [value] * like.type.count)

    def call(self, name: str, x: Any) -> Any:
        """Return the result of an intrinsic function of LLVM for x."""
        kind = ir.FunctionType(x.type, [x.type])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [x])

    def sqrt(self, x: Any) -> Any:
        """Return the square root, with a Newton step for the inverse root y of x: y (3 - x y^2) / 2."""
        if not (_ESTIMATES and x.type.count == WIDTH):
            return self.call(f"llvm.sqrt.v{x.type.count}f32", x)
        x = self.add(x, self.constant(_SMALLEST, x))
        y = self.call("llvm.x86.avx.rsqrt.ps.256", x)
        root = self.mul(x, y)
        return self.mul(self.mul(root, self.constant(0.5, x)), self.sub(self.constant(3.0, x), self.mul(root, y)))

    def inverse(self, x: Any) -> Any:
        """Return 1 / x, with a Newton step y (2 - x y)."""
        if not (_ESTIMATES and x.type.count == WIDTH):
            return self.div(self.constant(1.0, x), x)
        y = self.call("llvm.x86.avx.rcp.ps.256", x)
        return self.mul(y, self.sub(self.constant(2.0, x), self.mul(x, y)))

    def where(self, condition: Any, x: Any) -> Any:
        """Return x where the condition holds, and 0 elsewhere."""
        return self.builder.select(condition, x, ir.Constant(x.type, [0.0] * x.type.count))

    def fill(self, scalar: Any, count: int) -> Any:
        """Return a vector of ``count`` times the scalar."""
        one = ir.Constant(ir.VectorType(FLOAT, 1), ir.Undefined)
        return self.shuffle(self.builder.insert_element(one, scalar, ir.Constant(INDEX, 0)), [0] * count)

    def swap(self, z: Any) -> Any:
        """Return the numbers with real and imaginary parts exchanged."""
        return self.shuffle(z, [i ^ 1 for i in range(self.width)])

    def times_i(self, z: Any, factor: float) -> Any:
        """Return i z times a real factor."""
        return self.mul(self.swap(z), ir.Constant(z.type, [-factor, factor] * (self.width // 2)))

    def real(self, z: Any) -> Any:
        """Return every real part twice."""
        return self.shuffle(z, [i & ~1 for i in range(self.width)])

    def imag(self, z: Any) -> Any:
        """Return every imaginary part twice."""
        return self.shuffle(z, [i | 1 for i in range(self.width)])

    def multiply(self, re: Any, im: Any, z: Any, conjugate: bool = False) -> Any:
        """Return (re + i im) z, or with ``conjugate`` (re - i im) z; re and im hold every number twice."""
        direct, crossed = self.mul(re, z), self.mul(im, self.swap(z))
        sum_, difference = self.add(direct, crossed), self.sub(direct, crossed)
        even, odd = (sum_, difference) if conjugate else (difference, sum_)
        return self.shuffle(even, [i + (i & 1) * self.width for i in range(self.width)], odd)

    def dot(self, x: Any, y: Any) -> Any:
        """Return Re conj(x) y, half as many floats."""
        products = self.mul(x, y)
        even, odd = (self.shuffle(products, list(range(start, self.width, 2))) for start in (0, 1))
        return self.add(even, odd)

    def power(self, z: Any) -> Any:
        """Return |z|^2, half as many floats."""
        return self.dot(z, z)

    def power_twice(self, z: Any) -> Any:
        """Return |z|^2 of every complex number, repeated for its real and its imaginary part."""
        squares = self.mul(z, z)
        return self.add(squares, self.swap(squares))

    def twice(self, x: Any) -> Any:
        """Repeat every real number, so that a vector of real factors can multiply complex numbers."""
        return self.shuffle(x, [i // 2 for i in range(self.width)])
