"""Why a row has no loss: the kernels only say which row it is, this module looks at it and says what is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..alignment import View
from ..errors import ValueRangeError
from ..losses._registry import Elementwise
from ..planning import Job, Plan
from ..sources import Source
from ..types import Block, Interval

Array = np.ndarray[Any, Any]


def explain(
    plan: Plan, job: Job, block: Block, row: int, labels: Array, predictions: Array, weight: Array | None
) -> ValueRangeError:
    """The error for row `row` of a block, of which these are the rows as stored."""
    at = tuple(a + int(i) for a, i in zip(block.start, np.unravel_index(row, block.shape), strict=True))
    label, prediction = np.atleast_1d(labels[row]), np.atleast_1d(predictions[row])
    true_where = _Where(plan, plan.y_true, job.layout.y_true, at)
    pred_where = _Where(plan, plan.y_pred, job.layout.y_pred, at)
    problem = (
        _weight_problem(plan, at, weight, row)
        or _label_problem(job, label, prediction.size, true_where)
        or _outside("y_pred", prediction, job.spec.formula.y_pred, pred_where, _prediction_advice(job))
        or _nan_problem(label, prediction, true_where, pred_where)
    )
    if problem is None:
        weighted = "" if weight is None else f", weighted by {weight[row]}"
        problem = (
            f"the loss of row {_index(at)} is not a number: y_true = {_short(label)}, "
            f"y_pred = {_short(prediction)}{weighted}"
            f"{pred_where.chunk()}. Pass nan_policy='omit' to leave such rows out, or 'propagate' to let them through."
        )
    return ValueRangeError(f"{job.name}: {problem}")


class _Where:
    """Names an element of an array, and the chunk that holds it."""

    def __init__(self, plan: Plan, source: Source, view: View, row: tuple[int, ...]) -> None:
        self._source, self._view = source, view
        shifted = (row[0] + plan.start, *row[1:]) if row else row
        self._index = [shifted[axis] if axis >= 0 else 0 for axis in view.axes]

    def index(self, position: int | None = None) -> tuple[int, ...]:
        index = list(self._index)
        if position is not None and -1 in self._view.axes:
            index[self._view.axes.index(-1)] = position
        return tuple(index)

    def __call__(self, position: int | None = None) -> str:
        return f"{self._source.role}[{_index(self.index(position))}]"

    def chunk(self, position: int | None = None) -> str:
        return self._source.locate(self.index(position))


def _weight_problem(plan: Plan, at: tuple[int, ...], weight: Array | None, row: int) -> str | None:
    if weight is None or 0.0 <= weight[row] < math.inf:
        return None
    expected = "expected a finite weight of at least 0. Drop the row, or give it the weight 0."
    if isinstance(plan.sample_weight, float) or plan.sample_weight is None or plan.weight_view is None:
        return f"sample_weight is {weight[row]:g}; {expected}"
    where = _Where(plan, plan.sample_weight, plan.weight_view, at)
    return f"{where()} is {weight[row]:g}{where.chunk()}; {expected}"


def _label_problem(job: Job, label: Array, classes: int, where: _Where) -> str | None:
    formula = job.spec.formula
    if isinstance(formula, Elementwise):
        return _outside("y_true", label, formula.y_true, where, "")
    value = label[0]
    number = float(value)
    if not math.isfinite(number) or number != math.floor(number):
        return f"{where()} is {value}{where.chunk()}; expected an integer label from 0 to {classes - 1}."
    if not 0 <= int(value) < classes:
        advice = f" If {int(value)} marks rows without a label, pass ignore_class={int(value)}."
        return (
            f"{where()} is {int(value)}{where.chunk()}, but y_pred has {classes} classes; "
            f"expected a label from 0 to {classes - 1}.{advice}"
        )
    return None


def _outside(role: str, values: Array, interval: Interval, where: _Where, advice: str) -> str | None:
    numbers = values.astype(np.float64)
    outside = (numbers < interval.smallest) | (numbers > interval.largest)
    if not outside.any():
        return None
    first = int(np.argmax(outside))
    return f"{where(first)} is {numbers[first]:.9g}{where.chunk(first)}; expected values in {interval}.{advice}"


def _prediction_advice(job: Job) -> str:
    if job.spec.parameters.get("from_logits") is False:
        return " If these are logits, pass from_logits=True."
    return ""


def _nan_problem(label: Array, prediction: Array, true_where: _Where, pred_where: _Where) -> str | None:
    for values, where in ((prediction, pred_where), (label, true_where)):
        numbers = values.astype(np.float64)
        if np.isnan(numbers).any():
            first = int(np.argmax(np.isnan(numbers)))
            return (
                f"{where(first)} is NaN{where.chunk(first)}. Pass nan_policy='omit' to leave such rows out, "
                "or 'propagate' to let them through."
            )
    return None


def _index(at: tuple[int, ...]) -> str:
    return ", ".join(str(i) for i in at)


def _short(values: Array) -> str:
    return np.array2string(values if values.size > 1 else values[0], threshold=8, edgeitems=3, max_line_width=10**6)
