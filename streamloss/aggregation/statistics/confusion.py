"""The confusion counts of labels and predicted classes, with the loss of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..accumulation import Accumulation
from ..parts import Part
from ..state import State
from ..statistic import LossRows, Statistic
from ..tables.exact_table import ExactTable, merge_tables
from ..tables.keys import KeyColumn
from ..tables.rows_by_key import tabulate
from ..tables.states import mean_of, states_of
from ._confidence import predicted_of
from ._confidence import refuses as refuses_predictions
from .totals import STATISTIC as TOTALS

MOST_CLASSES = 1000
_TOTALS = Accumulation(TOTALS.sums, TOTALS.counts)


class _Confusion:
    def __init__(self, parameter: int) -> None:
        self._tables: list[ExactTable] = []

    def add(self, rows: LossRows) -> None:
        of = predicted_of(rows)
        columns = [KeyColumn(of.label), KeyColumn(of.predicted)]
        table = tabulate(columns, _TOTALS, rows.losses, rows.weights, rows.outcomes, rows.omit_nan)
        self._tables.append(table)

    def parts(self) -> Mapping[str, Part]:
        return {"confusion": merge_tables(self._tables)} if self._tables else {}


def confusion_matrix(state: State) -> Any:
    """Return int64 (classes, classes): the number of rows by label (rows) and predicted class (columns)."""
    table = state.parts.get("confusion")
    if not isinstance(table, ExactTable):
        return np.zeros((0, 0), np.int64)
    label, predicted, count = table.keys[0].values, table.keys[1].values, table.count("count")
    kept = (label >= 0) & (count > 0)
    classes = int(max(label[kept].max(initial=-1), predicted[kept].max(initial=-1))) + 1
    matrix = np.zeros((classes, classes), np.int64)
    matrix[label[kept], predicted[kept]] = count[kept]
    return matrix


def accuracy(state: State) -> float:
    """Return the share of the rows that count whose predicted class is the label."""
    matrix = confusion_matrix(state)
    return int(np.trace(matrix)) / int(matrix.sum()) if matrix.sum() else float("nan")


def loss_by_class(state: State) -> list[dict[str, Any]]:
    """Return for each label its count, how many rows of it were predicted right, and the mean loss."""
    table = state.parts.get("confusion")
    if not isinstance(table, ExactTable):
        return []
    found: dict[int, tuple[State, int]] = {}
    empty = State.empty(next(states_of(table, state.identity))[1].identity) if len(table) else state
    for (label, predicted), of in states_of(table, state.identity):
        held, right = found.get(label, (empty, 0))
        found[label] = held.merge(of), right + of.count("count") * (label == predicted)
    return [
        {"class": label, "count": of.count("count"), "right": right, "mean": mean_of(of)}
        for label, (of, right) in sorted(found.items())
        if of.count("count")
    ]


def _matrix(state: State) -> list[list[int]]:
    matrix: list[list[int]] = confusion_matrix(state).tolist()
    return matrix


def _refuses(planned: Any) -> str | None:
    view = planned.alignment.y_pred
    classes = max((n for n, axis in zip(view.shape, view.axes, strict=True) if axis == -1), default=1)
    if classes > MOST_CLASSES:
        return f"counts up to {MOST_CLASSES:,} classes; y_pred has {classes:,}. Leave it out, or score fewer classes"
    return refuses_predictions(planned)


STATISTIC = Statistic(
    "confusion",
    collect=_Confusion,
    derived={"accuracy": accuracy, "confusion": _matrix, "classes": loss_by_class},
    refuses=_refuses,
)
