"""Losses of Dask arrays: a graph of one task for each chunk of rows, and a tree that merges their states.

Nothing is computed here. A task receives its chunks, evaluates their losses as every executor does, and leaves the
losses of its rows (NONE) or a state; only states are merged. What all labels decide is a first reduction of the graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from dask.layers import ArrayBlockIdDep

from ...api.loss import Loss
from ...api.request import planned
from ...core.types import Reduction
from ...errors import ShapeError, UsageError
from ...planning.alignment import BROADCAST_AXIS, View
from ...planning.plan import Plan, PlannedLoss
from ...storage.sources.dask import DaskSource, as_lazy, open_lazy
from .. import BlockResult, Run
from ..backends import refuse_what_gpus_cannot
from .executor import compute
from .graph_tasks import LabelsBeside, LossesOf, Merge, OnBlock, RatiosOf, StatesOf, ValueOf, unchanged, views_of

SPLIT = 8
"""States that a task of the tree merges."""
UNLIMITED = 1 << 62  # bytes: how much is in memory at a time is for the chunks, and for Dask, to say


def lazy_call(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
    """``loss(y_true, y_pred, sample_weight)`` as a Dask array: of the losses' shape for NONE, else of one float64."""
    graph = Graph.of({loss.name: loss}, y_true, y_pred, sample_weight, mask)
    job = graph.plan.jobs[0]
    if loss.reduction is not Reduction.NONE:
        return graph.states().map_blocks(
            ValueOf(job, loss.reduction), dtype=np.float64, meta=np.float64(0), token="streamloss"
        )
    if job.alignment.ratio_shape is None:
        return graph.losses()
    ratios = delayed(RatiosOf(job))(graph.states().to_delayed().item())
    return da.from_delayed(ratios, job.alignment.ratio_shape, np.float64)


class Graph:
    """A plan over Dask arrays, and the arrays with chunks that meet."""

    def __init__(self, plan: Plan, arrays: Mapping[str, Any]) -> None:
        self.plan, self._arrays = plan, dict(arrays)
        self._views = views_of(plan)
        known = all(source.known for source in plan.sources if isinstance(source, DaskSource))
        y_pred = self._views["y_pred"].axes
        self._chunks = tuple(self._arrays["y_pred"].chunks[y_pred.index(axis)] for axis in range(len(plan.shape)))
        self._starts = tuple(tuple(itertools.accumulate(sizes, initial=0)) for sizes in self._chunks) if known else None

    @classmethod
    def of(
        cls,
        named: Mapping[str, Loss],
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        mask: Any = None,
        class_weight: Mapping[int, float] | None = None,
        rows: slice | None = None,
        *,
        on_blocks: bool | None = None,
    ) -> Graph:
        """`on_blocks`: whether chunks of rows are to be the plan's blocks, for sinks; None: chunk sizes may be unknown.

        Raises UsageError where chunk sizes would have to be known, with the call that finds them out.
        """
        if getattr(sample_weight, "ndim", None) == 0 and isinstance(sample_weight, da.Array):
            raise UsageError(
                "sample_weight is a Dask array of no axis; expected a number, or an array: weight.compute()."
            )
        given = {"y_true": y_true, "y_pred": y_pred, "sample_weight": sample_weight, "mask": mask}
        try:
            plan = planned(
                named,
                y_true,
                y_pred,
                sample_weight,
                mask,
                class_weight,
                UNLIMITED,
                1,
                rows,
                None,
                opener=open_lazy,
                machine_independent=True,
            )
        except ShapeError:
            _refuse_unknown(given)
            raise
        arrays = {source.role: as_lazy(given[source.role], source.role) for source in plan.sources}
        views = views_of(plan)
        for source in plan.sources:
            assert isinstance(source, DaskSource)
            if not source.known and on_blocks is not None:
                raise UsageError(
                    f"{source.role} has chunks of unknown sizes; expected known ones for evaluate. "
                    f"Call {source.role}.compute_chunk_sizes() first."
                )
        if rows is not None:
            stop = plan.start + plan.shape[0]
            for role, array in arrays.items():
                if 0 in views[role].axes:
                    arrays[role] = array[(slice(None),) * views[role].axes.index(0) + (slice(plan.start, stop),)]
        chunks = _chunks_of_rows(plan, views["y_pred"], arrays["y_pred"], bool(on_blocks))
        return cls(plan, {role: _rechunked(role, arrays[role], views[role], chunks) for role in arrays})

    def losses(self) -> Any:
        """Of rows, of the plan's one loss: a Dask array with the rows' chunks."""
        job = self.plan.jobs[0]
        return self._each(LossesOf, Run(self.plan), job.dtype, None, self._conventions([job]))

    def states(self, task: Run | None = None) -> Any:
        """All rows' states, merged: a Dask array of one object, which is a tuple of states."""
        task = task or Run(self.plan)
        written = [job for job in self.plan.jobs if job.name in task.sinks]
        each = self._each(StatesOf, task, np.dtype(object), 1, self._conventions(written))
        merge = Merge(task)
        meta = np.empty((), object)
        return da.reduction(
            each, unchanged, merge, combine=merge, concatenate=False, dtype=object, split_every=SPLIT, meta=meta
        )

    def _conventions(self, jobs: list[PlannedLoss]) -> list[Any]:
        """What all labels decide about losses that are written, as a lazy boolean; none where nothing is open."""
        if not any(job.spec.both_conventions for job in jobs):
            return []
        return [~self._each(LabelsBeside, Run(self.plan), np.dtype(bool), 1, []).any()]

    def _each(self, run: type[OnBlock], task: Run, dtype: np.dtype[Any], size: int | None, scalars: list[Any]) -> Any:
        """An array whose chunks are what `run` makes of each block: of the block's shape, or `size` along each axis."""
        rows = tuple(range(len(self.plan.shape)))
        others = itertools.count(len(rows))  # axes that blocks have whole
        operands: list[Any] = [ArrayBlockIdDep(self._chunks), rows]
        for role, view in self._views.items():
            # an axis that holds for all rows stands where theirs does
            at = (
                i if axis == BROADCAST_AXIS else axis if axis >= 0 else next(others) for i, axis in enumerate(view.axes)
            )
            operands += [self._arrays[role], tuple(at)]
        for scalar in scalars:
            operands += [scalar, ()]
        return da.blockwise(
            run(task, tuple(self._views), self._starts),
            rows,
            *operands,
            dtype=dtype,
            concatenate=True,
            token="streamloss",
            align_arrays=False,
            adjust_chunks=None if size is None else dict.fromkeys(rows, size),
            meta=np.empty((0,) * len(rows), dtype),
        )


class GraphExecutor:
    """Evaluates a graph on a scheduler of Dask's, as one part."""

    name = "dask"

    def __init__(self, graph: Graph, scheduler: Any, scheduler_file: str | None, gpu: bool = False) -> None:
        """`gpu`: workers evaluate on their GPUs also what was computed in the host's memory."""
        self._graph, self._scheduler, self._file, self._gpu = graph, scheduler, scheduler_file, gpu

    def run(self, task: Run, done: Callable[[BlockResult], None]) -> None:
        if self._gpu:
            refuse_what_gpus_cannot(task.plan)
            task = replace(task, on_gpu=True)
        states = compute(self._graph.states(task), self._scheduler, self._file)
        done(BlockResult(0, task.plan.num_blocks, states[()]))


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raises UsageError for arrays whose axes do not meet, where chunk sizes that are not known may be why."""
    for role, array in given.items():
        if isinstance(array, da.Array) and any(map(math.isnan, array.shape)):
            others = ", ".join(f"{r} {a.numblocks}" for r, a in given.items() if isinstance(a, da.Array))
            raise UsageError(
                f"{role} has chunks of unknown sizes, which do not meet the others' (numbers of chunks: {others}); "
                f"expected as many, or known ones. Call {role}.compute_chunk_sizes()."
            )


def _chunks_of_rows(plan: Plan, view: View, y_pred: Any, on_blocks: bool) -> tuple[tuple[float, ...], ...]:
    """For each axis of the losses: as `y_pred` has them, or the plan's blocks."""
    if on_blocks:
        return da.core.normalize_chunks(plan.block_shape, plan.shape)
    return tuple(y_pred.chunks[view.axes.index(axis)] for axis in range(len(plan.shape)))


def _rechunked(role: str, array: Any, view: View, chunks: tuple[tuple[float, ...], ...]) -> Any:
    """Rows as `chunks` say, everything else whole."""
    wanted = {}
    for i, axis in enumerate(view.axes):
        have, want = array.chunks[i], chunks[axis] if axis >= 0 else (array.shape[i],)
        if have == want:
            continue
        unknown = any(map(math.isnan, (*have, *want)))
        if unknown and (axis < 0 or len(have) != len(want)):
            raise UsageError(
                f"{role} has {len(have)} chunks along axis {i}, of sizes that are not known; expected "
                f"{len(want)}, as y_pred has rows. Call compute_chunk_sizes() on the arrays, or rechunk them alike."
            )
        if not unknown:
            wanted[i] = want
    return array.rechunk(wanted) if wanted else array
