"""Batches of blocks, each a task of a cluster: about a second of work, so that scheduling is nothing beside it."""

from __future__ import annotations

from ...core.blocks import Ranges
from ...planning.plan import Plan
from ...storage.sources.base import nbytes

SECONDS = 1.0
"""The work of a task. A scheduler takes about a millisecond for each, so a million chunks of 10 ms are 10,000 tasks."""
TASKS_PER_SECOND = 200
"""The rate that a scheduler, and the client that merges, keep up with; clusters of more threads get longer tasks."""
_BLOCK_SECONDS, _BYTES_PER_SECOND = 2e-3, 500e6  # of a block, before one was measured
_BALANCE = 4  # batches that each thread is to have left, so that all end at about the same time ...
_LEAST = 0.1  # ... but no smaller ones than this share


def projected_seconds(plan: Plan) -> float:
    """Return the projected seconds of a block, for a plan of which nothing was measured."""
    block = plan.grid.block(0)
    view = plan.losses[0].alignment.y_pred
    read = nbytes(view.selected_shape(block.shape), plan.y_pred.dtype)
    return _BLOCK_SECONDS + len(plan.losses) * read / _BYTES_PER_SECOND


class Batches:
    """Cuts the blocks that are to be evaluated into batches, each by what was learned from the ones before."""

    def __init__(self, todo: Ranges, seconds_per_block: float) -> None:
        self._pieces = list(reversed(todo.pieces))
        self._left = len(todo)
        self._seconds = seconds_per_block
        self._learned = False

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def take(self, threads: int) -> tuple[int, int]:
        """Return the next batch: its first block, and one past its last. `threads` are those of the cluster."""
        wanted = max(SECONDS, threads / TASKS_PER_SECOND) / self._seconds
        fair = max(self._left / (_BALANCE * max(1, threads)), wanted * _LEAST if self._learned else 1)
        size = max(1, int(min(wanted, fair)))
        first, stop = self._pieces.pop()
        end = min(stop, first + size)
        if end < stop:
            self._pieces.append((end, stop))
        self._left -= end - first
        return first, end

    def learn(self, blocks: int, seconds: float) -> None:
        """Learn from a batch of so many blocks, which took so many seconds without compiling."""
        self._learned = True
        self._seconds += 0.3 * (max(1e-6, seconds / blocks) - self._seconds)
