"""Threads, each of which reads, decodes and evaluates a block at a time.

Decoding and the kernels release the GIL, so while one worker waits for its chunk another one computes. Blocks
are handed out as workers become free and no further ahead, so that no more blocks are in memory than the
plan has promised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..aggregation.block_result import BlockResult
from ..aggregation.state import States
from ..core.blocks import Block
from .backends import Backend, CpuBackend
from .block import Run, run_block


class ThreadsExecutor:
    """Evaluates as many blocks at a time as the plan has workers."""

    name = "threads"
    workers_used: int | None = None

    def new_backend(self, run: Run) -> Backend:
        """Return the backend of one thread."""
        return CpuBackend()

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        blocks, own = run.blocks(), threading.local()

        def evaluate(block: Block) -> States:
            own.backend = getattr(own, "backend", None) or self.new_backend(run)
            return run_block(run, block, own.backend)

        running: dict[Future[States], Block] = {}
        with ThreadPoolExecutor(run.plan.workers, thread_name_prefix="streamloss") as pool:
            try:
                while True:
                    while len(running) < run.plan.workers and (block := next(blocks, None)) is not None:
                        running[pool.submit(evaluate, block)] = block
                    if not running:
                        return
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        index = running.pop(future).index
                        done(BlockResult.of_range(index, index + 1, future.result()))
            except BaseException:  # also an interrupt: blocks not yet begun are not begun
                pool.shutdown(wait=True, cancel_futures=True)
                raise
