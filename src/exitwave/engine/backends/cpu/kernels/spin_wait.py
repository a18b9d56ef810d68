"""How threads wait for each other without the operating system: they read numbers that another thread writes.

The numbers are a table of the thread pool (`threads`): the number of the current job, its task and arguments, and for
every thread the number of the last job that it has finished. A writer publishes with release order and a reader reads
with acquire order, so that everything that was written before the number is visible with it.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from exitwave.engine.backends.cpu.kernels.compiled import compiled

LINE = 8
"""Numbers in a cache line. Numbers that different threads write are this far apart."""
JOB, TASK, ARGUMENTS, DONE = (LINE * n for n in range(4))
"""Indices in the table: the number of the job, its task, its arguments, and the last finished job of each thread."""
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_I64 = ir.IntType(64)


@intrinsic
def load_acquire(context, address):
    """Return a number that another thread writes."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.intp), code


@intrinsic
def store_release(context, address, number):
    """Write a number that another thread reads, after everything that was written before."""

    def code(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], builder.inttoptr(arguments[0], _I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), code


@intrinsic
def pause(context):
    """Pause for some ten cycles, in which the other thread of the core can run."""

    def code(context, builder, signature, arguments):
        if _X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def call_task(context, function, arguments, number):
    """Call the task at an address with the address of its arguments and the number of the thread."""

    def code(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), code


@compiled
def wait_for(address, wanted, spins):
    """Read a number until it is the wanted one, ``spins`` times at most, and return whether it is."""
    for _ in range(spins):
        if load_acquire(address) == wanted:
            return True
        pause()
    return load_acquire(address) == wanted


@compiled
def publish(table, function, arguments):
    """Publish the next job."""
    store_release(table + 8 * TASK, function)
    store_release(table + 8 * ARGUMENTS, arguments)
    store_release(table + 8 * JOB, load_acquire(table + 8 * JOB) + 1)


@compiled
def call_first_part(function, arguments):
    """Do the part of the first thread of a task."""
    call_task(function, arguments, 0)


@compiled
def serve(table, number, job, spins):
    """Write that thread ``number`` has finished a job, and do the tasks of the next jobs.

    Returns the number of the last published job, and whether it is a Python job that is still to be done; if not, no
    job came within ``spins`` reads.
    """
    store_release(table + 8 * (DONE + LINE * number), job)
    while wait_for(table + 8 * JOB, job + 1, spins):
        job += 1
        if not load_acquire(table + 8 * TASK):
            return job, True
        call_task(load_acquire(table + 8 * TASK), load_acquire(table + 8 * ARGUMENTS), number)
        store_release(table + 8 * (DONE + LINE * number), job)
    return job, False
