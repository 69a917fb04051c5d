"""Losses of Dask arrays: a graph of one task for each chunk of rows, and a tree that merges their states.

Nothing is computed here. A task receives its chunks, evaluates their losses as every executor does, and leaves the
losses of its rows (NONE) or a state; only states are merged. What all labels decide is a first reduction of the graph.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from dask.layers import ArrayBlockIdDep

from .alignment import SPREAD, View
from .errors import ShapeError, UsageError
from .executors.base import Part, States, Task, merge_all, run_block
from .executors.dask import compute
from .executors.job import labels_beside_0_and_1
from .executors.rows import BlockRows, mask_of
from .findings import refuse_undefined_cells, warned
from .loss import Loss
from .planning import Job, Plan
from .preparation import planned
from .reductions import losses_of_cells, reduce_state
from .sinks.base import ArraySink
from .sources.dask import DaskSource, GivenSource, as_lazy, open_lazy
from .types import Block, Reduction

SPLIT = 8
"""States that a task of the tree merges."""
UNLIMITED = 1 << 62  # bytes: how much is in memory at a time is for the chunks, and for Dask, to say


def lazy_call(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any) -> Any:
    """``loss(y_true, y_pred, sample_weight)`` as a Dask array: of the losses' shape for NONE, else of one float64."""
    graph = Graph.of({loss.name: loss}, y_true, y_pred, sample_weight, mask)
    job = graph.plan.jobs[0]
    if loss.reduction is not Reduction.NONE:
        return graph.states().map_blocks(
            _Value(job, loss.reduction), dtype=np.float64, meta=np.float64(0), token="streamloss"
        )
    if job.layout.cells is None:
        return graph.losses()
    ratios = delayed(_Cells(job))(graph.states().to_delayed().item())
    return da.from_delayed(ratios, job.layout.cells, np.float64)


class Graph:
    """A plan over Dask arrays, and the arrays with chunks that meet."""

    def __init__(self, plan: Plan, arrays: Mapping[str, Any]) -> None:
        self.plan, self._arrays = plan, dict(arrays)
        self._views = _views(plan)
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
                steady=True,
            )
        except ShapeError:
            _refuse_unknown(given)
            raise
        arrays = {source.role: as_lazy(given[source.role], source.role) for source in plan.sources}
        views = _views(plan)
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
        return self._each(_Losses, Task(self.plan), job.dtype, None, self._conventions([job]))

    def states(self, task: Task | None = None) -> Any:
        """All rows' states, merged: a Dask array of one object, which is a tuple of states."""
        task = task or Task(self.plan)
        written = [job for job in self.plan.jobs if job.name in task.sinks]
        each = self._each(_States, task, np.dtype(object), 1, self._conventions(written))
        merge = _Merge(task)
        meta = np.empty((), object)
        return da.reduction(
            each, _same, merge, combine=merge, concatenate=False, dtype=object, split_every=SPLIT, meta=meta
        )

    def _conventions(self, jobs: list[Job]) -> list[Any]:
        """What all labels decide about losses that are written, as a lazy boolean; none where nothing is open."""
        if not any(job.spec.both_conventions for job in jobs):
            return []
        return [~self._each(_Beside, Task(self.plan), np.dtype(bool), 1, []).any()]

    def _each(self, run: type[_OnBlock], task: Task, dtype: np.dtype[Any], size: int | None, scalars: list[Any]) -> Any:
        """An array whose chunks are what `run` makes of each block: of the block's shape, or `size` along each axis."""
        rows = tuple(range(len(self.plan.shape)))
        others = itertools.count(len(rows))  # axes that blocks have whole
        operands: list[Any] = [ArrayBlockIdDep(self._chunks), rows]
        for role, view in self._views.items():
            # an axis that holds for all rows stands where theirs does
            at = (i if axis == SPREAD else axis if axis >= 0 else next(others) for i, axis in enumerate(view.axes))
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

    def __init__(self, graph: Graph, scheduler: Any, scheduler_file: str | None) -> None:
        self._graph, self._scheduler, self._file = graph, scheduler, scheduler_file

    def run(self, task: Task, done: Callable[[Part], None]) -> None:
        states = compute(self._graph.states(task), self._scheduler, self._file)
        done(Part(0, task.plan.num_blocks, states[()]))


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raises UsageError for arrays whose axes do not meet, where chunk sizes that are not known may be why."""
    for role, array in given.items():
        if isinstance(array, da.Array) and any(map(math.isnan, array.shape)):
            others = ", ".join(f"{r} {a.numblocks}" for r, a in given.items() if isinstance(a, da.Array))
            raise UsageError(
                f"{role} has chunks of unknown sizes, which do not meet the others' (numbers of chunks: {others}); "
                f"expected as many, or known ones. Call {role}.compute_chunk_sizes()."
            )


def _views(plan: Plan) -> dict[str, View]:
    """By the array's role. Raises UsageError where two losses see one array differently."""
    views = {"y_true": plan.jobs[0].layout.y_true, "y_pred": plan.jobs[0].layout.y_pred}
    for job in plan.jobs:
        if (job.layout.y_true, job.layout.y_pred) != tuple(views.values()):
            raise UsageError(
                f"{job.name} and {plan.jobs[0].name} have rows along other axes; expected the same for losses of Dask "
                "arrays evaluated in one pass. Evaluate them apart."
            )
    if plan.weight_view is not None:
        views["sample_weight"] = plan.weight_view
    if plan.mask_view is not None:
        views["mask"] = plan.mask_view
    return views


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


class _OnBlock:
    """What is done with the chunks under one block; pickled with the graph, so it holds descriptions only."""

    def __init__(self, task: Task, roles: tuple[str, ...], starts: tuple[tuple[int, ...], ...] | None) -> None:
        self._task, self._roles, self._starts = task, roles, starts

    def __call__(self, where: tuple[int, ...], *chunks: Any) -> Any:
        arrays = dict(zip(self._roles, chunks, strict=False))
        view = _views(self._task.plan)["y_pred"]
        shape = tuple(arrays["y_pred"].shape[view.axes.index(axis)] for axis in range(len(where)))
        start = (
            (0,) * len(where) if self._starts is None else tuple(s[i] for s, i in zip(self._starts, where, strict=True))
        )
        plan = self._task.plan
        unknown = where if self._starts is None else None
        index = int(np.ravel_multi_index(where, plan.grid)) if self._task.sinks else 0
        block = Block(index, start, tuple(a + n for a, n in zip(start, shape, strict=True)))
        given: dict[str, Any] = {
            source.role: GivenSource(source, np.asarray(arrays[source.role]), unknown)
            for source in plan.sources
            if isinstance(source, DaskSource)
        }
        return self.of_block(dataclasses.replace(self._task, plan=dataclasses.replace(plan, **given)), block, chunks)

    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        raise NotImplementedError

    def decided(self, task: Task, chunks: tuple[Any, ...]) -> Task:
        """With what all labels decided, which comes behind the chunks."""
        if len(chunks) == len(self._roles):
            return task
        all_binary = {job.name: bool(chunks[-1]) for job in task.plan.jobs if job.spec.both_conventions}
        return dataclasses.replace(task, all_binary=all_binary)


class _Losses(_OnBlock):
    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        job = task.plan.jobs[0]
        here = ArraySink(block.shape, job.dtype)
        local = Block(block.index, (0,) * len(block.shape), block.shape)
        run_block(dataclasses.replace(self.decided(task, chunks), sinks={job.name: _Shifted(here, local)}), block)
        return here.array


class _Shifted:
    """A sink for one block."""

    where = "in memory"

    def __init__(self, sink: ArraySink, local: Block) -> None:
        self._sink, self._local = sink, local

    def write(self, block: Block, losses: Any) -> None:
        self._sink.write(self._local, losses)

    def sync(self, blocks: Iterable[Block]) -> None:
        pass


class _States(_OnBlock):
    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        return _one(run_block(self.decided(task, chunks), block), len(block.shape))


class _Beside(_OnBlock):
    """Whether a block has labels beside 0 and 1."""

    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        plan, rows = task.plan, BlockRows(task.plan, block)
        labels = rows.of(plan.y_true, plan.jobs[0].layout.y_true)
        beside = labels_beside_0_and_1(labels, mask_of(plan, rows)) > 0
        return np.full((1,) * len(block.shape), beside)


class _Merge:
    """A node of the tree: lists of arrays of one object, nested as the axes are."""

    def __init__(self, task: Task) -> None:
        self._empty = task.empty()

    def __call__(self, parts: Any, axis: Any = None, keepdims: bool = False) -> Any:
        merged, rank = self._empty, 0
        for array in _flat(parts):
            for states in array.ravel():
                merged = merge_all(merged, states)
            rank = array.ndim
        return _one(merged, rank if keepdims else 0)


def _same(array: Any, axis: Any = None, keepdims: bool = True) -> Any:
    return array


def _flat(parts: Any) -> Iterator[Any]:
    if isinstance(parts, list):
        for part in parts:
            yield from _flat(part)
    else:
        yield parts


def _one(states: States, rank: int) -> Any:
    """An array of one object."""
    array = np.empty((1,) * rank, object)
    array[(0,) * rank] = states
    return array


class _Value:
    """From all rows' states to the value of one loss."""

    def __init__(self, job: Job, reduction: Reduction) -> None:
        self._name, self._reduction = job.name, reduction

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        warned({self._name: state})
        return np.float64(reduce_state(state, self._reduction))


class _Cells:
    def __init__(self, job: Job) -> None:
        self._name = job.name

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        return losses_of_cells(state, weighted=True)
