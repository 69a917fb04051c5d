"""One block after the other on the calling thread: the reference that other executors are compared with."""

from __future__ import annotations

from collections.abc import Callable

from ..aggregation.block_result import BlockResult
from .backends import CpuBackend
from .block import Run, run_block


class InlineExecutor:
    """Evaluates the blocks in their order; with ``parallel=True`` each on all cores."""

    name = "inline"
    workers_used: int | None = None

    def __init__(self, parallel: bool = False) -> None:
        self._parallel = parallel

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        backend = CpuBackend(self._parallel)
        for block in run.blocks():
            done(BlockResult.of_range(block.index, block.index + 1, run_block(run, block, backend)))
