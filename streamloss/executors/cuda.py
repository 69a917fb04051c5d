"""One block after the other on a GPU: read on the calling thread, copied, evaluated; its state comes back."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import UsageError
from .base import GPU, Part, Scratch, Task, run_block


class CudaExecutor:
    """Raises MissingExtraError without numba-cuda, and NoGpuError where there is no GPU."""

    name = "cuda"

    def __init__(self) -> None:
        from ..cuda import toolkit

        toolkit.require_gpu()

    def run(self, task: Task, done: Callable[[Part], None]) -> None:
        from ..cuda.block import why_not

        for job in task.plan.jobs:
            if (reason := why_not(job.formula, job.layout.cells is not None)) is not None:
                raise UsageError(
                    f"{job.spec.name}: executor='cuda' cannot evaluate it, because {reason}; expected a loss of rows "
                    "over elements or classes. Use executor='auto', which evaluates it on the CPU."
                )
        scratch = Scratch()
        for block in task.blocks():
            done(Part(block.index, block.index + 1, run_block(task, block, GPU, scratch)))
