"""Threads that run one loop together, each with work space of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .loop import Loop
from .machine import available_cpus

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


def run_on_all_cores(loop: Loop, shared: Sequence[Any], workspace: Callable[[], Any], most_threads: int) -> None:
    """Run a loop on as many threads as there are processors, and at most `most_threads`.

    The loop takes the next piece that no other thread has, until there is none. Its arguments are those that all
    threads share, and then the work space of the thread, which `workspace` returns. The calling thread takes part, and
    does all of the work if the others are late.
    """
    run = loop.prepare(*shared, workspace())  # compiles, before the others start

    def help_out() -> None:
        loop(*shared, workspace())

    helpers: list[Future[None]] = []
    with contextlib.suppress(RuntimeError):  # no more threads: there is a limit, or the interpreter is shutting down
        for _ in range(min(available_cpus(), most_threads) - 1):
            helpers.append(_pool(os.getpid()).submit(help_out))
    run()
    for helper in helpers:
        if not helper.cancel():  # one that has not begun has nothing left to do
            helper.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process: they do not survive a fork."""
    from concurrent.futures import ThreadPoolExecutor  # raises RuntimeError when the interpreter is shutting down

    return ThreadPoolExecutor(max(1, available_cpus() - 1), thread_name_prefix="streamloss-core")
