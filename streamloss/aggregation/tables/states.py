"""The state of each key of a table, from which every value of a group is derived as that of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..exact_sum import ExactSum
from ..identity import StateIdentity
from ..state import State
from .exact_table import ExactTable


def states_of(table: ExactTable, identity: StateIdentity) -> Iterator[tuple[tuple[Any, ...], State]]:
    """Yield the keys of each row of a table, and the state of the rows that have them.

    `identity` is that of the state that holds the table.
    """
    of_key = replace(identity, statistics=tuple(s for s in identity.statistics if "=" not in s), by=())
    keys = zip(*(column.objects() for column in table.keys), strict=True)
    sums = {window.name: table.sums(window.name) for window in table.windows}
    counts = {name: table.count(name).tolist() for name in table.count_names}
    for row, key in enumerate(keys):
        count = counts["count"][row]
        of_row = {name: total[row] for name, total in sums.items()}
        held = {name: number[row] for name, number in counts.items()}
        if not identity.weighted:
            of_row.setdefault("weight", ExactSum.of_count(count))
            held.setdefault("nonzero_weights", count)
        yield key, State(of_key, of_row, held)


def mean_of(state: State) -> float:
    """Return the mean that tables show: the weighted mean where rows have weights."""
    loss, count = state.sum("loss"), state.count("count")
    return loss.over(state.sum("weight").exactly() if state.identity.weighted else Fraction(count))
