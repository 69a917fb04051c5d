"""The running loss: the totals of equal ranges of the arrays' rows, in their order, whatever the blocks."""

from typing import Any

import numpy as np

from ..state import State
from ..statistic import LossRows, Parameter, Statistic, TableCollector
from ..tables.exact_table import ExactTable
from ..tables.keys import KeyColumn
from ..tables.states import mean_of, states_of

MOST_RANGES = 1000


def _collector(ranges: int) -> TableCollector:
    def columns(rows: LossRows) -> list[KeyColumn]:
        positions = rows.positions()
        count = min(ranges, rows.all_rows)
        # position * count / all_rows, without a product that does not fit int64
        size, rest = divmod(rows.all_rows, count)
        longer = rest * (size + 1)  # the first ranges have a row more
        codes = np.where(positions < longer, positions // (size + 1), rest + (positions - longer) // max(1, size))
        return [KeyColumn.of(codes)]

    return TableCollector("running", columns)


def ranges_of(state: State) -> list[dict[str, Any]]:
    """Return the ranges that have rows, in order: the number of the range, the count and the mean."""
    table = state.parts.get("running")
    if not isinstance(table, ExactTable):
        return []
    return [
        {"range": key, "count": part.count("count"), "mean": mean_of(part)}
        for (key,), part in states_of(table, state.identity)
    ]


STATISTIC = Statistic(
    "running",
    parameter=Parameter(100, 2, MOST_RANGES, "equal ranges of the rows"),
    collect=_collector,
    derived={"running": ranges_of},
)
