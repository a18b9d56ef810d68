"""How threads wait for each other without the system: they look at numbers that another one writes (`crew`)."""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from exitwave.engine.backends.cpu.kernels.compiled import compiled

LINE = 8
"""Numbers in a line of the cache: what different threads write is that far apart."""
TURN, TASK, ARGUMENTS, DONE = (LINE * n for n in range(4))
"""Where the board has the number of the turn, what to do in it, and which turn each thread has done."""
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_I64 = ir.IntType(64)


@intrinsic
def look(context, address):
    """Return a number that another thread writes."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.intp), code


@intrinsic
def tell(context, address, number):
    """Write a number that another thread looks at, after all that was written before."""

    def code(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], builder.inttoptr(arguments[0], _I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), code


@intrinsic
def rest(context):
    """Let the core do something else for some ten cycles."""

    def code(context, builder, signature, arguments):
        if _X86:
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def perform(context, function, arguments, number):
    """Call the task at an address."""

    def code(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), code


@compiled
def comes(address, wanted, looks):
    """Say whether the number at an address is the wanted one before so many looks are over."""
    for _ in range(looks):
        if look(address) == wanted:
            return True
        rest()
    return look(address) == wanted


@compiled
def begin(board, function, arguments):
    """Begin a turn."""
    tell(board + 8 * TASK, function)
    tell(board + 8 * ARGUMENTS, arguments)
    tell(board + 8 * TURN, look(board + 8 * TURN) + 1)


@compiled
def take_part(function, arguments):
    """Do the first thread's part of a task."""
    perform(function, arguments, 0)


@compiled
def serve(board, number, turn, looks):
    """Say that a turn is done, and do the tasks of the next ones.

    Returns the last turn that has begun, and whether what is to be done in it is not compiled; else there was none for
    so many looks.
    """
    tell(board + 8 * (DONE + LINE * number), turn)
    while comes(board + 8 * TURN, turn + 1, looks):
        turn += 1
        if not look(board + 8 * TASK):
            return turn, True
        perform(look(board + 8 * TASK), look(board + 8 * ARGUMENTS), number)
        tell(board + 8 * (DONE + LINE * number), turn)
    return turn, False
