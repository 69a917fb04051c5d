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

_POLICY_ADVICE = "Pass nan_policy='omit' to leave such rows out, or 'propagate' to let them through."


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
        or _outside(prediction, job.spec.formula.y_pred, pred_where, _prediction_advice(job))
        or _nan_problem(label, prediction, true_where, pred_where)
        or _odd_problem(label, prediction, weight if weight is None else weight[row], true_where, pred_where)
    )
    return ValueRangeError(f"{job.name}: {problem}")


def explain_inexact(job: Job, role: str, data: Array, block: Block) -> ValueRangeError:
    """The error for integers that float64 does not hold."""
    largest = int(data.max()) if abs(int(data.max())) > abs(int(data.min())) else int(data.min())
    first = ", ".join(str(i) for i in block.start)
    return ValueRangeError(
        f"{job.name}: {role} holds the integer {largest}, in the block that begins at row {first}; expected "
        "integers up to 2**53, which float64 holds exactly. Subtract an offset, or store floats if rounding is meant."
    )


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

    def row(self) -> str:
        """All of the row: ``y_pred[7, :]``."""
        index = [":" if axis == -1 else str(i) for i, axis in zip(self._index, self._view.axes, strict=True)]
        return f"{self._source.role}[{', '.join(index)}]"

    def __call__(self, position: int | None = None) -> str:
        return f"{self._source.role}[{', '.join(str(i) for i in self.index(position))}]"

    def place(self, position: int | None = None) -> str:
        """`` (chunk c/3/0 of preds.zarr)``, or nothing for an array in memory."""
        if self._source.in_memory:
            return ""
        chunk = self._source.locate(self.index(position)).strip(" ()")
        return f" ({chunk} of {self._source.where})" if chunk else f" (in {self._source.where})"


def _weight_problem(plan: Plan, at: tuple[int, ...], weight: Array | None, row: int) -> str | None:
    if weight is None or 0.0 <= weight[row] < math.inf:
        return None
    value, expected = _number(weight[row]), "expected a finite weight of at least 0"
    if isinstance(plan.sample_weight, float) or plan.sample_weight is None or plan.weight_view is None:
        return f"sample_weight is {value}; {expected}."
    where = _Where(plan, plan.sample_weight, plan.weight_view, at)
    return f"{where()} is {value}{where.place()}; {expected}. A weight of 0 leaves a row out of sums."


def _label_problem(job: Job, label: Array, classes: int, where: _Where) -> str | None:
    formula = job.spec.formula
    if isinstance(formula, Elementwise):
        return _outside(label, formula.y_true, where, "")
    expected = f"expected an integer label from 0 to {classes - 1}"
    number = float(label[0])
    if not math.isfinite(number) or number != math.floor(number):
        return (
            f"{where()} is {_number(number)}{where.place()}; {expected}. "
            "Rows without a label: give them one integer, such as -1, and pass ignore_class=-1."
        )
    value = int(label[0])
    if not 0 <= value < classes:
        return (
            f"{where()} is {value}{where.place()}, but y_pred has {classes} classes; {expected}. "
            f"If {value} marks rows without a label, pass ignore_class={value}."
        )
    return None


def _outside(values: Array, interval: Interval, where: _Where, advice: str) -> str | None:
    numbers = values.astype(np.float64)
    outside = (numbers < interval.smallest) | (numbers > interval.largest)
    if not outside.any():
        return None
    first = int(np.argmax(outside))
    return f"{where(first)} is {_number(numbers[first])}{where.place(first)}; expected a value in {interval}.{advice}"


def _prediction_advice(job: Job) -> str:
    if job.spec.parameters.get("from_logits") is False:
        return " If these are logits, pass from_logits=True; if rounding put them there, clip them."
    return ""


def _nan_problem(label: Array, prediction: Array, true_where: _Where, pred_where: _Where) -> str | None:
    for values, where in ((prediction, pred_where), (label, true_where)):
        numbers = values.astype(np.float64)
        if np.isnan(numbers).any():
            first = int(np.argmax(np.isnan(numbers)))
            return f"{where(first)} is NaN{where.place(first)}; expected a number. {_POLICY_ADVICE}"
    return None


def _odd_problem(label: Array, prediction: Array, weight: float | None, true_where: _Where, pred_where: _Where) -> str:
    """Each value is allowed, their loss is NaN: infinities against each other."""
    weighted = "" if weight is None else f", sample_weight = {_number(weight)}"
    infinite = np.isinf(prediction.astype(np.float64))
    first = int(np.argmax(infinite)) if infinite.any() else None
    culprit = "" if first is None else f"; {pred_where(first)} is {_number(float(prediction[first]))}"
    return (
        f"the loss of {pred_where.row()}{pred_where.place(first)} is NaN: {true_where.row()} = {_short(label)}, "
        f"{pred_where.row()} = {_short(prediction)}{weighted}{culprit}; expected values whose loss is a number. "
        f"{_POLICY_ADVICE}"
    )


def _number(value: float) -> str:
    """``NaN``, ``-inf``, or up to nine digits, which tell any two float32 apart."""
    return "NaN" if math.isnan(value) else f"{value:.9g}"


def _short(values: Array) -> str:
    return np.array2string(values if values.size > 1 else values[0], threshold=8, edgeitems=3, max_line_width=10**6)
