"""The rows under a block: labels and predictions, and what each row counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..alignment import View
from ..kernels import convert
from ..losses._kinds import Sparse
from ..planning import Job, Plan
from ..sources import Source
from ..types import Block
from .diagnosis import explain_class, explain_mask

Array = np.ndarray[Any, Any]


class BlockRows:
    """The arrays' rows under a block, each array read once."""

    def __init__(self, plan: Plan, block: Block) -> None:
        self.block = block
        self._plan = plan
        self._read: dict[tuple[str, View], Array] = {}

    def of(self, source: Source, view: View) -> Array:
        key = (source.role, view)
        if key not in self._read:
            read = source.read(view.select(self.block, self._plan.start))
            self._read[key] = view.to_rows(read, self.block.shape)
        return self._read[key]


def weight_of(plan: Plan, rows: BlockRows) -> Array | None:
    """Each row's `sample_weight`, or one for all."""
    if plan.sample_weight is None:
        return None
    if isinstance(plan.sample_weight, float):
        return np.array([plan.sample_weight])
    assert plan.weight_view is not None
    return convert.weights(rows.of(plan.sample_weight, plan.weight_view))


def mask_of(plan: Plan, rows: BlockRows) -> Array | None:
    """Whether each row counts. Raises ValueRangeError for an entry that is neither 0 nor 1."""
    if plan.mask is None:
        return None
    assert plan.mask_view is not None
    data = rows.of(plan.mask, plan.mask_view)
    if (mask := convert.mask(data)) is None:
        raise explain_mask(plan, plan.mask, plan.mask_view, rows.block, data)
    return mask


def class_weight_of(class_weight: Mapping[int, float], labels: Array, job: Job, block: Block) -> Array:
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
