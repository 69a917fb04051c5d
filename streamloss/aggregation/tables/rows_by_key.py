"""Adding rows to a table by their keys: the loop over rows, for what an accumulation declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...core.jit import inline, scalar
from ...core.loop import Loop, loop
from ..accumulation import NUM_OUTCOMES, OUTCOME_COUNTED, OUTCOME_OMITTED, Accumulation, RowCount, RowSum, value_alone
from ..accumulator import HIGH_LIMB, SIZE, inside, parts, spread
from .exact_table import ExactTable, Window, in_order
from .fast_rows import add_fast, is_fast
from .keys import Array, KeyColumn, number_rows

OUTCOME_NAMES = ("count", "omitted", "ignored")
"""The names of the counts of outcomes, by outcome."""
SPILLS = 4096
"""The values outside windows that the loop notes before it stops to have them added."""
TOP = 35
"""One past the last limb of every window: 2**46."""


def window_of(total: RowSum) -> Window:
    """Return the limbs that a table keeps of a sum: for values of at least 2**-93 and below 2**35, with room for the
    rounding errors of products where a row has two terms.
    """
    low = 29 if total.num_terms == 1 else 25  # units of 2**-146 and 2**-274
    return Window(total.name, low, TOP - low)


def tabulate(
    columns: Sequence[KeyColumn],
    accumulation: Accumulation,
    losses: Array,
    weights: Array | None,
    outcomes: Array | None,
    omit_nan: bool = False,
) -> ExactTable:
    """Return the table of some rows: for each key the sums and counts that `accumulation` declares.

    Parameters
    ----------
    columns : sequence of KeyColumn
        The keys of each row.
    accumulation : Accumulation
        The sums and counts.
    losses : float32 or float64 array (rows,)
        As NONE writes them.
    weights : float64 array (rows,), optional
        By default rows have none.
    outcomes : int8 array (rows,), optional
        The outcome of each row; by default each counts.
    omit_nan : bool
        Whether rows whose loss is NaN are omitted.

    """
    numbered, weighted = number_rows(columns), weights is not None
    sums = [total for total in accumulation.sums if weighted or not total.of_weight_alone]
    held = [count for count in accumulation.counts if weighted or not count.of_weight_alone]
    windows = tuple(map(window_of, sums))
    names = (*OUTCOME_NAMES, *(count.name for count in held))
    counts = np.zeros((numbered.size, len(names)), np.int64)
    limbs = np.zeros((numbered.size, sum(window.size for window in windows)), np.int64)
    spills = _Spills(len(windows))
    codes = np.ascontiguousarray(numbered.codes)
    rows = _Rows(codes, np.ascontiguousarray(losses), weights, outcomes)
    if outcomes is None and not held and not sums and not omit_nan:
        counts[:, OUTCOME_COUNTED] = np.bincount(codes, minlength=numbered.size)
        rows = rows.take(slice(0, 0))
    elif outcomes is None and not held and [total.terms for total in sums] == [value_alone] and is_fast(rows.losses):
        rows = rows.take(add_fast(codes, rows.losses, counts[:, OUTCOME_COUNTED], limbs, windows[0].low))
    if len(rows.codes):
        _add_rows(_loop_of(tuple(sums), tuple(held)), rows, omit_nan, counts, limbs, spills)
    return in_order(windows, names, numbered.keys, counts, limbs, [spills.summed()])


class _Rows(NamedTuple):
    """Rows on their way to a table: their codes, and what they have."""

    codes: Array
    losses: Array
    weights: Array | None
    outcomes: Array | None

    def take(self, index: Any) -> _Rows:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[index]
        outcomes = None if self.outcomes is None else self.outcomes[index]
        return _Rows(self.codes[index], self.losses[index], weights, outcomes)


def _add_rows(add: Loop, rows: _Rows, omit_nan: bool, counts: Array, limbs: Array, spills: _Spills) -> None:
    """Add rows by the loop of :func:`_loop_of`, which stops where the values that it notes fill their array."""
    no_weights, no_outcomes = np.empty(0), np.empty(0, np.int8)
    weights = no_weights if rows.weights is None else np.ascontiguousarray(rows.weights)
    outcomes = no_outcomes if rows.outcomes is None else np.ascontiguousarray(rows.outcomes)
    row, last = 0, len(rows.codes)
    while row < last:
        noted = spills.at, spills.values, spills.used
        row = add(rows.codes, rows.losses, weights, outcomes, omit_nan, counts, limbs, *noted, row)
        spills.empty()


class _Spills:
    """Values outside the windows: noted by the loop, and added to all limbs of a sum by :meth:`empty`."""

    def __init__(self, num_sums: int) -> None:
        self.at, self.values, self.used = np.zeros(SPILLS, np.int64), np.zeros(SPILLS), np.zeros(1, np.int64)
        self._limbs: dict[int, Array] = {}

    def empty(self) -> None:
        """Add what was noted, and note from the beginning."""
        used = int(self.used[0])
        if not used:
            return
        places, inverse = np.unique(self.at[:used], return_inverse=True)
        limbs = np.zeros((len(places), SIZE), np.int64)
        _add_spills(inverse.reshape(-1).astype(np.int64), self.values[:used], limbs)
        for place, summed in zip(places.tolist(), limbs, strict=True):
            self._limbs[place] = self._limbs[place] + summed if place in self._limbs else summed
        self.used[0] = 0

    def summed(self) -> tuple[Array, Array]:
        """Return the positions and sums, as a table holds them."""
        places = sorted(self._limbs)
        limbs = [self._limbs[place] for place in places]
        return np.array(places, np.int64), np.array(limbs, np.int64).reshape(len(places), SIZE)


@loop
def _add_spills(places: Any, values: Any, limbs: Any) -> int:
    for i in range(places.size):
        k, low, middle, high = spread(values[i])
        of_place = limbs[places[i]]
        of_place[k] += low
        if k < SIZE - 3:
            of_place[k + 1] += middle
            of_place[k + 2] += high
    return 0


@cache
def _loop_of(sums: tuple[RowSum, ...], counts: tuple[RowCount, ...]) -> Loop:
    """Return ``add(codes, losses, weights, outcomes, omit_nan, counts, limbs, spill_at, spill_values, used, row)``,
    which adds rows from `row` on, until there is no room to note another row's spills, and returns the next row.
    """
    add_sums, count_row = _adder(sums, 0, 0), _counter(counts, NUM_OUTCOMES)
    num_sums, most_spills = len(sums), sum(total.num_terms for total in sums)

    @loop
    def add(
        codes: Any,
        losses: Any,
        weights: Any,
        outcomes: Any,
        omit_nan: bool,
        counts: Any,
        limbs: Any,
        spill_at: Any,
        spill_values: Any,
        used: Any,
        row: int,
    ) -> int:
        n, weighted, all_count = codes.size, weights.size > 0, outcomes.size == 0
        noted = used[0]
        for r in range(row, n):
            if noted + most_spills > spill_at.size:
                used[0] = noted
                return r
            code, value = codes[r], np.float64(losses[r])
            outcome = np.int64(OUTCOME_COUNTED) if all_count else np.int64(outcomes[r])
            if omit_nan and outcome == OUTCOME_COUNTED and value != value:
                outcome = np.int64(OUTCOME_OMITTED)
            of_key = counts[code]
            of_key[outcome] += 1
            if outcome == OUTCOME_COUNTED:
                weight = weights[r] if weighted else 1.0
                count_row(of_key, value, weight)
                noted = add_sums(limbs[code], value, weight, code * num_sums, spill_at, spill_values, noted)
        used[0] = noted
        return n

    return add


def _adder(sums: tuple[RowSum, ...], position: int, begin: int) -> Callable[..., Any]:
    """Return ``add(limbs, value, weight, first, spill_at, spill_values, noted) -> noted``, which adds a row's terms of
    the sums from `position` on, whose limbs begin at `begin`; `first` is the position of the row's first sum.
    """
    if position == len(sums):

        @inline
        def add_nothing(
            limbs: Any, value: Any, weight: Any, first: Any, spill_at: Any, spill_values: Any, noted: Any
        ) -> Any:
            return noted

        return add_nothing
    total = sums[position]
    window, terms, num_terms = window_of(total), scalar(total.terms), total.num_terms
    rest = _adder(sums, position + 1, begin + window.size)
    low, high_limb = window.low, begin + HIGH_LIMB - window.low

    @inline
    def add(limbs: Any, value: Any, weight: Any, first: Any, spill_at: Any, spill_values: Any, noted: Any) -> Any:
        row_terms = terms(value, weight)
        for t in range(num_terms):
            term = np.float64(row_terms[t])
            if inside(term):
                top, middle, bottom = parts(term)
                limbs[high_limb] += top
                limbs[high_limb - 1] += middle
                limbs[high_limb - 2] += bottom
            elif term != 0.0:
                k, bottom, middle, top = spread(term)
                if k >= low and k <= TOP - 3:
                    limbs[begin + k - low] += bottom
                    limbs[begin + k - low + 1] += middle
                    limbs[begin + k - low + 2] += top
                else:
                    spill_at[noted] = first + position
                    spill_values[noted] = term
                    noted += 1
        return rest(limbs, value, weight, first, spill_at, spill_values, noted)

    return add


def _counter(counts: tuple[RowCount, ...], position: int) -> Callable[..., Any]:
    """Return ``count(counts, value, weight)``, which counts a row for each condition that holds."""
    if not counts:

        @inline
        def count_nothing(of_key: Any, value: Any, weight: Any) -> Any:
            return 0

        return count_nothing
    holds, rest = scalar(counts[0].holds), _counter(counts[1:], position + 1)

    @inline
    def count(of_key: Any, value: Any, weight: Any) -> Any:
        of_key[position] += 1 if holds(value, weight) else 0
        return rest(of_key, value, weight)

    return count
