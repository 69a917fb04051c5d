"""What is done with the chunks of Dask arrays, in a run of their graph: evaluated as blocks, merged, reduced.

Everything here is pickled with a graph, so it holds descriptions and no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...aggregation.checks import refuse_undefined_cells, warn_of_values
from ...aggregation.reductions import losses_of_cells, reduce_state
from ...aggregation.state import States, merge_all
from ...core.blocks import Block
from ...core.types import Reduction
from ...errors import UsageError
from ...planning.alignment import View
from ...planning.plan import Plan, PlannedLoss
from ...storage.sinks.memory import sink_beside
from ...storage.sources.base import Source, on_gpu
from ...storage.sources.dask import DaskSource, GivenSource
from ..backends import Backend
from ..block import Run, run_block
from ..inputs import BlockInputs, host_mask
from ..loss_on_block import labels_beside_0_and_1


def views_of(plan: Plan) -> dict[str, View]:
    """By the array's role. Raises UsageError where two losses see one array differently."""
    views = {"y_true": plan.losses[0].alignment.y_true, "y_pred": plan.losses[0].alignment.y_pred}
    for loss in plan.losses:
        if (loss.alignment.y_true, loss.alignment.y_pred) != tuple(views.values()):
            raise UsageError(
                f"{loss.name} and {plan.losses[0].name} have rows along other axes; expected the same for losses of "
                "Dask arrays evaluated in one pass. Evaluate them apart."
            )
    if plan.weight_view is not None:
        views["sample_weight"] = plan.weight_view
    if plan.mask_view is not None:
        views["mask"] = plan.mask_view
    return views


class OnBlock:
    """What is done with the chunks under one block."""

    def __init__(self, run: Run, roles: tuple[str, ...], starts: tuple[tuple[int, ...], ...] | None) -> None:
        self._run, self._roles, self._starts = run, roles, starts

    def __call__(self, where: tuple[int, ...], *chunks: Any) -> Any:
        arrays = dict(zip(self._roles, chunks, strict=False))
        view = views_of(self._run.plan)["y_pred"]
        shape = tuple(arrays["y_pred"].shape[view.axes.index(axis)] for axis in range(len(where)))
        start = (
            (0,) * len(where) if self._starts is None else tuple(s[i] for s, i in zip(self._starts, where, strict=True))
        )
        plan = self._run.plan
        unknown = where if self._starts is None else None
        index = int(np.ravel_multi_index(where, plan.grid_shape)) if self._run.sinks else 0
        block = Block(index, start, tuple(a + n for a, n in zip(start, shape, strict=True)))
        given: Any = {s.role: _given(s, arrays[s.role], unknown) for s in plan.sources if isinstance(s, DaskSource)}
        return self.of_block(dataclasses.replace(self._run, plan=dataclasses.replace(plan, **given)), block, chunks)

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        raise NotImplementedError

    def decided(self, run: Run, chunks: tuple[Any, ...]) -> Run:
        """With what all labels decided, which comes behind the chunks."""
        if len(chunks) == len(self._roles):
            return run
        all_binary = {job.name: bool(chunks[-1]) for job in run.plan.losses if job.spec.both_conventions}
        return dataclasses.replace(run, all_binary=all_binary)


def _given(source: DaskSource, chunk: Any, unknown: tuple[int, ...] | None) -> Source:
    if not on_gpu(chunk):
        return GivenSource(source, np.asarray(chunk), unknown)
    from ...storage.sources.gpu import GivenGpuSource

    return GivenGpuSource(GivenSource(source, np.empty(0), unknown), chunk)


def _backend_of(run: Run) -> Backend | None:
    """A GPU, if it was asked for or has a chunk; None: the processor."""
    if not (run.on_gpu or any(source.on_gpu for source in run.plan.sources)):
        return None
    from ..gpu import backend_here

    return backend_here(run.plan)


class LossesOf(OnBlock):
    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        plan, job = run.plan, run.plan.losses[0]
        here = _AnyBlock(sink_beside(plan.y_pred, block.shape, job.dtype), block.shape)
        run_block(dataclasses.replace(self.decided(run, chunks), sinks={job.name: here}), block, _backend_of(run))
        return here.array()


class _AnyBlock:
    """A sink that is as large as a block, and takes it wherever it begins."""

    where = "in memory"

    def __init__(self, sink: Any, shape: tuple[int, ...]) -> None:
        self._sink, self._block = sink, Block(0, (0,) * len(shape), shape)

    def memory(self, block: Block) -> Any:
        return self._sink.memory(self._block)

    def write(self, block: Block, losses: Any) -> None:
        self._sink.write(self._block, losses)

    def sync(self, blocks: Iterable[Block]) -> None:
        pass

    def array(self) -> Any:
        return self._sink.array()


class StatesOf(OnBlock):
    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        return _one(run_block(self.decided(run, chunks), block, _backend_of(run)), len(block.shape))


class LabelsBeside(OnBlock):
    """Whether a block has labels beside 0 and 1."""

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        plan, inputs = run.plan, BlockInputs(run.plan, block)
        labels = inputs.read(plan.y_true, plan.losses[0].alignment.y_true)
        beside = labels_beside_0_and_1(labels, host_mask(plan, inputs)) > 0
        return np.full((1,) * len(block.shape), beside)


class Merge:
    """A node of the tree: lists of arrays of one object, nested as the axes are."""

    def __init__(self, run: Run) -> None:
        self._empty = run.empty()

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

    def __init__(self, job: PlannedLoss, reduction: Reduction) -> None:
        self._name, self._reduction = job.name, reduction

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        warn_of_values({self._name: state})
        return np.float64(reduce_state(state, self._reduction))


class RatiosOf:
    def __init__(self, job: PlannedLoss) -> None:
        self._name = job.name

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_cells(self._name, state, "raise")
        return losses_of_cells(state, weighted=True)
