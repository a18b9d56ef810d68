"""Threads that wait for each other by looking."""

import gc
import threading
import time

import numpy as np
import pytest

from exitwave.engine.backends.cpu import threads as crews
from exitwave.engine.backends.cpu.kernels.sums import integers
from exitwave.engine.backends.cpu.threads import ThreadPool, task


def mark(address, number):
    """Write the number of the thread where it belongs."""
    integers(address, number + 1)[number] = number + 1


MARK = task(mark)


@pytest.fixture(params=[1, 2, 5])
def pool(request):
    return ThreadPool(request.param)


def test_every_thread_gets_its_arguments_and_answers_in_order(pool):
    for turn in range(50):
        found = pool.run(lambda a, b: (a + b, threading.get_ident()), range(pool.size), [10 * turn] * pool.size)
        assert [total for total, _ in found] == [10 * turn + n for n in range(pool.size)]
        assert len({thread for _, thread in found}) == pool.size


def test_tasks_and_jobs_in_turns_also_after_a_pause(pool):
    for pause in (0.0, 0.0, 0.05, 0.0):
        time.sleep(pause)
        marks = np.zeros(pool.size, np.int64)
        pool.share(MARK, marks)
        assert marks.tolist() == list(range(1, pool.size + 1))
        assert pool.run(abs, range(pool.size)) == list(range(pool.size))


def test_what_a_thread_raises_is_raised_once_all_are_done():
    pool, done = ThreadPool(3), []

    def job(number):
        if number == 1:
            raise ValueError("the second")
        time.sleep(0.02)
        done.append(number)

    with pytest.raises(ValueError, match="the second"):
        pool.run(job, range(3))
    assert sorted(done) == [0, 2]
    assert pool.run(abs, [1, 2, 3]) == [1, 2, 3]


def test_an_interrupt_waits_for_the_others(monkeypatch):
    pool, done, interrupts = ThreadPool(2), [], iter([KeyboardInterrupt])

    def interrupted(seconds):
        for interrupt in interrupts:
            raise interrupt
        time.sleep(seconds)

    monkeypatch.setattr(crews, "time", type("clock", (), {"sleep": staticmethod(interrupted)}))

    def job(number):
        if number == 1:
            time.sleep(0.05)
            done.append(number)

    with pytest.raises(KeyboardInterrupt):
        pool.run(job, range(2))
    assert done == [1]


def test_the_threads_end_with_their_crew():
    before = set(threading.enumerate())
    pool = ThreadPool(4)
    pool.run(abs, range(4))
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    del pool
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
