"""Threads, each of which reads, decodes and evaluates a block at a time.

Decoding and the kernels release the GIL, so while one worker waits for its chunk another one computes. Blocks
are handed out as workers become free and no further ahead, so that no more blocks are in memory than the
plan has promised.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..types import Block
from .base import States, Task, merge_all, run_block


class ThreadsExecutor:
    name = "threads"

    def run(self, task: Task, done: Callable[[Block], None]) -> States:
        states = task.empty()
        blocks = task.plan.blocks()
        running: dict[Future[States], Block] = {}
        with ThreadPoolExecutor(task.plan.workers, thread_name_prefix="streamloss") as pool:
            try:
                while True:
                    while len(running) < task.plan.workers and (block := next(blocks, None)) is not None:
                        running[pool.submit(run_block, task, block)] = block
                    if not running:
                        return states
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        states = merge_all(states, future.result())
                        done(running.pop(future))
            except BaseException:  # also an interrupt: blocks not yet begun are not begun
                pool.shutdown(wait=True, cancel_futures=True)
                raise
