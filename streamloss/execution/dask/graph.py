"""Losses of Dask arrays: a graph of one task for each chunk of rows, and a tree that merges their states.

Nothing is computed here. A task receives its chunks, evaluates their losses as every executor does, and returns the
losses of its rows (NONE) or a state; only states are merged. Whether all labels are 0 or 1, where a loss depends on it,
is a first reduction of the graph.
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

from ...aggregation.block_result import BlockResult
from ...core.types import Reduction
from ...errors import UnknownNameError, UsageError
from ...planning.alignment import BROADCAST_AXIS, View
from ...planning.gpu import refuse_what_gpus_cannot
from ...planning.plan import Plan, PlannedLoss
from ...storage.sources.base import Source
from ...storage.sources.dask import DaskSource
from .. import EXECUTORS, Run, is_of_dask
from .executor import compute
from .graph_tasks import (
    AsDeclared,
    LabelsBeside,
    LossesOf,
    Merge,
    OnBlock,
    RatiosOf,
    StatesOf,
    ValueOf,
    unchanged,
    views_of,
)

SPLIT = 8
"""The number of states that a task of the tree merges."""


class Graph:
    """The evaluation of a plan over Dask arrays as a graph of Dask's."""

    def __init__(self, plan: Plan, arrays: Mapping[str, Any], *, on_blocks: bool = False) -> None:
        """`arrays` are Dask arrays by role. `on_blocks` says whether chunks of rows are to be the plan's blocks, as
        sinks need them.

        Raises UsageError where chunks cannot be made to meet.
        """
        self.plan = plan
        self._views = views_of(plan)
        checked = {source.role: _as_declared(source, arrays[source.role]) for source in plan.sources}
        selected = {source.role: _evaluated_rows(plan, source, checked[source.role]) for source in plan.sources}
        self._chunks = _chunks_of_rows(plan, self._views["y_pred"], selected["y_pred"], on_blocks)
        meeting = {role: _rechunked(role, selected[role], view, self._chunks) for role, view in self._views.items()}
        # the tasks check what they receive, which need not be checked twice where it is an array's own chunk
        self._arrays = {role: arrays[role] if array is checked[role] else array for role, array in meeting.items()}
        known = all(source.known for source in plan.sources if isinstance(source, DaskSource))
        self._starts = tuple(tuple(itertools.accumulate(sizes, initial=0)) for sizes in self._chunks) if known else None

    def value(self, reduction: Reduction) -> Any:
        """Return the plan's one loss as a Dask array: of the losses' shape for NONE, else of one float64."""
        (loss,) = self.plan.losses
        if reduction is not Reduction.NONE:
            return self.states().map_blocks(
                ValueOf(loss, reduction), dtype=np.float64, meta=np.float64(0), token="streamloss"
            )
        if loss.alignment.ratio_shape is None:
            return self.losses()
        ratios = delayed(RatiosOf(loss))(self.states().to_delayed().item())
        return da.from_delayed(ratios, loss.alignment.ratio_shape, np.float64)

    def losses(self) -> Any:
        """Return the losses of rows of the plan's one loss: a Dask array with the rows' chunks."""
        (loss,) = self.plan.losses
        return self._each(LossesOf, Run(self.plan), loss.dtype, None, self._conventions(Run(self.plan), [loss]))

    def states(self, run: Run | None = None) -> Any:
        """Return all rows' states, merged: a Dask array of one object, which is a tuple of states."""
        run = run or Run(self.plan)
        written = [loss for loss in self.plan.losses if loss.name in run.sinks]
        each = self._each(StatesOf, run, np.dtype(object), 1, self._conventions(run, written))
        merge = Merge(run)
        meta = np.empty((), object)
        return da.reduction(
            each, unchanged, merge, combine=merge, concatenate=False, dtype=object, split_every=SPLIT, meta=meta
        )

    def _conventions(self, run: Run, losses: list[PlannedLoss]) -> list[Any]:
        """Return whether all labels that count are 0 or 1, as a lazy boolean; nothing where no loss depends on it."""
        if not any(loss.spec.both_conventions for loss in losses):
            return []
        return [~self._each(LabelsBeside, Run(self.plan, nan_policy=run.nan_policy), np.dtype(bool), 1, []).any()]

    def _each(self, kind: type[OnBlock], run: Run, dtype: np.dtype[Any], size: int | None, scalars: list[Any]) -> Any:
        """Return an array whose chunks are what `kind` makes of each block: of the block's shape, or `size` along each
        axis. `scalars` follow the chunks as arguments.
        """
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
            kind(run, tuple(self._views), self._starts),
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
    """Evaluates all blocks as one graph on a scheduler of Dask's."""

    name = "dask"
    workers_used: int | None = None

    def __init__(self, graph: Graph, scheduler: Any, scheduler_file: str | None, gpu: bool = False) -> None:
        """`gpu` says whether workers evaluate on their GPUs also what was computed in the host's memory."""
        self._graph, self._scheduler, self._file, self._gpu = graph, scheduler, scheduler_file, gpu

    def run(self, run: Run, done: Callable[[BlockResult], None]) -> None:
        if self._gpu:
            refuse_what_gpus_cannot(run.plan)
            run = replace(run, on_gpu=True)
        states = compute(self._graph.states(run), self._scheduler, self._file)
        done(BlockResult.of_range(0, run.plan.num_blocks, states[()]))


def graph_executor(
    plan: Plan, arrays: Mapping[str, Any], on_blocks: bool, executor: Any, scheduler: Any, scheduler_file: str | None
) -> GraphExecutor:
    """Return the executor of a plan over Dask arrays; see :class:`Graph`, and :func:`streamloss.evaluate` for the rest.

    Raises UsageError where chunk sizes are not known, with the call that finds them out.
    """
    for source in plan.sources:
        assert isinstance(source, DaskSource)
        if not source.known:
            raise UsageError(
                f"{source.role} has chunks of unknown sizes; expected known ones for evaluate. "
                f"Call {source.role}.compute_chunk_sizes() first."
            )
    if hasattr(executor, "run") and hasattr(executor, "name") and not is_of_dask(executor, None, None):
        raise UsageError(
            f"executor={executor!r} evaluates arrays that it reads; received Dask arrays, which a scheduler of Dask's "
            "computes. Pass scheduler=, a distributed.Client, or no executor."
        )
    if not isinstance(executor, str):
        scheduler = executor
    elif executor not in EXECUTORS:
        raise UnknownNameError("executor", executor, EXECUTORS)
    else:
        scheduler = {"threads": "threads", "inline": "synchronous"}.get(executor, scheduler)
    return GraphExecutor(Graph(plan, arrays, on_blocks=on_blocks), scheduler, scheduler_file, gpu=executor == "cuda")


def _as_declared(source: Source, array: Any) -> Any:
    """Return an array whose chunks are compared with what it declares when they are computed.

    What Dask makes of several chunks no longer tells: lengths that are wrong may add up, and dtypes are promoted.
    """
    assert isinstance(source, DaskSource)
    axes = tuple(range(array.ndim))
    return da.blockwise(
        AsDeclared(source, array.chunks),
        axes,
        ArrayBlockIdDep(array.chunks),
        axes,
        array,
        axes,
        dtype=array.dtype,
        token="streamloss",
        align_arrays=False,
        meta=array._meta,
    )


def _evaluated_rows(plan: Plan, source: Source, array: Any) -> Any:
    """Return the rows of an array that are evaluated."""
    assert isinstance(source, DaskSource)
    axes = views_of(plan)[source.role].axes
    if not source.known or 0 not in axes or source.shape[axes.index(0)] == plan.shape[0]:
        return array
    return array[(slice(None),) * axes.index(0) + (slice(plan.start, plan.start + plan.shape[0]),)]


def _chunks_of_rows(plan: Plan, view: View, y_pred: Any, on_blocks: bool) -> tuple[tuple[Any, ...], ...]:
    """Return the chunk sizes for each axis of the losses: as `y_pred` has them, NaN where they are not known, or the
    plan's blocks.
    """
    if on_blocks:
        return da.core.normalize_chunks(plan.block_shape, plan.shape)
    return tuple(y_pred.chunks[view.axes.index(axis)] for axis in range(len(plan.shape)))


def _rechunked(role: str, array: Any, view: View, chunks: tuple[tuple[float, ...], ...]) -> Any:
    """Return an array whose rows are chunked as `chunks` say, and everything else whole."""
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
