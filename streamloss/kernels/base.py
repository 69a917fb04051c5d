"""What the loops over a tile of rows share: its size, a row's status, and helpers that formulas are wrapped in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..core.jit import no_alloc, scalar, serial
from ..core.types import Interval
from ..formulas._float32 import in_single
from ..formulas._kinds import Elementwise

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
KEPT, IGNORED, BAD, IMPOSSIBLE = 0, 1, 2, 3  # a row's status; IMPOSSIBLE: the loss is infinite, as a policy may allow

Pair = tuple[int, int]
Rows = Callable[..., None]
"""``rows(y_true, y_pred, ignore, arguments, each, values, status, space)`` evaluates a tile: it writes float64
`values` and `status`. ``each`` holds the parameter that has a value for each class (classes,), or nothing; ``space`` is
the kernel's work space.
"""


@dataclass(frozen=True)
class Kernel:
    """A formula's compiled loop over the rows of a tile."""

    rows: Rows
    new_space: Callable[..., Any]
    """``new_space(y_pred)``: its work space, made once for many tiles."""


@serial
def no_space(y_pred: Any) -> int:
    return 0


@cache
def compiled(formula: Callable[..., Any], single: bool) -> Callable[..., Any]:
    """A formula's text as machine code; `single`: its results will be rounded to float32."""
    return scalar(in_single(formula) if single else formula)


@cache
def count_outside_of(interval: Interval) -> Callable[..., int]:
    """``count(array) -> int``: how many values lie outside; NaN is judged by its loss instead."""
    low, high = interval.smallest, interval.largest
    if not interval.bounded:

        @no_alloc
        def count_none(values: Any) -> int:
            return 0

        return count_none

    @no_alloc
    def count_outside(values: Any) -> int:
        outside = 0
        for j in range(values.size):
            outside += 1 if (values[j] < low) | (values[j] > high) else 0
        return outside

    return count_outside


@cache
def with_own(term: Callable[..., Any], has_own: bool) -> Callable[..., Any]:
    """``call(each, j, data, arguments)``: the term of data, arguments and, if it has one, class j's own value."""

    @scalar
    def call_with(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return term(*data, *arguments, each[j])

    @scalar
    def call_without(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return term(*data, *arguments)

    return call_with if has_own else call_without


def term_of(formula: Elementwise, single: bool) -> Callable[..., Any]:
    """The term of an element, with its class' own value where the formula takes one."""
    return with_own(compiled(formula.term, single and not formula.precise), formula.per_class is not None)
