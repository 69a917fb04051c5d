"""Calibration near certainty: whether a probability of 0.999 is wrong once in a thousand rows.

Rows are counted by the power of two below their doubt, which is 1 less the probability of what is predicted: the class
with the largest one, or for one column the likelier of both outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..parts import Part
from ..state import State
from ..statistic import LossRows, Statistic
from ..tables.exact_table import ExactTable, merge_tables
from ..tables.keys import KeyColumn
from ..tables.rows_by_key import tabulate
from ._confidence import predicted_of, refuses
from .calibration import SUMS

LEAST = -60
"""The exponent of the least doubt that is told apart; a doubt below is counted with it."""


class _Tail:
    def __init__(self) -> None:
        self._tables: list[ExactTable] = []

    def add(self, rows: LossRows) -> None:
        of = predicted_of(rows)
        doubt = np.minimum(of.doubt, of.confidence) if rows.predictions().shape[1] == 1 else of.doubt
        kept = rows.counted() & (of.label >= 0) & (doubt == doubt)
        doubt, wrong = doubt[kept], (of.label != of.predicted)[kept].astype(np.int64)
        weights = None if rows.weights is None else rows.weights[kept]
        _, exponent = np.frexp(np.maximum(doubt, 2.0**LEAST))
        columns = [KeyColumn(exponent.astype(np.int64) - 1), KeyColumn(wrong)]
        self._tables.append(tabulate(columns, SUMS, doubt, weights, None))

    def parts(self) -> Mapping[str, Part]:
        return {"calibration_tail": merge_tables(self._tables)} if self._tables else {}


class TailBin(NamedTuple):
    """The rows whose doubt lies between two powers of two."""

    doubt_from: float
    doubt_to: float
    rows: int
    doubt: float
    """The mean of the doubt: the share of wrong rows that the model promises."""
    wrong: float
    """The share of rows that are wrong."""


def tail_of(state: State) -> list[TailBin]:
    """Return the bins that hold rows, the least doubt first."""
    table = state.parts.get("calibration_tail")
    if not isinstance(table, ExactTable):
        return []
    exponents, wrongs = (column.values.tolist() for column in table.keys)
    counts, doubts = table.count("count").tolist(), [total.exactly() for total in table.sums("confidence")]
    weighted = state.identity.weighted
    weights = [total.exactly() for total in table.sums("weight")] if weighted else list(map(Fraction, counts))
    found = []
    for exponent in sorted(set(exponents)):
        rows = [i for i, e in enumerate(exponents) if e == exponent]
        weight = sum((weights[i] for i in rows), Fraction(0))
        doubt = sum((doubts[i] for i in rows), Fraction(0))
        wrong = sum((weights[i] * wrongs[i] for i in rows), Fraction(0))
        shares = (float(doubt / weight), float(wrong / weight)) if weight else (float("nan"), float("nan"))
        low = 0.0 if exponent == LEAST else 2.0**exponent
        found.append(TailBin(low, 2.0 ** (exponent + 1), sum(counts[i] for i in rows), *shares))
    return found


def _bins(state: State) -> list[dict[str, float]]:
    return [of._asdict() for of in tail_of(state)]


STATISTIC = Statistic(
    "calibration_tail", collect=lambda parameter: _Tail(), derived={"calibration_tail": _bins}, refuses=refuses
)
