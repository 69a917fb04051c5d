"""The reason why a row has no loss: kernels return the row's number, and this module names what is wrong with it."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from ..core.blocks import Block
from ..core.types import UNIT, Interval
from ..errors import ValueRangeError
from ..formulas._kinds import LabelLayout
from ..planning.alignment import CLASS_AXIS, View
from ..planning.plan import Plan, PlannedLoss
from ..storage.sources import Source
from .advice import CLIP, advice_on_integer, advice_on_label
from .class_maps import NO_CLASS
from .probabilities import NO_SLACK, Slack, slacks_of

Array = np.ndarray[Any, Any]

_POLICY_ADVICE = "Pass nan_policy='omit' to leave such rows out, or 'propagate' to let them through."


class RefusedRow(NamedTuple):
    """A row that has no loss, and the rows of its block as they are stored."""

    block: Block
    row: int
    labels: Array
    predictions: Array
    weights: Array | None

    @property
    def label(self) -> Array:
        return np.atleast_1d(self.labels[self.row])

    @property
    def prediction(self) -> Array:
        return np.atleast_1d(self.predictions[self.row])


def explain(plan: Plan, planned: PlannedLoss, refused: RefusedRow) -> ValueRangeError:
    """Return the error for a row."""
    block, row, weight = refused.block, refused.row, refused.weights
    at = tuple(a + int(i) for a, i in zip(block.start, np.unravel_index(row, block.shape), strict=True))
    label, prediction, slacks = refused.label, refused.prediction, slacks_of(plan, planned)
    true_where = _Where(plan, plan.y_true, planned.alignment.y_true, at)
    pred_where = _Where(plan, plan.predictions(planned), planned.alignment.y_pred, at)
    problem = (
        _weight_problem(plan, at, weight, row)
        or _map_problem(plan, planned, refused, pred_where)
        or _label_problem(planned, refused, true_where, slacks.y_true)
        or _prediction_problem(planned, prediction, pred_where, slacks.y_pred)
        or _nan_problem(label, prediction, true_where, pred_where)
        or _alignment_problem(planned, label, prediction, true_where, pred_where)
        or _odd_problem(label, prediction, weight if weight is None else weight[row], true_where, pred_where)
    )
    return ValueRangeError(f"{planned.name}: {problem}")


def explain_inexact(planned: PlannedLoss, role: str, data: Array, block: Block) -> ValueRangeError:
    """Return the error for integers that float64 does not hold."""
    largest = int(data.max()) if abs(int(data.max())) > abs(int(data.min())) else int(data.min())
    first = ", ".join(str(i) for i in block.start)
    return ValueRangeError(
        f"{planned.name}: {role} holds the integer {largest}, in the block that begins at row {first}; expected "
        "integers up to 2**53, which float64 holds exactly. Subtract an offset, or store floats if rounding is meant."
    )


def explain_mask(plan: Plan, mask: Source, view: View, block: Block, data: Array) -> ValueRangeError:
    """Return the error for a mask with an entry that is neither 0 nor 1; `data` are its rows under the block."""
    row = int(np.argmax((data != 0) & (data != 1)))
    at = tuple(a + int(i) for a, i in zip(block.start, np.unravel_index(row, block.shape), strict=True))
    where = _Where(plan, mask, view, at)
    return ValueRangeError(
        f"{where()} is {_number(float(data[row]))}{where.place()}; expected booleans, or 0 and 1: whether a row counts."
    )


def explain_class(plan: Plan, planned: PlannedLoss, block: Block, row: int, labels: Array) -> ValueRangeError:
    """Return the error for a label that names no class, where rows are weighted by their class."""
    at = tuple(a + int(i) for a, i in zip(block.start, np.unravel_index(row, block.shape), strict=True))
    where = _Where(plan, plan.y_true, planned.alignment.y_true, at)
    return ValueRangeError(
        f"{planned.name}: {where()} is {_number(float(labels[row, 0]))}{where.place()}; expected whole numbers, "
        "for class_weight names classes."
    )


class _Where:
    """The place of a row in an array, for messages: its elements' names, and the chunk that holds them."""

    def __init__(self, plan: Plan, source: Source, view: View, row: tuple[int, ...], start: int | None = None) -> None:
        """`start` is the array's row where losses begin; None: the plan's."""
        self._source, self._view = source, view
        shifted = (row[0] + (plan.start if start is None else start), *row[1:]) if row else row
        self._index = [shifted[axis] if axis >= 0 else 0 for axis in view.axes]

    def index(self, position: int | None = None) -> tuple[int, ...]:
        """Return the index of an element in the array; `position` is its flat index inside the row."""
        index = list(self._index)
        inner = [i for i, axis in enumerate(self._view.axes) if axis == CLASS_AXIS]
        if position is not None and inner:
            inside = np.unravel_index(position, [self._view.shape[i] for i in inner])
            for i, at in zip(inner, inside, strict=True):
                index[i] = int(at)
        return tuple(index)

    def row(self) -> str:
        """Return the name of all of the row: ``y_pred[7, :]``."""
        index = [":" if axis == CLASS_AXIS else str(i) for i, axis in zip(self._index, self._view.axes, strict=True)]
        return f"{self._source.role}[{', '.join(index)}]"

    def __call__(self, position: int | None = None) -> str:
        """Return the name of an element: ``y_pred[7, 2]``."""
        return f"{self._source.role}[{', '.join(str(i) for i in self.index(position))}]"

    def place(self, position: int | None = None) -> str:
        """Return `` (chunk c/3/0 of preds.zarr)``, or nothing for an array in memory."""
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


def _label_problem(planned: PlannedLoss, refused: RefusedRow, where: _Where, slack: Slack) -> str | None:
    """Return what is wrong with a row's label."""
    formula, label, classes = planned.formula, refused.label, refused.prediction.shape[-1]
    if not formula.integer_labels:
        return _outside(label, formula.y_true, where, advice_on_label(planned.spec, label, formula.y_true), slack=slack)
    if formula.label_layout is LabelLayout.SEQUENCE:
        return _sequence_problem(label.astype(np.float64), classes, where)
    number = int(label[0]) if label.dtype.kind in "iu" else float(label[0])  # floats end at 2**53
    return _integer_problem(number, 0, classes, where, advice_on_integer(planned.spec, number, classes, refused.labels))


def _map_problem(plan: Plan, planned: PlannedLoss, refused: RefusedRow, pred_where: _Where) -> str | None:
    """Return what is wrong with a label of a row in a map of classes."""
    axis = planned.alignment.class_axis
    wrong = refused.label.ravel() == NO_CLASS
    if axis is None or not wrong.any():
        return None
    index = list(pred_where.index(int(np.argmax(wrong))))
    index[axis : axis + 1] = [0] if len(plan.y_true.shape) == len(index) else []
    element = plan.y_true.read(tuple(slice(i, i + 1) for i in index), np.empty).ravel()[:1]
    number = int(element[0]) if element.dtype.kind in "iu" else float(element[0])
    classes = planned.alignment.y_pred.shape[axis]
    where = _Where(plan, plan.y_true, View(plan.y_true.shape, tuple(range(len(index)))), tuple(index), start=0)
    return _integer_problem(number, 0, classes, where, advice_on_integer(planned.spec, number, classes, element))


def _integer_problem(
    number: float, least: int, classes: int, where: _Where, advice: str = "", position: int | None = None
) -> str | None:
    expected = f"expected an integer label from {least} to {classes - 1}"
    place = where.place(position)
    if not math.isfinite(number) or number != math.floor(number):
        return f"{where(position)} is {_number(number)}{place}; {expected}.{advice}"
    value = int(number)
    if not least <= value < classes:
        has = "1 class" if classes == 1 else f"{classes} classes"
        return f"{where(position)} is {value}{place}, but y_pred has {has}; {expected}.{advice}"
    return None


def _sequence_problem(labels: Array, classes: int, where: _Where) -> str | None:
    """Return what is wrong with labels that must come first, and zeros after them."""
    for position, number in enumerate(labels.tolist()):
        if problem := _integer_problem(number, 0, classes, where, position=position):
            return problem
        if number != 0 and (labels[:position] == 0).any():
            return (
                f"{where(position)} is {int(number)}{where.place(position)}, behind a 0; expected labels from 1 to "
                f"{classes - 1} and then only zeros, which fill up the row (0 is the blank)."
            )
    return None


def _prediction_problem(planned: PlannedLoss, prediction: Array, where: _Where, slack: Slack) -> str | None:
    formula = planned.formula
    if not formula.meanings:
        return _outside(prediction, formula.y_pred, where, _prediction_advice(planned, slack), slack=slack)
    for position, (meaning, interval) in enumerate(zip(formula.meanings, formula.y_preds, strict=True)):
        if problem := _outside(
            prediction[position : position + 1], interval, where, f" It is the {meaning}.", position
        ):
            return problem
    return None


def _outside(
    values: Array, interval: Interval, where: _Where, advice: str, offset: int = 0, slack: Slack = NO_SLACK
) -> str | None:
    numbers = values.astype(np.float64).ravel()
    inside = slack.inside(numbers)
    outside = (inside < interval.smallest) | (inside > interval.largest)
    if not outside.any():
        return None
    first = int(np.argmax(outside))
    at = first + offset
    return f"{where(at)} is {_number(numbers[first])}{where.place(at)}; expected a value in {interval}.{advice}"


def _prediction_advice(planned: PlannedLoss, slack: Slack) -> str:
    if planned.formula.y_pred != UNIT:
        return ""
    has_logits = planned.spec.parameters.get("from_logits") is False
    logits = "pass from_logits=True" if has_logits else "pass their softmax or sigmoid"
    return f" If these are logits, {logits}{'' if slack.clip else f'; if they are probabilities, {CLIP}'}."


def _nan_problem(label: Array, prediction: Array, true_where: _Where, pred_where: _Where) -> str | None:
    for values, where in ((prediction, pred_where), (label, true_where)):
        numbers = values.astype(np.float64).ravel()
        if np.isnan(numbers).any():
            first = int(np.argmax(np.isnan(numbers)))
            return f"{where(first)} is NaN{where.place(first)}; expected a number. {_POLICY_ADVICE}"
    return None


def _alignment_problem(
    planned: PlannedLoss, label: Array, prediction: Array, true_where: _Where, pred_where: _Where
) -> str | None:
    """Return why a sequence of labels has too few time steps, or no alignment that is possible."""
    if planned.formula.label_layout is not LabelLayout.SEQUENCE:
        return None
    labels = label[: np.count_nonzero(label)].tolist()
    steps, needed = len(prediction), len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
    why = (
        f"its {len(labels)} labels need {needed} time steps (equal neighbours need a blank between them), "
        f"but y_pred has {steps}"
        if needed > steps
        else "every alignment has a step whose logit is -inf"
    )
    return (
        f"{true_where.row()} cannot be aligned with {pred_where.row()}{pred_where.place(0)}: {why}; expected a "
        "possible sequence. Pass nan_policy='omit' to leave such rows out, or 'propagate' for infinite losses."
    )


def _odd_problem(label: Array, prediction: Array, weight: float | None, true_where: _Where, pred_where: _Where) -> str:
    """Return the message for values that are allowed, but whose loss is NaN: infinities against each other."""
    weighted = "" if weight is None else f", sample_weight = {_number(weight)}"
    infinite = np.isinf(prediction.astype(np.float64).ravel())
    first = int(np.argmax(infinite)) if infinite.any() else None
    culprit = "" if first is None else f"; {pred_where(first)} is {_number(float(prediction.ravel()[first]))}"
    return (
        f"the loss of {pred_where.row()}{pred_where.place(first)} is NaN: {true_where.row()} = {_short(label)}, "
        f"{pred_where.row()} = {_short(prediction)}{weighted}{culprit}; expected values whose loss is a number. "
        f"{_POLICY_ADVICE}"
    )


def _number(value: float) -> str:
    """Return ``NaN``, ``-inf``, or up to nine digits, which tell any two float32 apart; all where nine would make a
    whole number of a fraction.
    """
    if math.isnan(value):
        return "NaN"
    short, value = f"{value:.9g}", float(value)
    return repr(value) if float(short).is_integer() and not value.is_integer() else short


def _short(values: Array) -> str:
    return np.array2string(values if values.size > 1 else values[0], threshold=8, edgeitems=3, max_line_width=10**6)
