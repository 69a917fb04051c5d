"""The declaration of a statistic: what it adds up or collects of rows, and what it derives from a merged state.

A new statistic is one file in :mod:`streamloss.aggregation.statistics`: no kernel, executor, state or file needs to
know it. It declares sums and counts, which kernels add up beside the loss itself (and tables for each key), or a
collector, which receives the losses of rows in pieces and returns parts of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import UsageError
from .accumulation import Accumulation, RowCount, RowSum
from .parts import Part
from .state import State
from .tables.exact_table import ExactTable, merge_tables
from .tables.keys import KeyColumn
from .tables.rows_by_key import tabulate

Array = np.ndarray[Any, Any]


class LossRows(NamedTuple):
    """The rows of a piece of a block after their losses are known, in the host's memory."""

    losses: Array
    """float32 or float64 (rows,), as NONE writes them: weighted, and rounded to the result's dtype."""
    weights: Array | None
    """float64 (rows,); None where there are none."""
    outcomes: Array | None
    """int8 (rows,): OUTCOME_COUNTED or OUTCOME_IGNORED; None where all rows count."""
    omit_nan: bool
    """Whether rows whose loss is NaN are omitted."""
    positions: Callable[..., Array]
    """``positions(index)`` returns int64: the positions of some rows, by default of all, in the losses' shape in
    row-major order, counted from the arrays' first row."""
    all_rows: int
    """The number of rows of the arrays, those that are not evaluated among them."""
    accumulation: Accumulation
    """The sums and counts of the evaluation, as kernels add them up."""
    baseline: Array | None
    """float64 (rows,): the losses of the model that is compared with."""
    keys: Mapping[str, KeyColumn]
    """The keys of groups by name."""
    cluster: KeyColumn | None
    """The key of clusters."""
    kept: Mapping[str, KeyColumn]
    """The indices of the axes that are not reduced, by name."""
    from_logits: bool | None
    """Whether predictions are logits of classes, or probabilities; None where they are neither."""
    labels: Callable[[], Array]
    """Returns (rows,) or (rows, labels): the labels as kernels take them."""
    predictions: Callable[[], Array]
    """Returns float (rows, classes): the predictions as kernels take them."""

    def counted(self) -> Array:
        """Return which rows count, with a loss that is a number: bool (rows,)."""
        counted = self.losses == self.losses
        return counted if self.outcomes is None else counted & (self.outcomes == 0)


class Collector(Protocol):
    """Receives the rows of a block piece by piece."""

    def add(self, rows: LossRows) -> None:
        """Take the next rows."""

    def parts(self) -> Mapping[str, Part]:
        """Return the parts of the state of all rows, by name."""


class TableCollector:
    """Collects tables by keys, one for each piece."""

    def __init__(
        self,
        name: str,
        columns: Callable[[LossRows], list[KeyColumn]],
        accumulation: Accumulation | None = None,
    ) -> None:
        """`columns` returns the keys of rows; `accumulation` is what is added up, by default what kernels do."""
        self._name, self._columns, self._accumulation = name, columns, accumulation
        self._tables: list[ExactTable] = []

    def add(self, rows: LossRows) -> None:
        self._tables.append(self._table(rows))

    def _table(self, rows: LossRows) -> ExactTable:
        """Return the table of a piece."""
        accumulation = self._accumulation or rows.accumulation
        return tabulate(self._columns(rows), accumulation, rows.losses, rows.weights, rows.outcomes, rows.omit_nan)

    def parts(self) -> Mapping[str, Part]:
        return {self._name: merge_tables(self._tables)} if self._tables else {}


class Parameter(NamedTuple):
    """The number that a statistic may be asked for with, as in "worst=20"."""

    default: int
    least: int
    most: int
    what: str
    """The things that it is the number of, for messages."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """A statistic of the losses of rows."""

    name: str
    sums: tuple[RowSum, ...] = ()
    counts: tuple[RowCount, ...] = ()
    parameter: Parameter | None = None
    collect: Callable[[int], Collector] | None = None
    """Returns a collector for the rows of one block; it takes the parameter."""
    derived: Mapping[str, Callable[[State], Any]] = field(default_factory=dict)
    """Functions of the merged state that return numbers, or lists and mappings of these for JSON, by their names in
    results."""
    refuses: Callable[[Any], str | None] = lambda planned: None
    """Returns why the statistic has no meaning for a planned loss, with what to do, or None."""


class Chosen(NamedTuple):
    """A statistic that was asked for, with its parameter."""

    statistic: Statistic
    parameter: int

    @property
    def text(self) -> str:
        """The name, with the parameter where the statistic has one: "worst=20"."""
        return self.statistic.name + (f"={self.parameter}" if self.statistic.parameter else "")


def chosen(text: str, known: Mapping[str, Statistic]) -> Chosen:
    """Return the statistic that a text such as "stderr" or "worst=20" names.

    Raises KeyError for an unknown name, and UsageError for a parameter that is none of the statistic's.
    """
    name, given, number = text.partition("=")
    statistic = known[name.strip()]
    asked = statistic.parameter
    if not given:
        return Chosen(statistic, 0 if asked is None else asked.default)
    if asked is None:
        raise UsageError(f"the statistic {statistic.name!r} has no number; received {text!r}.")
    try:
        value = int(number)
    except ValueError:
        value = asked.least - 1
    if not asked.least <= value <= asked.most:
        raise UsageError(
            f"the statistic {text!r}: expected {asked.least:,} to {asked.most:,} {asked.what}, such as "
            f"'{statistic.name}={asked.default}'."
        )
    return Chosen(statistic, value)
