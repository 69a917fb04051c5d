"""Parts of an evaluation as they come in: merged, saved, and told of."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..aggregation.checkpoint import Checkpoint
from ..aggregation.snapshot import Snapshot
from ..aggregation.state import merge_all
from ..core.blocks import Ranges
from ..core.types import Progress
from . import BlockResult, Run


class Collector:
    """Begins with what a checkpoint holds, if there is one, and saves to it."""

    def __init__(
        self,
        run: Run,
        evaluation: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        progress: Callable[[Progress], None] | None = None,
        begin: float = 0.0,
    ) -> None:
        found = None if checkpoint is None else checkpoint.partial
        self.run, self._checkpoint, self._progress, self._begin = run, checkpoint, progress, begin
        self._now = Snapshot(evaluation or {}, Ranges(), run.empty(), run.all_binary) if found is None else found
        self._before = self._now
        self._unsaved = Ranges()
        self._rows = run.plan.grid.rows(self._now.covered)
        self._total = self._rows + run.plan.grid.rows(run.numbers)

    @property
    def partial(self) -> Snapshot:
        """Everything up to now."""
        filled = dict(self._now.filled)
        for source in self.run.plan.sources:
            if count := source.filled:
                filled[source.role] = filled.get(source.role, 0) + count
        seconds = self._before.seconds + time.perf_counter() - self._begin
        return dataclasses.replace(self._now, filled=filled, seconds=seconds)

    def add(self, part: BlockResult) -> None:
        states = merge_all(self._now.states, part.states)
        filled = {
            role: self._now.filled.get(role, 0) + part.filled.get(role, 0)
            for role in {**self._now.filled, **part.filled}
        }
        covered = self._now.covered.add(part.first, part.stop)
        # in one assignment: a signal may come between any two
        self._now = dataclasses.replace(self._now, states=states, covered=covered, filled=filled)
        self._unsaved = self._unsaved.add(part.first, part.stop)
        if self._checkpoint is not None and self._checkpoint.due:
            self.save()
        if self._progress is not None:
            self._rows += self.run.plan.grid.rows(Ranges(((part.first, part.stop),)))
            self._progress(Progress(self._rows, self._total, time.perf_counter() - self._begin))

    def save(self) -> None:
        """What there is, to the checkpoint; losses of rows first, so that what it says is there is."""
        if self._checkpoint is None or not self._unsaved:
            return
        begin, unsaved = time.perf_counter(), self._unsaved
        for sink in self.run.sinks.values():
            sink.sync(map(self.run.plan.grid.block, unsaved))
        self._checkpoint.save(self.partial)
        self._checkpoint.waits_for(time.perf_counter() - begin)
        self._unsaved -= unsaved
