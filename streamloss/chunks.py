"""What is done with the chunks of Dask arrays, in a task of their graph: evaluated as blocks, merged, reduced.

Everything here is pickled with a graph, so it holds descriptions and no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .alignment import View
from .errors import UsageError
from .executors.base import States, Task, merge_all, run_block
from .executors.job import labels_beside_0_and_1
from .executors.rows import BlockRows, mask_of
from .findings import refuse_undefined_cells, warned
from .jobs import Job, Plan
from .reductions import losses_of_cells, reduce_state
from .sinks.base import ArraySink
from .sources.dask import DaskSource, GivenSource
from .types import Block, Reduction


def views_of(plan: Plan) -> dict[str, View]:
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


class OnBlock:
    """What is done with the chunks under one block."""

    def __init__(self, task: Task, roles: tuple[str, ...], starts: tuple[tuple[int, ...], ...] | None) -> None:
        self._task, self._roles, self._starts = task, roles, starts

    def __call__(self, where: tuple[int, ...], *chunks: Any) -> Any:
        arrays = dict(zip(self._roles, chunks, strict=False))
        view = views_of(self._task.plan)["y_pred"]
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


class LossesOf(OnBlock):
    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        job = task.plan.jobs[0]
        here = ArraySink(block.shape, job.dtype)
        local = Block(block.index, (0,) * len(block.shape), block.shape)
        run_block(dataclasses.replace(self.decided(task, chunks), sinks={job.name: _ForOneBlock(here, local)}), block)
        return here.array


class _ForOneBlock:
    """A sink for one block."""

    where = "in memory"

    def __init__(self, sink: ArraySink, local: Block) -> None:
        self._sink, self._local = sink, local

    def write(self, block: Block, losses: Any) -> None:
        self._sink.write(self._local, losses)

    def sync(self, blocks: Iterable[Block]) -> None:
        pass


class StatesOf(OnBlock):
    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        return _one(run_block(self.decided(task, chunks), block), len(block.shape))


class LabelsBeside(OnBlock):
    """Whether a block has labels beside 0 and 1."""

    def of_block(self, task: Task, block: Block, chunks: tuple[Any, ...]) -> Any:
        plan, rows = task.plan, BlockRows(task.plan, block)
        labels = rows.of(plan.y_true, plan.jobs[0].layout.y_true)
        beside = labels_beside_0_and_1(labels, mask_of(plan, rows)) > 0
        return np.full((1,) * len(block.shape), beside)


class Merge:
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


def unchanged(array: Any, axis: Any = None, keepdims: bool = True) -> Any:
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


class ValueOf:
    """From all rows' states to the value of one loss."""

    def __init__(self, job: Job, reduction: Reduction) -> None:
        self._name, self._reduction = job.name, reduction

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        warned({self._name: state})
        return np.float64(reduce_state(state, self._reduction))


class RatiosOf:
    def __init__(self, job: Job) -> None:
        self._name = job.name

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        return losses_of_cells(state, weighted=True)
