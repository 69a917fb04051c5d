"""The tasks of a graph of Dask's: chunks of arrays are evaluated as blocks, merged, reduced.

Everything here is pickled with a graph, so it holds descriptions and no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...aggregation.checks import refuse_undefined_ratios, warn_of_values
from ...aggregation.reductions import ratio_losses, reduce_state
from ...aggregation.state import States, merge_all
from ...core.blocks import Block
from ...core.types import Reduction
from ...errors import UsageError
from ...planning.alignment import View
from ...planning.plan import Plan, PlannedLoss
from ...storage.sinks.memory import sink_beside
from ...storage.sources.base import Source, on_gpu
from ...storage.sources.dask import UNKNOWN_CHUNKS, WRONG_CHUNKS, DaskSource, GivenSource, refuse_other_chunk
from ..backends import Backend
from ..block import Run, run_block
from ..inputs import BlockInputs, labels_beside_0_and_1


def views_of(plan: Plan) -> dict[str, View]:
    """Return the views of a plan's arrays by role. Raises UsageError where two losses see one array differently."""
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
    views |= {key.source.role: key.view for key in plan.keys}
    return views


class AsDeclared:
    """A task that returns a chunk of an array unchanged, or refuses it where it is not what the array declares."""

    def __init__(self, source: DaskSource, chunks: tuple[tuple[float, ...], ...]) -> None:
        self._source, self._chunks = source, chunks

    def __call__(self, position: tuple[int, ...], chunk: Any) -> Any:
        expected = tuple(sizes[i] for sizes, i in zip(self._chunks, position, strict=True))
        refuse_other_chunk(self._source, chunk, expected, position)
        return chunk


class OnBlock:
    """A task that receives the chunks under one block; subclasses evaluate them."""

    def __init__(self, run: Run, roles: tuple[str, ...], starts: tuple[tuple[int, ...], ...] | None) -> None:
        self._run, self._roles, self._starts = run, roles, starts

    def __call__(self, position: tuple[int, ...], *chunks: Any) -> Any:
        """Return what becomes of the chunks at a position of the grid of chunks of rows."""
        plan, arrays = self._run.plan, dict(zip(self._roles, chunks, strict=False))
        views = views_of(plan)
        start = (0,) * len(position)
        if self._starts is not None:
            start = tuple(starts[i] for starts, i in zip(self._starts, position, strict=True))
            shape = tuple(starts[i + 1] - starts[i] for starts, i in zip(self._starts, position, strict=True))
        else:
            shape = _rows_of(arrays["y_pred"], views["y_pred"], len(position))
        for source in plan.sources:
            if isinstance(source, DaskSource):
                declared = zip(views[source.role].axes, source.shape, strict=True)
                expected = tuple(shape[axis] if axis >= 0 else size for axis, size in declared)
                cure = WRONG_CHUNKS if source.known else UNKNOWN_CHUNKS
                place = tuple(position[axis] if axis >= 0 else 0 for axis in views[source.role].axes)
                refuse_other_chunk(source, arrays[source.role], expected, place, cure)
        if 0 in shape:  # a filter left nothing of this chunk
            return self.of_nothing(shape)
        unknown = position if self._starts is None else None
        index = int(np.ravel_multi_index(position, plan.grid_shape)) if self._run.sinks else 0
        block = Block(index, start, tuple(a + n for a, n in zip(start, shape, strict=True)))
        computed = {
            source.role: _computed_source(source, arrays[source.role], unknown)
            for source in plan.sources
            if isinstance(source, DaskSource)
        }
        run = dataclasses.replace(self._run, plan=plan.with_sources(computed))
        return self.of_block(run, block, chunks)

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        """Return what becomes of a block, whose arrays the plan of `run` holds."""
        raise NotImplementedError

    def of_nothing(self, shape: tuple[int, ...]) -> Any:
        """Return what becomes of a block that has no rows."""
        raise NotImplementedError

    def with_conventions(self, run: Run, chunks: tuple[Any, ...]) -> Run:
        """Return the run with what is known about all labels, which follows the chunks."""
        if len(chunks) == len(self._roles):
            return run
        all_binary = {loss.name: bool(chunks[-1]) for loss in run.plan.losses if loss.spec.both_conventions}
        return dataclasses.replace(run, all_binary=all_binary)


def _rows_of(chunk: Any, view: View, rank: int) -> tuple[int, ...]:
    """Return the shape of a chunk's rows, where only the chunk itself knows it; an axis that it lacks has no length,
    which `refuse_other_chunk` then refuses.
    """
    sizes = dict(zip(view.axes, chunk.shape, strict=False))
    return tuple(sizes.get(axis, -1) for axis in range(rank))


def _computed_source(source: DaskSource, chunk: Any, unknown: tuple[int, ...] | None) -> Source:
    """Return a source of a computed chunk; `unknown` is its position in the array where chunk sizes are not known."""
    if not on_gpu(chunk):
        return GivenSource(source, np.asarray(chunk), unknown)
    from ...storage.sources.gpu import GivenGpuSource

    return GivenGpuSource(GivenSource(source, np.empty(0), unknown), chunk)


def _backend_of(run: Run) -> Backend | None:
    """Return the backend of a GPU, if it was asked for or has a chunk; None: the processor."""
    if not (run.on_gpu or any(source.on_gpu for source in run.plan.sources)):
        return None
    from ..gpu import backend_here

    return backend_here(run.plan)


class LossesOf(OnBlock):
    """Returns the losses of rows of the plan's one loss, shaped like the block."""

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        plan, loss = run.plan, run.plan.losses[0]
        sink = _AnyBlock(sink_beside(plan.y_pred, block.shape, loss.dtype), block.shape)
        run = dataclasses.replace(self.with_conventions(run, chunks), sinks={loss.name: sink})
        run_block(run, block, _backend_of(run))
        return sink.array()

    def of_nothing(self, shape: tuple[int, ...]) -> Any:
        return np.empty(shape, self._run.plan.losses[0].dtype)


class _AnyBlock:
    """A sink as large as one block, which accepts the block wherever it begins."""

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
    """Returns the states of a block's rows, as an array of one object."""

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        return _one(run_block(self.with_conventions(run, chunks), block, _backend_of(run)), len(block.shape))

    def of_nothing(self, shape: tuple[int, ...]) -> Any:
        return _one(self._run.empty(), len(shape))


class LabelsBeside(OnBlock):
    """Returns whether a block has labels other than 0 and 1, as an array of one boolean."""

    def of_block(self, run: Run, block: Block, chunks: tuple[Any, ...]) -> Any:
        loss = next(loss for loss in run.plan.losses if loss.spec.both_conventions)
        inputs = BlockInputs(run.plan, block, nan_policy=run.nan_policy)
        beside = labels_beside_0_and_1(run.plan, loss, inputs) > 0
        return np.full((1,) * len(block.shape), beside)

    def of_nothing(self, shape: tuple[int, ...]) -> Any:
        return np.full((1,) * len(shape), False)


class Merge:
    """Merges the states of a node of the tree: arrays of one object, in lists that are nested as the axes are."""

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
    """Return an array of one object, of so many axes."""
    array = np.empty((1,) * rank, object)
    array[(0,) * rank] = states
    return array


class ValueOf:
    """Returns the value of the plan's one loss from the states of all rows."""

    def __init__(self, loss: PlannedLoss, reduction: Reduction) -> None:
        self._name, self._reduction = loss.name, reduction

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_ratios(self._name, state, "raise")
        warn_of_values({self._name: state})
        return np.float64(reduce_state(state, self._reduction))


class RatiosOf:
    """Returns the ratios over the whole data from the states of all rows."""

    def __init__(self, loss: PlannedLoss) -> None:
        self._name = loss.name

    def __call__(self, states: Any) -> Any:
        state = states[()][0]
        refuse_undefined_ratios(self._name, state, "raise")
        return ratio_losses(state, weighted=True)
