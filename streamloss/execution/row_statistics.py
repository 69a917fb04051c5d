"""The losses of rows on their way to the statistics that collect them."""

from __future__ import annotations

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
        others = RowLosses() if baseline is None else baseline
        rows = self._rows(_on_host(losses.out, backend), inputs, nan_policy)
        for collector in self._collectors:
            collector.add(rows._replace(baseline=_as_float64(others.out, backend)))
        if losses.binary is not None:
            rows = rows._replace(losses=losses.binary, baseline=_as_float64(others.binary, backend))
            for collector in self._binary:
                collector.add(rows)

    def parts(self) -> dict[str, Part]:
        """Return the parts of the state of the block's rows; those of the binary convention have its ending."""
        parts = {name: part for collector in self._collectors for name, part in collector.parts().items()}
        binary = {name + BINARY: part for collector in self._binary for name, part in collector.parts().items()}
        return parts | binary

    def _rows(self, losses: Array, inputs: BlockInputs, nan_policy: str) -> LossRows:
        plan, planned, block = self._plan, self._planned, inputs.block
        ignored = ignored_rows(plan, planned, inputs)
        outcomes = None
        if ignored is not None and ignored.any():
            outcomes = np.where(ignored, OUTCOME_IGNORED, OUTCOME_COUNTED).astype(np.int8)
        keys: dict[str, KeyColumn] = {}
        cluster = None
        for key in plan.keys:
            column = column_of(key, inputs)
            if key.cut.role == "cluster":
                cluster = column
            else:
                keys[key.cut.name] = column
        kept = {cut.name: KeyColumn(_index_along(block, cut.axis or 0, plan.start)) for cut in plan.kept}
        from_logits = planned.spec.parameters.get("from_logits")
        return LossRows(
            losses,
            _weights(plan, planned, inputs),
            outcomes,
            nan_policy == "omit",
            lambda index=None: _positions(plan, block, index),
            plan.all_rows,
            accumulation_of(planned.identity.statistics),
            None,
            keys,
            cluster,
            kept,
            None if from_logits is None else bool(from_logits),
            lambda: host_labels(plan, planned, inputs),
            lambda: host_predictions(plan, planned, inputs),
        )


def _on_host(losses: Any, backend: Backend) -> Array:
    return np.asarray(backend.to_host(losses))


def _as_float64(losses: Any, backend: Backend) -> Array | None:
    return None if losses is None else np.ascontiguousarray(_on_host(losses, backend), np.float64)


def column_of(key: PlannedKey, inputs: BlockInputs) -> KeyColumn:
    """Return the keys of a block's rows."""
    stored = inputs.read(key.source, key.view)
    try:
        return key.cut.column(np.ascontiguousarray(stored))
    except ValueError as error:
        raise ValueRangeError(f"{key.source.role} ({key.source.where}): {error}.") from None


def _weights(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array | None:
    """Return each row's weight as float64 (rows,), that of its class included; None where there are none."""
    if not plan.weighted:
        return None
    weight = host_weight(plan, inputs)
    if plan.class_weight is not None:
        by_class = class_weight_of(plan, planned, inputs)
        weight = by_class if weight is None else weight * by_class
    assert weight is not None
    return np.ascontiguousarray(np.broadcast_to(weight, inputs.block.rows), np.float64)


def _positions(plan: Plan, block: Block, index: Array | None) -> Array:
    """Return the positions of a block's rows in the losses' shape, in row-major order from the arrays' first row."""
    within = np.arange(block.rows) if index is None else index
    if block.shape[1:] == plan.shape[1:]:
        return within + (block.start[0] + plan.start) * (plan.rows // max(1, plan.shape[0]))
    at = np.unravel_index(within, block.shape)
    shape = (plan.start + plan.shape[0], *plan.shape[1:])
    offsets = (block.start[0] + plan.start, *block.start[1:])
    return np.ravel_multi_index(tuple(a + offset for a, offset in zip(at, offsets, strict=True)), shape)


def _index_along(block: Block, axis: int, start: int) -> Array:
    """Return the index of each of a block's rows along an axis of the losses; `start` is the arrays' first row
    evaluated.
    """
    shape = [1] * len(block.shape)
    shape[axis] = block.shape[axis]
    index = (np.arange(block.start[axis], block.stop[axis]) + (0 if axis else start)).reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(index, block.shape)).reshape(-1)
