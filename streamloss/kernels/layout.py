"""What the loops over a tile of rows share: its size, a row's status, and helpers that formulas are wrapped in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .._jit import scalar, serial
from ..types import Interval
from .order import SLOTS

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
WORK = (5, max(TILE, SLOTS))  # float64 work space of a tile
KEPT, IGNORED, BAD, IMPOSSIBLE = 0, 1, 2, 3  # a row's status; IMPOSSIBLE: the loss is infinite, as a policy may allow

Pair = tuple[int, int]
Rows = Callable[..., None]
"""``rows(y_true, y_pred, ignore, arguments, each, values, status, work)`` evaluates a tile: it writes float64 `values`
and `status`. ``each`` holds the parameter that has a value for each class (classes,), or nothing.
"""


@cache
def count_outside_of(interval: Interval) -> Callable[..., int]:
    """``count(array) -> int``: how many values lie outside; NaN is judged by its loss instead."""
    low, high = interval.smallest, interval.largest
    if not interval.bounded:

        @serial
        def count_none(values: Any) -> int:
            return 0

        return count_none

    @serial
    def count_outside(values: Any) -> int:
        outside = 0
        for j in range(values.size):
            outside += 1 if (values[j] < low) | (values[j] > high) else 0
        return outside

    return count_outside


def with_own(term: Callable[..., Any], has_own: bool) -> Callable[..., Any]:
    """``call(each, j, data, arguments)``: the term of data, arguments and, if it has one, class j's own value."""
    compiled = scalar(term)

    @scalar
    def call_with(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return compiled(*data, *arguments, each[j])

    @scalar
    def call_without(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return compiled(*data, *arguments)

    return call_with if has_own else call_without
