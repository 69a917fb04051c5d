"""A block of the arrays: each read once, as rows, and converted to what kernels take in the host's memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np

from ..core.blocks import Block
from ..formulas._kinds import LabelLayout
from ..planning.alignment import CLASS_AXIS, Alignment, View
from ..planning.dtypes import floating_dtype
from ..planning.plan import Plan, PlannedLoss
from ..storage.sources import Source
from . import convert
from .class_maps import Elements, elements_of_map, elements_of_numbers
from .diagnosis import explain_class, explain_inexact, explain_mask

Array = np.ndarray[Any, Any]


class BufferPool:
    """Memory into which one thread reads one block after the other: fresh pages would cost as much as Blosc."""

    def __init__(self, new: Callable[[int], Array] = lambda size: np.empty(size, np.uint8)) -> None:
        """`new` returns an array of so many bytes."""
        self._new = new
        self._held: dict[Hashable, Array] = {}

    def allocate(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array that may be used until the next call with the same key."""
        if dtype.hasobject or dtype.kind == "T":  # what they hold is not in the array itself
            return np.empty(shape, dtype)
        size = math.prod(shape) * dtype.itemsize
        if key not in self._held or self._held[key].size < size:
            self._held.pop(key, None)
            self._held[key] = self._new(size)
        return self._held[key][:size].view(dtype).reshape(shape)


class BlockInputs:
    """The arrays' rows under a block, each array read once."""

    def __init__(self, plan: Plan, block: Block, buffers: BufferPool | None = None, nan_policy: str = "raise") -> None:
        self.block = block
        self.nan_policy = nan_policy
        self._plan = plan
        self._buffers = buffers
        self._read: dict[tuple[str, View], Array] = {}
        self._elements: dict[tuple[Alignment, int | None], Elements] = {}

    def read(self, source: Source, view: View) -> Array:
        """Return an array's rows as they are stored: (rows,), with the axes of classes behind."""
        key = (source.role, view)
        if key not in self._read:
            allocate = np.empty if self._buffers is None else partial(self._buffers.allocate, key)
            stored = source.read(view.select(self.block, self._plan.start), allocate)
            self._read[key] = view.to_rows(stored, self.block.shape)
        return self._read[key]

    def elements(self, planned: PlannedLoss) -> Elements:
        """Return the labels of a ratio's elements, and which of them are ignored."""
        source, alignment = self._plan.y_true, planned.alignment
        ignore_class = planned.spec.parameters["ignore_class"]
        key = alignment, ignore_class
        if key not in self._elements and alignment.class_axis is None:
            stored = self.read(source, alignment.y_true).reshape(self.block.rows, -1)
            self._elements[key] = elements_of_numbers(stored, ignore_class)
        elif key not in self._elements:
            start, pool = self._plan.start, self._buffers
            allocate = np.empty if pool is None else partial(pool.allocate, (source.role, alignment.y_true))
            stored = source.read(alignment.y_true.select(self.block, start), allocate)
            new = np.empty if pool is None else partial(pool.allocate, key)
            self._elements[key] = elements_of_map(stored, alignment, self.block, start, ignore_class, new)
        return self._elements[key]

    def on_device(self, source: Source, view: View) -> Any:
        """Return the rows of an array on a GPU in place, (rows,) or (rows, classes).

        None where the array is not on a GPU, or its rows do not lie one after the other.
        """
        if not source.on_gpu or not view.in_order(len(self.block.shape)):
            return None
        data = source.on_device(view.select(self.block, self._plan.start))
        if data is None:
            return None
        return data.reshape((self.block.rows, -1) if CLASS_AXIS in view.axes else (self.block.rows,))


def host_weight(plan: Plan, inputs: BlockInputs) -> Array | None:
    """Return each row's `sample_weight` (rows,), one for all (1,), or None."""
    if plan.sample_weight is None:
        return None
    if isinstance(plan.sample_weight, float):
        return np.array([plan.sample_weight])
    assert plan.weight_view is not None
    return convert.weights(inputs.read(plan.sample_weight, plan.weight_view))


def host_mask(plan: Plan, inputs: BlockInputs) -> Array | None:
    """Return whether each row counts, or None. Raises ValueRangeError for an entry that is neither 0 nor 1."""
    if plan.mask is None:
        return None
    assert plan.mask_view is not None
    data = inputs.read(plan.mask, plan.mask_view)
    if (mask := convert.mask(data)) is None:
        raise explain_mask(plan, plan.mask, plan.mask_view, inputs.block, data)
    return mask


def host_labels(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return labels as kernels take them. Raises ValueRangeError for integers that float64 does not hold."""
    if planned.alignment.class_axis is not None:
        return inputs.elements(planned).labels
    stored = inputs.read(plan.y_true, planned.alignment.y_true)
    if planned.formula.integer_labels:
        labels = convert.labels(stored)
        return labels.astype(np.int64) if planned.formula.label_layout is LabelLayout.SEQUENCE else labels
    _refuse_inexact(plan, planned, inputs, "y_true", stored)
    rounded = convert.rounded(stored, planned.precision)
    y_true = convert.targets(rounded, floating_dtype(plan.predictions(planned).dtype))
    if planned.formula.label_layout is LabelLayout.PER_ROW:
        return y_true.reshape(-1)
    return _without_ignored(planned, inputs, y_true.reshape(inputs.block.rows, -1))


def host_predictions(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return predictions as kernels take them. Raises ValueRangeError for integers that float64 does not hold."""
    stored = inputs.read(plan.predictions(planned), planned.alignment.y_pred)
    _refuse_inexact(plan, planned, inputs, "y_pred", stored)
    y_pred = convert.floating(convert.rounded(stored, planned.precision))
    is_sequence = planned.formula.label_layout is LabelLayout.SEQUENCE
    return y_pred if is_sequence else _without_ignored(planned, inputs, y_pred.reshape(inputs.block.rows, -1))


def mask_without_ignored(planned: PlannedLoss, inputs: BlockInputs, mask: Array | None) -> Array | None:
    """Return the mask of a loss' rows, without those of which ``ignore_class`` leaves nothing."""
    if not planned.formula.is_ratio or (ignored := inputs.elements(planned).ignored_rows) is None:
        return mask
    return ~ignored if mask is None else mask & ~ignored


def _without_ignored(planned: PlannedLoss, inputs: BlockInputs, values: Array) -> Array:
    return inputs.elements(planned).without_ignored(values) if planned.formula.is_ratio else values


def _refuse_inexact(plan: Plan, planned: PlannedLoss, inputs: BlockInputs, role: str, stored: Array) -> None:
    """Raise ValueRangeError for integers of rows that count, if float64 does not hold them."""
    if convert.inexact_integers(stored):
        of_rows = stored.reshape(inputs.block.rows, -1)[rows_that_count(plan, planned, inputs)]
        if convert.inexact_integers(of_rows):
            raise explain_inexact(planned, role, of_rows, inputs.block)


def class_weight_of(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return each row's weight by its label: an integer, or the largest entry of its distribution. Others weigh 1.

    Raises ValueRangeError for the first row that counts and whose label is a fraction.
    """
    classes = _classes_of(plan, planned, inputs)
    if not planned.formula.integer_labels:
        fractions = (classes == convert.NOT_A_LABEL) & ~_holds_nan(plan, planned, inputs)
        if fractions.any() and (fractions := fractions & rows_that_count(plan, planned, inputs)).any():
            raise explain_class(plan, planned, inputs.block, int(np.argmax(fractions)), _labels(plan, planned, inputs))
    return _weights_by_class(plan, classes)


def rows_that_count(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return which rows have a say in what labels decide: bool (rows,).

    Those have none that a mask, ``ignore_class`` or a weight of 0 leaves out, or NaN under ``nan_policy="omit"``. It is
    the policy of `streamloss.kernels.row_policy` before losses are known.
    """
    counts = np.ones(inputs.block.rows, np.bool_)
    if (mask := host_mask(plan, inputs)) is not None:
        counts &= mask
    if (ignored := _ignored_by_class(plan, planned, inputs)) is not None:
        counts &= ~ignored
    if (weight := host_weight(plan, inputs)) is not None:
        counts &= weight != 0
    if plan.class_weight is not None:
        counts &= _weights_by_class(plan, _classes_of(plan, planned, inputs)) != 0
    if inputs.nan_policy == "omit":
        counts &= ~_holds_nan(plan, planned, inputs)
        predictions = inputs.read(plan.predictions(planned), planned.alignment.y_pred)
        counts &= ~_rows_with_nan(predictions.reshape(inputs.block.rows, -1))
    return counts


def ignored_rows(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array | None:
    """Return which rows a mask or ``ignore_class`` leaves out: bool (rows,); None where neither is asked for."""
    mask, labelled = host_mask(plan, inputs), _ignored_by_class(plan, planned, inputs)
    if mask is None or labelled is None:
        return labelled if mask is None else ~mask
    return labelled | ~mask


def _ignored_by_class(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array | None:
    if planned.formula.is_ratio:
        return inputs.elements(planned).ignored_rows
    ignore_class = planned.spec.parameters.get("ignore_class")
    if ignore_class is None:
        return None
    labelled: Array = convert.labels(_labels(plan, planned, inputs)[:, 0]) == ignore_class
    return labelled


def labels_beside_0_and_1(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> int:
    """Return how many labels of the rows that count are neither 0 nor 1. NaN is no label."""
    labels = _labels(plan, planned, inputs)
    others = (labels != 0) & (labels != 1) & (labels == labels)
    return int(np.count_nonzero(others[rows_that_count(plan, planned, inputs)])) if others.any() else 0


def _labels(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return the labels of each row as they are stored: (rows, labels); those of a map as 0 and 1 for each class."""
    if planned.alignment.class_axis is not None:
        return inputs.elements(planned).labels
    return inputs.read(plan.y_true, planned.alignment.y_true).reshape(inputs.block.rows, -1)


def _holds_nan(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    return _rows_with_nan(_labels(plan, planned, inputs))


def _rows_with_nan(rows: Array) -> Array:
    found: Array = (rows != rows).any(axis=1)
    return found


def _classes_of(plan: Plan, planned: PlannedLoss, inputs: BlockInputs) -> Array:
    """Return the class of each row's label; NOT_A_LABEL where it names none, also for NaN."""
    labels = _labels(plan, planned, inputs)
    if labels.shape[1] == 1:
        return convert.labels(labels[:, 0])
    return np.where(_rows_with_nan(labels), convert.NOT_A_LABEL, labels.argmax(axis=1))


def _weights_by_class(plan: Plan, classes: Array) -> Array:
    assert plan.class_weight is not None
    known = np.array(sorted(plan.class_weight), np.int64)
    weights = np.array([plan.class_weight[label] for label in sorted(plan.class_weight)], np.float64)
    place = np.minimum(np.searchsorted(known, classes), len(known) - 1)
    return np.where((known[place] == classes) & (classes != convert.NOT_A_LABEL), weights[place], 1.0)
