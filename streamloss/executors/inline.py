"""One block after the other on the calling thread: the reference that other executors are compared with."""

from __future__ import annotations

from collections.abc import Callable

from .base import ALL_CORES, ONE_CORE, Part, Scratch, Task, run_block


class InlineExecutor:
    """``parallel=True`` evaluates each block on all cores, with Numba's threads."""

    name = "inline"

    def __init__(self, parallel: bool = False) -> None:
        self._where = ALL_CORES if parallel else ONE_CORE

    def run(self, task: Task, done: Callable[[Part], None]) -> None:
        scratch = Scratch()
        for block in task.blocks():
            done(Part(block.index, block.index + 1, run_block(task, block, self._where, scratch)))
