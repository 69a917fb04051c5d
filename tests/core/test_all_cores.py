"""Loops on all cores, and threads and forks that come at once."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from streamloss.core import all_cores, kernel_cache, loop
from streamloss.core.primitives import take_next


@loop.loop
def mark_pieces(next_piece, pieces, workspace):
    piece = take_next(next_piece)
    while piece < pieces.size:
        pieces[piece] += 1
        workspace[0] += 1
        piece = take_next(next_piece)
    return 0


def new_workspace(made):
    made.append(np.zeros(1, np.int64))
    return made[-1]


@pytest.mark.parametrize("processors", [1, 2, 7])
def test_each_piece_is_taken_once(processors, monkeypatch):
    monkeypatch.setattr(all_cores, "available_cpus", lambda: processors)
    all_cores._pool.cache_clear()
    for count in (1, 2, 1000):
        pieces, used = np.zeros(count, np.int64), []
        all_cores.run_on_all_cores(mark_pieces, [np.zeros(1, np.int64), pieces], partial(new_workspace, used), count)
        assert (pieces == 1).all()
        assert sum(int(workspace[0]) for workspace in used) == count
        assert len(used) <= min(processors, count)
    all_cores._pool.cache_clear()


def test_many_callers_at_once_share_the_threads():
    def run(_):
        pieces = np.zeros(500, np.int64)
        shared = [np.zeros(1, np.int64), pieces]
        all_cores.run_on_all_cores(mark_pieces, shared, lambda: np.zeros(1, np.int64), pieces.size)
        return bool((pieces == 1).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(200)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore")  # Python, and JAX if another test has loaded it, warn of threads at a fork
def test_a_child_has_threads_of_its_own():
    def run():
        pieces = np.zeros(64, np.int64)
        shared = [np.zeros(1, np.int64), pieces]
        all_cores.run_on_all_cores(mark_pieces, shared, lambda: np.zeros(1, np.int64), pieces.size)
        return bool((pieces == 1).all())

    assert run()
    with mark_pieces._loading:  # as if another thread were compiling
        child = os.fork()
        if child == 0:
            os._exit(0 if run() and mark_pieces._loading.acquire(timeout=5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore")  # Python, and JAX if another test has loaded it, warn of threads at a fork
def test_a_fork_waits_for_the_compiler():
    """Else the child has Numba's lock, and nobody who could free it."""
    inside, done = threading.Event(), []

    def compile_for_long():
        with loop._compiling:
            inside.set()
            time.sleep(0.2)
            done.append(True)

    compiler = threading.Thread(target=compile_for_long)
    compiler.start()
    assert inside.wait(60)
    child = os.fork()
    if child == 0:
        free = loop._compiling.acquire(blocking=False)
        os._exit(0 if done and free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    compiler.join(60)
    assert loop._compiling.acquire(timeout=60)
    loop._compiling.release()


def test_where_no_thread_can_be_started_the_caller_does_all_of_the_work(monkeypatch):
    def no_thread(process):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(all_cores, "available_cpus", lambda: 4)
    monkeypatch.setattr(all_cores, "_pool", no_thread)
    pieces = np.zeros(100, np.int64)
    shared = [np.zeros(1, np.int64), pieces]
    all_cores.run_on_all_cores(mark_pieces, shared, lambda: np.zeros(1, np.int64), pieces.size)
    assert (pieces == 1).all()


def test_a_thread_that_outlives_the_main_thread_goes_on():
    """The interpreter refuses new threads then, also to those of its threads that it waits for."""
    code = """
import threading
import numpy as np
from streamloss.core import all_cores
from streamloss.core.loop import loop
from streamloss.core.primitives import take_next

@loop
def mark(next_piece, pieces, workspace):
    piece = take_next(next_piece)
    while piece < pieces.size:
        pieces[piece] += 1
        piece = take_next(next_piece)
    return 0

def work():
    threading.main_thread().join()
    pieces = np.zeros(9, np.int64)
    all_cores.run_on_all_cores(mark, [np.zeros(1, np.int64), pieces], lambda: np.zeros(1), 9)
    print(pieces.tolist())

mark(np.zeros(1, np.int64), np.zeros(9, np.int64), np.zeros(1))
all_cores.available_cpus = lambda: 4
threading.Thread(target=work).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([1] * 9), done.stderr


def test_an_error_of_a_helper_is_not_lost(monkeypatch):
    monkeypatch.setattr(all_cores, "available_cpus", lambda: 2)
    all_cores._pool.cache_clear()
    caller = threading.get_ident()
    started = threading.Event()

    def workspace():
        if threading.get_ident() == caller:
            return np.zeros(1, np.int64)
        started.set()
        raise MemoryError("no work space")

    def prepare(*arguments):
        def run():
            assert started.wait(60)

        return run

    monkeypatch.setattr(mark_pieces, "prepare", prepare)
    with pytest.raises(MemoryError, match="no work space"):
        all_cores.run_on_all_cores(mark_pieces, [], workspace, 2)
    all_cores._pool.cache_clear()


def test_threads_that_come_at_once_compile_once():
    @loop.loop
    def total(values):
        found = np.int64(0)
        for i in range(values.size):
            found += values[i]
        return found

    before = kernel_cache.counts.compiled + kernel_cache.counts.found
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: total(np.arange(10)), range(32))) == {45}
    assert kernel_cache.counts.compiled + kernel_cache.counts.found == before + 1
