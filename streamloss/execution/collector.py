"""Results of blocks as they come in: merged, saved to a checkpoint, and reported as progress."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from ..aggregation.block_result import BlockResult, add_counts
from ..aggregation.checkpoint import Checkpoint
from ..aggregation.reductions import reduce_state
from ..aggregation.state import States
from ..aggregation.tables.exact_table import ExactTable
from ..core.blocks import Ranges
from ..core.types import Progress, Reduction
from ..errors import UsageError
from ..storage.sources.base import nbytes
from . import Run


def refuse_many_groups(states: States, most: int) -> None:
    """Raise UsageError for more groups or clusters than are allowed."""
    for state in states:
        for name in ("groups", "clusters", "clusters_by_group"):
            table = state.parts.get(name)
            if isinstance(table, ExactTable) and len(table) > most:
                keys, what = "by" if name == "groups" else "cluster", name.replace("_by_group", " of groups")
                raise UsageError(
                    f"{state.identity.loss}: {len(table):,} {what} so far; expected at most {most:,}. Cut the keys of "
                    f"{keys}= more coarsely (sl.by(..., unit='D') or bins=[...]), or allow more: "
                    f"max_groups={10 * most} (--max-groups), which takes about 600 bytes for each."
                )


class Collector:
    """Adds up the results of a run's blocks. Begins with what a checkpoint holds, if there is one, and saves to it."""

    def __init__(
        self,
        run: Run,
        checkpoint: Checkpoint | None = None,
        progress: Callable[[Progress], None] | None = None,
        begin: float = 0.0,
    ) -> None:
        """`begin` is the time of ``time.perf_counter`` when the evaluation began."""
        saved = None if checkpoint is None else checkpoint.snapshot
        self.run, self._checkpoint, self._progress, self._begin = run, checkpoint, progress, begin
        self._now = BlockResult(Ranges(), run.empty()) if saved is None else saved.result
        self._seconds_before = self._now.seconds
        self._unsaved = Ranges()
        self._rows = run.plan.grid.rows(self._now.covered)
        self._total = self._rows + run.plan.grid.rows(run.numbers)

    @property
    def result(self) -> BlockResult:
        """The result of all blocks up to now, with this process' missing chunks and the evaluation's wall time."""
        here = {source.role: source.filled for source in self.run.plan.sources if source.filled}
        filled = add_counts(self._now.filled, here)
        seconds = self._seconds_before + time.perf_counter() - self._begin
        return dataclasses.replace(self._now, filled=filled, seconds=seconds)

    def add(self, result: BlockResult) -> None:
        """Add the result of more blocks."""
        merged = self._now.merge(result)
        refuse_many_groups(merged.states, self.run.max_groups)
        self._now = merged  # one assignment: a signal may come between any two
        self._unsaved |= result.covered
        if self._checkpoint is not None and self._checkpoint.due:
            self.save()
        if self._progress is not None:
            self._rows += self.run.plan.grid.rows(result.covered)
            self._progress(self._now_as_progress())

    def _now_as_progress(self) -> Progress:
        plan, state = self.run.plan, self._now.states[0]
        reduction = Reduction.MEAN_WITH_SAMPLE_WEIGHT if state.identity.weighted else Reduction.SUM_OVER_BATCH_SIZE
        return Progress(
            self._rows,
            self._total,
            time.perf_counter() - self._begin,
            sum(nbytes(source.shape, source.dtype) for source in plan.sources) * self._rows // max(1, plan.all_rows),
            plan.losses[0].name,
            lambda: reduce_state(state, reduction),
        )

    def confirm(self) -> None:
        """Raise MissingChunkError or SourceError if an array vanished, or was changed, while it was read."""
        for source in self.run.plan.sources:
            source.confirm()

    def save(self) -> None:
        """Save all blocks up to now to the checkpoint; first their losses of rows, which a checkpoint promises."""
        if self._checkpoint is None or not self._unsaved:
            return
        self.confirm()
        begin, unsaved = time.perf_counter(), self._unsaved
        for sink in self.run.sinks.values():
            sink.sync(map(self.run.plan.grid.block, unsaved))
        self._checkpoint.save(self.result, self.run.all_binary)
        self._checkpoint.waits_for(time.perf_counter() - begin)
        self._unsaved -= unsaved
