"""The Fourier transforms of the compiled loops, in single precision, in their own buffers.

They are those of `butterflies` for the lengths that it covers, and FFTW's for all others. Plans are made once for each
shape, and compiled code runs them through `execute`. Both directions are unnormalised.

A transform in two dimensions has two steps, some rows and some columns at a time, so that the loops can process rows in
real space and columns at the detector while these are in the first cache.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from exitwave.engine.backends.cpu.fft import butterflies, fftw

FORWARD, BACKWARD = -1, 1
ALIGNMENT = 64
"""Bytes: every buffer given to `execute` starts at a multiple of this."""
ROWS, COLUMNS = 64, 128
"""The most rows and columns that FFTW transforms at a time: with fewer, a transform takes longer."""
FEW_ROWS, FEW_COLUMNS = 16, 64
"""The same for `butterflies`, whose transforms are as fast with fewer."""
LINE = 8
"""Complex numbers in a cache line."""


Plan = tuple[int, int]
"""The address of a function and that of its first argument."""
NONE: Plan = (0, 0)
"""Replaces a plan that does not exist for a length."""


def _call(count: int) -> tuple[Any, Any]:
    """Return the type and the code of a call of a plan's function with ``count`` addresses after the plan."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        plan, *addresses = arguments
        kind = ir.FunctionType(ir.VoidType(), [each.type for each in (addresses[0], *addresses)])
        function = builder.inttoptr(builder.extract_value(plan, 0), kind.as_pointer())
        builder.call(function, [builder.extract_value(plan, 1), *addresses])
        return context.get_dummy_value()

    return types.void(types.UniTuple(types.intp, 2), *[types.intp] * count), code


@intrinsic
def execute(context: Any, plan: Any, source: Any, target: Any) -> Any:
    """Run a plan from compiled code: ``execute(plan, address_in, address_out)``."""
    return _call(2)


@intrinsic
def execute_ramped(context: Any, plan: Any, source: Any, target: Any, rows: Any, columns: Any) -> Any:
    """Run a plan with ramps, ``execute_ramped(plan, address_in, address_out, address_rows, address_columns)``."""
    return _call(4)


class Plans(NamedTuple):
    """The transforms of one shape (ny, nx), and the layout (modes, `height`, `stride`) of their arrays."""

    rows_forward: Plan
    """Transforms ``rows`` rows in place, given the address of the first."""
    rows_backward: Plan
    columns_forward: Plan
    """The same for ``columns`` columns of ny numbers."""
    columns_backward: Plan
    ramped_backward: Plan
    """`columns_backward` of the input multiplied by two ramps; `NONE`: not for this length."""
    ramped_forward: Plan
    """`columns_forward` with the output multiplied by the conjugate of two ramps; or `NONE`."""
    added_forward: Plan
    """The same, added to the numbers at the output; or `NONE`."""
    rows: int
    columns: int
    height: int
    """ny, rounded up to a multiple of ``rows``."""
    stride: int
    """Complex numbers from one row to the next: at least nx, rounded up to a multiple of ``columns``."""


def zeros(*shape: int) -> NDArray[np.float32]:
    """Return an aligned float32 array of zeros; a complex number is two floats."""
    size, margin = math.prod(shape), ALIGNMENT // 4
    array = np.zeros(size + margin, np.float32)
    first = -array.ctypes.data % ALIGNMENT // 4
    return array[first : first + size].reshape(shape)


@functools.cache
def plans(shape: tuple[int, int]) -> Plans:
    """Return the plans for a shape.

    If FFTW is needed, it measures for some seconds, once for each shape on a machine; its wisdom is stored on disk.
    """
    ny, nx = shape
    rows = FEW_ROWS if butterflies.factors(nx) else ROWS
    columns = FEW_COLUMNS if butterflies.factors(ny) else COLUMNS
    rows, columns = _part(ny, rows), _up(_part(nx, columns), LINE)
    height, width = _up(ny, rows), _up(nx, columns)
    # an odd number of cache lines, so that a column uses all sets of the cache
    stride = width + LINE * (width // LINE % 2 == 0)
    along = _pair(nx, rows, stride, height, across=False)
    across = _pair(ny, columns, stride, height, across=True)
    ramped = back = added = NONE
    if butterflies.factors(ny):
        (_, forward), (_, backward) = across
        ramped = butterflies.ramped(ny, columns, stride, BACKWARD).address, backward
        back, added = (
            (butterflies.ramped_back(ny, columns, stride, FORWARD, adds).address, forward) for adds in (False, True)
        )
    return Plans(*along, *across, ramped, back, added, rows, columns, height, stride)


def _pair(n: int, count: int, stride: int, height: int, across: bool) -> tuple[Plan, Plan]:
    """Return the plans, forward and backward, of rows or of columns (``across``) of length n."""
    signs = (FORWARD, BACKWARD)
    if butterflies.factors(n):
        codes = [butterflies.transform(n, count, stride, sign, across) for sign in signs]
        tables = [_twiddles(n, sign, across) for sign in signs]
        first, second = ((code.address, table.ctypes.data) for code, table in zip(codes, tables, strict=True))
        return first, second
    buffer, steps = zeros(height, 2 * stride), (stride, 1) if across else (1, stride)
    first, second = (fftw.plan(n, count, steps, buffer, sign) for sign in signs)
    return first, second


@functools.cache
def _twiddles(n: int, sign: int, across: bool) -> NDArray[np.float32]:
    """Return the factors of a transform, in an array that exists as long as the program."""
    table = butterflies.twiddles(n, sign, across)
    out = zeros(2 * table.size)
    out.view(np.complex64)[:] = table.ravel()
    return out


def _part(n: int, most: int) -> int:
    """Return the size of a part when n is divided into the fewest equal parts of at most ``most``."""
    return -(-n // -(-n // most))


def _up(n: int, unit: int) -> int:
    """Return n rounded up to a multiple of the unit."""
    return -(-n // unit) * unit
