"""The losses of rows on their way to the statistics that collect them."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..aggregation.accumulation import BINARY, OUTCOME_COUNTED, OUTCOME_IGNORED
from ..aggregation.parts import Part
from ..aggregation.statistic import Collector, LossRows
from ..aggregation.statistics import accumulation_of, collected
from ..aggregation.tables.keys import KeyColumn
from ..core.blocks import Block
from ..errors import ValueRangeError
from ..planning.plan import Plan, PlannedKey, PlannedLoss
from ..planning.tables import SLICE
from .backends import Backend
from .inputs import BlockInputs, class_weight_of, host_labels, host_predictions, host_weight, ignored_rows
from .loss_on_block import RowLosses

Array = np.ndarray[Any, Any]


class RowStatistics:
    """The collectors of one loss for one block."""

    def __init__(self, plan: Plan, planned: PlannedLoss) -> None:
        self._plan, self._planned = plan, planned
        self._collectors, self._binary = self._new_collectors(), self._new_collectors()

    def _new_collectors(self) -> list[Collector]:
        asked = collected(self._planned.identity.statistics)
        return [of.statistic.collect(of.parameter) for of in asked if of.statistic.collect is not None]

    def __bool__(self) -> bool:
        """Return whether losses of rows are collected at all."""
        return bool(self._collectors)

    def add(
        self, losses: RowLosses, baseline: RowLosses | None, inputs: BlockInputs, nan_policy: str, backend: Backend
    ) -> None:
        """Hand the losses of a piece to the collectors, with those of its baseline, if it has one; where the labels'
        convention is not decided, those of each convention to collectors of their own.
        """
        others, rows = RowLosses() if baseline is None else baseline, inputs.block.rows
        piece = _Piece(self._plan, self._planned, inputs, nan_policy)
        for start in range(0, rows, SLICE):
            part = slice(start, min(start + SLICE, rows))
            given = piece.rows(_on_host(losses.out[part], backend), part)
            for collector in self._collectors:
                collector.add(given._replace(baseline=_as_float64(others.out, part, backend)))
            if losses.binary is not None:
                given = given._replace(losses=losses.binary[part], baseline=_as_float64(others.binary, part, backend))
                for collector in self._binary:
                    collector.add(given)

    def parts(self) -> dict[str, Part]:
        """Return the parts of the state of the block's rows; those of the binary convention have its ending."""
        parts = {name: part for collector in self._collectors for name, part in collector.parts().items()}
        binary = {name + BINARY: part for collector in self._binary for name, part in collector.parts().items()}
        return parts | binary


class _Piece:
    """The rows of a piece of a block, of which collectors receive a slice at a time: what they make of one is small."""

    def __init__(self, plan: Plan, planned: PlannedLoss, inputs: BlockInputs, nan_policy: str) -> None:
        self._plan, self._planned, self._inputs = plan, planned, inputs
        self._omit_nan = nan_policy == "omit"
        self._ignored, self._weights = ignored_rows(plan, planned, inputs), _weights(plan, planned, inputs)
        self._labels = cache(lambda: host_labels(plan, planned, inputs))
        self._predictions = cache(lambda: host_predictions(plan, planned, inputs))

    def rows(self, losses: Array, part: slice) -> LossRows:
        """Return some rows, whose losses are given."""
        plan, planned, block = self._plan, self._planned, self._inputs.block
        outcomes = None
        if self._ignored is not None and (ignored := self._ignored[part]).any():
            outcomes = np.where(ignored, OUTCOME_IGNORED, OUTCOME_COUNTED).astype(np.int8)
        columns = {(key.cut.role, key.cut.name): column_of(key, self._inputs, part) for key in plan.keys}
        from_logits = planned.spec.parameters.get("from_logits")
        return LossRows(
            losses,
            None if self._weights is None else np.ascontiguousarray(self._weights[part], np.float64),
            outcomes,
            self._omit_nan,
            lambda index=None: _positions(plan, block, part, index),
            plan.all_rows,
            accumulation_of(planned.identity.statistics),
            None,
            {name: column for (role, name), column in columns.items() if role == "by"},
            next((column for (role, _), column in columns.items() if role == "cluster"), None),
            {cut.name: KeyColumn(_index_along(block, cut.axis or 0, part, plan.start)) for cut in plan.kept},
            None if from_logits is None else bool(from_logits),
            lambda: self._labels()[part],
            lambda: self._predictions()[part],
        )


def _on_host(losses: Any, backend: Backend) -> Array:
    return np.asarray(backend.to_host(losses))


def _as_float64(losses: Any, part: slice, backend: Backend) -> Array | None:
    return None if losses is None else np.ascontiguousarray(_on_host(losses[part], backend), np.float64)


def column_of(key: PlannedKey, inputs: BlockInputs, part: slice) -> KeyColumn:
    """Return the keys of some of a block's rows."""
    stored = inputs.read(key.source, key.view)[part]
    try:
        return key.cut.column(np.ascontiguousarray(stored))
    except ValueError as error:
        raise ValueRangeError(f"{key.source.role} ({key.source.where}): {error}.") from None


def _weights(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array | None:
    """Return each row's weight (rows,), that of its class included; None where there are none."""
    if not plan.weighted:
        return None
    weight = host_weight(plan, inputs)
    if plan.class_weight is not None:
        by_class = class_weight_of(plan, planned, inputs)
        weight = by_class if weight is None else weight * by_class
    assert weight is not None
    return np.broadcast_to(weight, inputs.block.rows)


def _positions(plan: Plan, block: Block, part: slice, index: Array | None) -> Array:
    """Return the positions of rows in the losses' shape, in row-major order from the arrays' first row; `index` counts
    from the beginning of `part`, which is one of the block.
    """
    within = np.arange(part.start, part.stop) if index is None else index + part.start
    if block.shape[1:] == plan.shape[1:]:
        return within + (block.start[0] + plan.start) * (plan.rows // max(1, plan.shape[0]))
    at = np.unravel_index(within, block.shape)
    shape = (plan.start + plan.shape[0], *plan.shape[1:])
    offsets = (block.start[0] + plan.start, *block.start[1:])
    return np.ravel_multi_index(tuple(a + offset for a, offset in zip(at, offsets, strict=True)), shape)


def _index_along(block: Block, axis: int, part: slice, start: int) -> Array:
    """Return the index of some of a block's rows along an axis of the losses; `start` is the arrays' first row
    evaluated.
    """
    inner = math.prod(block.shape[axis + 1 :])
    index = np.arange(part.start, part.stop) // inner % block.shape[axis]
    return index + block.start[axis] + (0 if axis else start)
