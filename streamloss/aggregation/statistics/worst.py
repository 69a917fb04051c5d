"""The rows with the largest losses: where they are, what their labels and predictions are, their weights and keys."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..parts import Part
from ..selected_rows import SelectedRows, largest
from ..state import State
from ..statistic import Array, LossRows, Parameter, Statistic
from ..tables.keys import KeyColumn

MOST = 100_000


class _Worst:
    def __init__(self, most: int) -> None:
        self._most = most
        self._rows = SelectedRows(most)

    def add(self, rows: LossRows) -> None:
        losses = rows.losses.astype(np.float64, copy=False)
        if len(self._rows) == self._most:  # a loss below all of these is none of the largest
            candidates = np.flatnonzero(losses >= self._rows.losses[-1])
            if rows.outcomes is not None:
                candidates = candidates[rows.outcomes[candidates] == 0]
        else:
            counted = rows.counted()
            candidates = np.arange(len(losses)) if counted.all() else np.flatnonzero(counted)
        if not candidates.size:
            return
        found = candidates[largest(losses[candidates], candidates, self._most)]
        columns: list[tuple[str, KeyColumn | Array]] = [
            ("label", label_of(rows, found)),
            ("prediction", prediction_of(rows, found)),
        ]
        if rows.weights is not None:
            columns.append(("weight", rows.weights[found]))
        columns += [(f"by.{name}", column.take(found)) for name, column in rows.keys.items()]
        self._rows = self._rows.merge(SelectedRows(self._most, rows.positions(found), losses[found], tuple(columns)))

    def parts(self) -> Mapping[str, Part]:
        return {"worst": self._rows} if len(self._rows) else {}


def label_of(rows: LossRows, index: Array) -> Array:
    """Return the label of some rows as float64: the number, or the class of the largest entry; NaN for sequences."""
    labels = rows.labels()[index]
    if labels.ndim == 1 or labels.shape[1] == 1:
        return labels.reshape(-1).astype(np.float64)
    if rows.from_logits is None:
        return np.full(len(index), np.nan)
    return labels.argmax(axis=1).astype(np.float64)


def prediction_of(rows: LossRows, index: Array) -> Array:
    """Return the prediction for some rows as float64: the number, or what was predicted for the label's class."""
    predictions = rows.predictions()[index]
    if predictions.ndim > 2:
        return np.full(len(index), np.nan)
    if predictions.shape[1] == 1:
        return predictions[:, 0].astype(np.float64)
    label = label_of(rows, index)
    held = (label >= 0) & (label < predictions.shape[1]) & (label == np.floor(label))
    if rows.from_logits is None or not held.all():
        return np.full(len(index), np.nan)
    return predictions[np.arange(len(index)), label.astype(np.int64)].astype(np.float64)


def rows_of(state: State) -> list[dict[str, Any]]:
    """Return the rows in descending order of their losses: positions, losses and what is known of them, by name."""
    found = state.parts.get("worst")
    if not isinstance(found, SelectedRows):
        return []
    columns = {
        name: column.objects() if isinstance(column, KeyColumn) else column.tolist() for name, column in found.columns
    }
    return [
        {"position": position, "loss": loss, **{name: _plain(values[i]) for name, values in columns.items()}}
        for i, (position, loss) in enumerate(zip(found.positions.tolist(), found.losses.tolist(), strict=True))
    ]


def _plain(value: Any) -> Any:
    """Return a value for JSON; None for NaN, by which columns say that there is no one label or prediction."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


STATISTIC = Statistic(
    "worst",
    parameter=Parameter(20, 1, MOST, "rows"),
    collect=_Worst,
    derived={"worst": rows_of},
)
