"""The losses of two models on the same rows: sums of their products, and how often which one is smaller.

With the second moments of each model (the statistic "stderr") these give those of the differences, exactly:
``Σ (b - a)² = Σ b² - 2 Σ a b + Σ a²``.
"""

import numpy as np

from ...core.primitives import fma
from ..accumulation import Accumulation, RowCount, RowSum
from ..statistic import LossRows, Statistic, TableCollector
from ..tables.exact_table import ExactTable
from ..tables.keys import KeyColumn
from ..tables.rows_by_key import tabulate

INFINITY = float("inf")


def _product(value: float, baseline: float) -> tuple[float, float]:
    rounded = value * baseline
    return rounded, fma(value, baseline, -rounded) if abs(rounded) < INFINITY else 0.0


def _better(value: float, baseline: float) -> bool:
    return value < baseline


def _equal(value: float, baseline: float) -> bool:
    return value == baseline


_SUMS = Accumulation(
    (RowSum("loss_times_baseline", _product, num_terms=2),), (RowCount("better", _better), RowCount("equal", _equal))
)


class _Paired(TableCollector):
    """Collects the table of pairs, by the keys of groups where there are some."""

    def _table(self, rows: LossRows) -> ExactTable:
        """Return the table of a piece; the baseline's losses stand where others have weights."""
        assert rows.baseline is not None
        return tabulate(self._columns(rows), _SUMS, rows.losses, rows.baseline, rows.outcomes, rows.omit_nan)


def _columns(rows: LossRows) -> list[KeyColumn]:
    return list(rows.keys.values()) or [KeyColumn(np.zeros(len(rows.losses), np.int64))]


STATISTIC = Statistic("paired", collect=lambda parameter: _Paired("paired", _columns))
