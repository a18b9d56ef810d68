"""The Fourier transforms that compiled loops do in their own buffers, in single precision.

Those of `butterflies` where they have the length, else FFTW's. Plans are made once for a shape; compiled code runs them
through `execute`. Both directions are unnormalised.

A transform in two dimensions is done in two steps, some rows and some columns at a time, so that the loops can work on
rows in real space and on columns at the detector while these are in the first cache.
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
"""The most rows, and columns, that FFTW transforms at a time: fewer take longer."""
FEW_ROWS, FEW_COLUMNS = 16, 64
"""The same for `butterflies`, which do fewer as fast."""
LINE = 8
"""Complex numbers in a line of the cache."""


Plan = tuple[int, int]
"""The address of a function, and that of its first argument."""
NONE: Plan = (0, 0)


def _call(count: int) -> tuple[Any, Any]:
    """Return the type and the code of a call of a plan's function, of so many addresses after the plan."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        plan, *addresses = arguments
        kind = ir.FunctionType(ir.VoidType(), [each.type for each in (addresses[0], *addresses)])
        function = builder.inttoptr(builder.extract_value(plan, 0), kind.as_pointer())
        builder.call(function, [builder.extract_value(plan, 1), *addresses])
        return context.get_dummy_value()

    return types.void(types.UniTuple(types.intp, 2), *[types.intp] * count), code


@intrinsic
def execute(context: Any, plan: Any, source: Any, target: Any) -> Any:
    """``execute(plan, address_in, address_out)``, for compiled code."""
    return _call(2)


@intrinsic
def execute_turned(context: Any, plan: Any, source: Any, target: Any, rows: Any, columns: Any) -> Any:
    """``execute_turned(plan, address_in, address_out, address_of_row_ramp, address_of_column_ramp)``."""
    return _call(4)


class Plans(NamedTuple):
    """The transforms of one shape (ny, nx), and the layout of the arrays (modes, `height`, `stride`) that they take."""

    rows_forward: Plan
    """Transforms ``rows`` rows in place, given the address of the first."""
    rows_backward: Plan
    columns_forward: Plan
    """The same for ``columns`` columns of ny numbers."""
    columns_backward: Plan
    turned_backward: Plan
    """`columns_backward` of what is multiplied by two ramps as it is read; `NONE`: there is none of this length."""
    turned_forward: Plan
    """`columns_forward`, and what is written is multiplied by the conjugate of two ramps; or `NONE`."""
    added_forward: Plan
    """The same, added to what is there; or `NONE`."""
    rows: int
    columns: int
    height: int
    """ny, rounded up to a multiple of ``rows``."""
    stride: int
    """Complex numbers from one row to the next: at least nx, rounded up to a multiple of ``columns``."""


def zeros(*shape: int) -> NDArray[np.float32]:
    """Return an aligned float32 array of zeros; complex numbers take two places each."""
    size, room = math.prod(shape), ALIGNMENT // 4
    array = np.zeros(size + room, np.float32)
    first = -array.ctypes.data % ALIGNMENT // 4
    return array[first : first + size].reshape(shape)


@functools.cache
def plans(shape: tuple[int, int]) -> Plans:
    """Return the plans for a shape.

    FFTW measures for some seconds, once for a shape on a machine; the outcome is kept on disk.
    """
    ny, nx = shape
    rows = FEW_ROWS if butterflies.factors(nx) else ROWS
    columns = FEW_COLUMNS if butterflies.factors(ny) else COLUMNS
    rows, columns = _share(ny, rows), _up(_share(nx, columns), LINE)
    height, width = _up(ny, rows), _up(nx, columns)
    stride = width + LINE * (width // LINE % 2 == 0)  # an odd number of lines: a column does not fall on one place
    along = _pair(nx, rows, stride, height, across=False)
    across = _pair(ny, columns, stride, height, across=True)
    turned = back = added = NONE
    if butterflies.factors(ny):
        (_, forward), (_, backward) = across
        turned = butterflies.turned(ny, columns, stride, BACKWARD).address, backward
        back, added = (
            (butterflies.turned_back(ny, columns, stride, FORWARD, adds).address, forward) for adds in (False, True)
        )
    return Plans(*along, *across, turned, back, added, rows, columns, height, stride)


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
    """Return the factors of a transform, at an address that stays."""
    table = butterflies.twiddles(n, sign, across)
    out = zeros(2 * table.size)
    out.view(np.complex64)[:] = table.ravel()
    return out


def _share(n: int, most: int) -> int:
    """Return the size of the fewest equal shares of n that have at most so many."""
    return -(-n // -(-n // most))


def _up(n: int, unit: int) -> int:
    """Return n rounded up to a multiple."""
    return -(-n // unit) * unit
