"""The rows under a block: labels and predictions, and what each row counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..core.blocks import Block
from ..formulas._kinds import Sparse
from ..planning.alignment import CLASS_AXIS, View
from ..planning.plan import Plan, PlannedLoss
from ..storage.sources import Source
from . import convert
from .diagnosis import explain_class, explain_mask

Array = np.ndarray[Any, Any]


class BufferPool:
    """Memory of one thread, into which it reads one block after the other: fresh pages would cost as much as Blosc."""

    def __init__(self, new: Callable[[int], Array] = lambda size: np.empty(size, np.uint8)) -> None:
        """`new` makes so many bytes."""
        self._new = new
        self._held: dict[Hashable, Array] = {}

    def allocate(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array that holds until the next one of the same key."""
        size = math.prod(shape) * dtype.itemsize
        if key not in self._held or self._held[key].size < size:
            self._held.pop(key, None)
            self._held[key] = self._new(size)
        return self._held[key][:size].view(dtype).reshape(shape)


class BlockInputs:
    """The arrays' rows under a block, each array read once."""

    def __init__(self, plan: Plan, block: Block, scratch: BufferPool | None = None) -> None:
        self.block = block
        self._plan = plan
        self._scratch = scratch
        self._read: dict[tuple[str, View], Array] = {}

    def of(self, source: Source, view: View) -> Array:
        key = (source.role, view)
        if key not in self._read:
            allocate = np.empty if self._scratch is None else partial(self._scratch.allocate, key)
            read = source.read(view.select(self.block, self._plan.start), allocate)
            self._read[key] = view.to_rows(read, self.block.shape)
        return self._read[key]

    def in_place(self, source: Source, view: View) -> Any:
        """The same of an array on a GPU, where it is: (rows,) or (rows, classes). None where it is not there, or its
        rows do not lie one after the other.
        """
        if not source.on_gpu or not view.in_order(len(self.block.shape)):
            return None
        data = source.on_device(view.select(self.block, self._plan.start))
        if data is None:
            return None
        return data.reshape((self.block.rows, -1) if CLASS_AXIS in view.axes else (self.block.rows,))


def weight_of(plan: Plan, rows: BlockInputs) -> Array | None:
    """Each row's `sample_weight`, or one for all."""
    if plan.sample_weight is None:
        return None
    if isinstance(plan.sample_weight, float):
        return np.array([plan.sample_weight])
    assert plan.weight_view is not None
    return convert.weights(rows.of(plan.sample_weight, plan.weight_view))


def mask_of(plan: Plan, rows: BlockInputs) -> Array | None:
    """Whether each row counts. Raises ValueRangeError for an entry that is neither 0 nor 1."""
    if plan.mask is None:
        return None
    assert plan.mask_view is not None
    data = rows.of(plan.mask, plan.mask_view)
    if (mask := convert.mask(data)) is None:
        raise explain_mask(plan, plan.mask, plan.mask_view, rows.block, data)
    return mask


def class_weight_of(class_weight: Mapping[int, float], labels: Array, job: PlannedLoss, block: Block) -> Array:
    """Each row's weight by its label: an integer, or the largest entry of its distribution. Others weigh 1."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        classes = labels.argmax(axis=1)
    else:
        classes = convert.labels(labels.reshape(-1))
        if not isinstance(job.formula, Sparse) and (classes == convert.NOT_A_LABEL).any():
            raise explain_class(job, block, labels.reshape(-1), classes)
    known = np.array(sorted(class_weight), np.int64)
    weights = np.array([class_weight[label] for label in sorted(class_weight)], np.float64)
    place = np.minimum(np.searchsorted(known, classes), len(known) - 1)
    return np.where(known[place] == classes, weights[place], 1.0)
