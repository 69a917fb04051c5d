"""One block after the other on the calling thread: the reference that other executors are compared with."""

from __future__ import annotations

from collections.abc import Callable

from .block import Part, Processor, Task, run_block


class InlineExecutor:
    """``parallel=True`` evaluates each block on all cores, with Numba's threads."""

    name = "inline"

    def __init__(self, parallel: bool = False) -> None:
        self._parallel = parallel

    def run(self, task: Task, done: Callable[[Part], None]) -> None:
        place = Processor(self._parallel)
        for block in task.blocks():
            done(Part(block.index, block.index + 1, run_block(task, block, place)))
