"""One block after the other on the calling thread: the reference that other executors are compared with."""

from __future__ import annotations

from collections.abc import Callable

from ..types import Block
from .base import States, Task, merge_all, run_block


class InlineExecutor:
    """``parallel=True`` evaluates each block on all cores, with Numba's threads."""

    name = "inline"

    def __init__(self, parallel: bool = False) -> None:
        self._parallel = parallel

    def run(self, task: Task, done: Callable[[Block], None]) -> States:
        states = task.empty()
        for block in task.plan.blocks():
            states = merge_all(states, run_block(task, block, self._parallel))
            done(block)
        return states
