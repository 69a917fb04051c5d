"""Calibration: whether probabilities mean what they say, in bins of equal width of the predicted probability.

For one column it is the probability of class 1 against the share of the label 1; for several, the largest probability
against the share of rows where it is right (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural
Networks", 2017). Weights weigh rows. The decomposition of the Brier score is Murphy's ("A New Vector Partition of the
Probability Score", 1973), by bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ...core.primitives import fma
from ..accumulation import Accumulation, RowSum, weight_alone
from ..parts import Part
from ..state import State
from ..statistic import LossRows, Parameter, Statistic
from ..tables.exact_table import ExactTable, merge_tables
from ..tables.keys import KeyColumn
from ..tables.rows_by_key import tabulate
from ._confidence import predicted_of, refuses


def _times_weight(value: float, weight: float) -> tuple[float, float]:
    rounded = value * weight
    return rounded, fma(value, weight, -rounded)


SUMS = Accumulation(
    (
        RowSum("confidence", _times_weight, num_terms=2),
        RowSum("weight", weight_alone, of_weight_alone=True),
    )
)


class _Calibration:
    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._tables: list[ExactTable] = []

    def add(self, rows: LossRows) -> None:
        of = predicted_of(rows)
        kept = rows.counted() & (of.label >= 0) & (of.confidence == of.confidence)
        confidence, weights = of.confidence[kept], None if rows.weights is None else rows.weights[kept]
        one_column = rows.predictions().shape[1] == 1
        outcome = of.label[kept] if one_column else (of.label == of.predicted)[kept].astype(np.int64)
        bins = np.clip((confidence * self._bins).astype(np.int64), 0, self._bins - 1)
        columns = [KeyColumn(bins), KeyColumn(outcome)]
        self._tables.append(tabulate(columns, SUMS, confidence, weights, None))

    def parts(self) -> Mapping[str, Part]:
        return {"calibration": merge_tables(self._tables)} if self._tables else {}


class Bin(NamedTuple):
    """The rows of one bin of the predicted probability."""

    low: float
    high: float
    rows: int
    weight: float
    confidence: float
    """The mean of the predicted probability."""
    accuracy: float
    """The share of the rows where the outcome was so."""


class _Sums(NamedTuple):
    weight: Fraction
    confidence: Fraction
    right: Fraction
    rows: int


def _sums_by_bin(state: State) -> dict[int, _Sums]:
    table = state.parts.get("calibration")
    if not isinstance(table, ExactTable):
        return {}
    bins, outcomes = (column.values.tolist() for column in table.keys)
    counts = table.count("count").tolist()
    confidences = [total.exactly() for total in table.sums("confidence")]
    weighted = state.identity.weighted
    weights = [total.exactly() for total in table.sums("weight")] if weighted else list(map(Fraction, counts))
    found: dict[int, _Sums] = {}
    for row, number in enumerate(bins):
        held = found.get(number, _Sums(Fraction(0), Fraction(0), Fraction(0), 0))
        found[number] = _Sums(
            held.weight + weights[row],
            held.confidence + confidences[row],
            held.right + weights[row] * outcomes[row],
            held.rows + counts[row],
        )
    return found


def bins_of(state: State) -> list[Bin]:
    """Return the bins that hold rows, in order."""
    (number,) = [int(s.partition("=")[2]) for s in state.identity.statistics if s.startswith("calibration=")] or [0]
    return [
        Bin(
            position / number,
            (position + 1) / number,
            of.rows,
            float(of.weight),
            float(of.confidence / of.weight) if of.weight else math.nan,
            float(of.right / of.weight) if of.weight else math.nan,
        )
        for position, of in sorted(_sums_by_bin(state).items())
    ]


def _errors(state: State) -> list[tuple[Fraction, Fraction]]:
    """Return for each bin its share of the weight, and how far confidence and accuracy lie apart."""
    bins = [of for of in _sums_by_bin(state).values() if of.weight]
    total = sum((of.weight for of in bins), Fraction(0))
    return [(of.weight / total, abs(of.confidence - of.right) / of.weight) for of in bins]


def expected_error(state: State) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy over all rows."""
    errors = _errors(state)
    return float(sum((share * error for share, error in errors), Fraction(0))) if errors else math.nan


def maximum_error(state: State) -> float:
    """Return the largest distance of confidence and accuracy of a bin."""
    return float(max((error for _, error in _errors(state)), default=math.nan))


def brier_decomposition(state: State) -> dict[str, float]:
    """Return reliability, resolution and uncertainty, by bins: the Brier score is about their first less the second
    plus the third.
    """
    bins = [of for of in _sums_by_bin(state).values() if of.weight]
    if not bins:
        return {}
    total = sum((of.weight for of in bins), Fraction(0))
    base = sum((of.right for of in bins), Fraction(0)) / total
    reliability = sum(((of.confidence - of.right) ** 2 / of.weight for of in bins), Fraction(0)) / total
    resolution = sum((of.weight * (of.right / of.weight - base) ** 2 for of in bins), Fraction(0)) / total
    uncertainty = base * (1 - base)
    return {"reliability": float(reliability), "resolution": float(resolution), "uncertainty": float(uncertainty)}


def _bins(state: State) -> list[dict[str, Any]]:
    return [of._asdict() for of in bins_of(state)]


STATISTIC = Statistic(
    "calibration",
    parameter=Parameter(15, 2, 1000, "bins"),
    collect=_Calibration,
    derived={
        "expected_calibration_error": expected_error,
        "maximum_calibration_error": maximum_error,
        "brier_decomposition": brier_decomposition,
        "calibration_bins": _bins,
    },
    refuses=refuses,
)
