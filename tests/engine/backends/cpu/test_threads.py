"""The thread pool of the CPU backend."""

import gc
import threading

import numpy as np
import pytest

from exitwave.engine.backends.cpu import threads as pools
from exitwave.engine.backends.cpu.kernels.sums import integers_at
from exitwave.engine.backends.cpu.threads import ThreadPool, task

LIMIT = 60
"""Seconds after which a test fails instead of waiting."""


def mark(address, number):
    """Write the number of the thread, plus 1, to its entry."""
    integers_at(address, number + 1)[number] = number + 1


MARK = task(mark)


@pytest.fixture(params=[1, 2, 5])
def pool(request):
    return ThreadPool(request.param)


def check_task_and_job(pool):
    marks = np.zeros(pool.size, np.int64)
    pool.share(MARK, marks)
    assert marks.tolist() == list(range(1, pool.size + 1))
    assert pool.run(abs, range(pool.size)) == list(range(pool.size))


def test_every_thread_gets_its_arguments_and_results_are_in_order(pool):
    for job in range(50):
        found = pool.run(lambda a, b: (a + b, threading.get_ident()), range(pool.size), [10 * job] * pool.size)
        assert [total for total, _ in found] == [10 * job + n for n in range(pool.size)]
        assert len({thread for _, thread in found}) == pool.size


def test_tasks_and_python_jobs_alternate(pool):
    for _ in range(4):
        check_task_and_job(pool)


def test_a_pool_works_on_after_its_threads_went_to_sleep(monkeypatch):
    """Without reads before they sleep, all threads wait for the condition between jobs."""
    asleep, wait_for = threading.Semaphore(0), threading.Condition.wait_for

    def record(self, predicate, timeout=None):
        asleep.release()
        return wait_for(self, predicate, timeout)

    monkeypatch.setattr(pools, "SPINS", 0)
    monkeypatch.setattr(threading.Condition, "wait_for", record)
    pool = ThreadPool(2)
    for _ in range(3):
        assert asleep.acquire(timeout=LIMIT)
        pool.run(abs, range(2))
    assert asleep.acquire(timeout=LIMIT)
    check_task_and_job(pool)


def test_an_exception_of_a_thread_is_raised_after_all_have_finished():
    pool, done, raised = ThreadPool(3), [], threading.Event()

    def job(number):
        if number == 1:
            raised.set()
            raise ValueError("the second")
        assert raised.wait(LIMIT)
        done.append(number)

    with pytest.raises(ValueError, match="the second"):
        pool.run(job, range(3))
    assert sorted(done) == [0, 2]
    assert pool.run(abs, [1, 2, 3]) == [1, 2, 3]


def test_an_interrupt_waits_for_the_other_threads(monkeypatch):
    pool, done, interrupted = ThreadPool(2), [], threading.Event()

    def interrupt_once(seconds):
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(pools, "time", type("clock", (), {"sleep": staticmethod(interrupt_once)}))

    def job(number):
        if number == 1:
            assert interrupted.wait(LIMIT)
            done.append(number)

    with pytest.raises(KeyboardInterrupt):
        pool.run(job, range(2))
    assert done == [1]


def test_the_threads_end_with_their_pool():
    before = set(threading.enumerate())
    pool = ThreadPool(4)
    pool.run(abs, range(4))
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    del pool
    gc.collect()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
