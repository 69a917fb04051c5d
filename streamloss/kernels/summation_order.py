"""The canonical order of a row's sums, in which every layout adds.

Whatever a row adds up over its class axis is added in one order, so that every layout has the same bits: classes are
cut into segments of ``SEGMENT``; inside a segment class ``j`` belongs to slot ``j % SLOTS``, and a slot adds its terms
in order; then slot ``k + w`` is added to slot ``k``, for w = 128, 64, ... 1 (missing slots count as 0); segments are
added from left to right.

There are three layouts of loops over classes: :mod:`.across_rows` and :mod:`.across_groups`, with rows side by side,
where every loop runs over rows, for few and for several classes; and :mod:`.across_classes`, with loops over the
classes of a row, for many. Sums are plain or
compensated (Knuth's TwoSum): plain ones do where no term is negative and the result is a float32.

What is added is ``value(j, y, p, row, per_class, arguments)``, a tuple with a float for each sum, of class j: its label
and prediction, the :class:`~.base.RowStats` of the row, and the loss' parameters. ``skips``: the class that the row's
label names is left out.

Sums are ``compensated`` from slots on, and inside slots, of a few terms each, where they may ``cancel``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..core.jit import scalar
from ..core.primitives import two_sum

ONE_ELEMENT, ACROSS_ROWS, ACROSS_GROUPS, ACROSS_CLASSES = "one element", "rows", "groups", "classes"
"""Layouts: rows of one element; loops over rows; over groups of rows; over classes."""
SLOTS = 256
SEGMENT = 1024
FEW, SEVERAL = 8, 128  # classes up to which loops run across rows, and across groups of rows
GROUP = 64  # rows, whose columns and slots stay in the first cache
AT_ONCE = 512  # rows that are summed together at most
SUM, ERR = 0, 1  # entries of the first axis of sums and slots: the sum, and what its rounding lost

Sums = Callable[..., None]


def rows_at_once(classes: int) -> int:
    """Return how many rows are summed together: what they need stays in a near cache, and loops are long."""
    if classes <= SEVERAL:
        return min(AT_ONCE, 8192 // classes // GROUP * GROUP)
    return max(1, min(32, 8192 // classes))


@cache
def adder(compensated: bool) -> Callable[..., Any]:
    """Return ``add(a, a_err, b, b_err) -> (sum, err)``."""

    @scalar
    def add_plain(a: float, a_err: float, b: float, b_err: float) -> tuple[float, float]:
        return a + b, 0.0

    @scalar
    def add_compensated(a: float, a_err: float, b: float, b_err: float) -> tuple[float, float]:
        s, err = two_sum(a, b)
        return s, (a_err + b_err) + err

    return add_compensated if compensated else add_plain


def for_each(make: Callable[[int], Callable[..., None]], count: int) -> Callable[..., None]:
    """Return a function that calls ``make(0)``, ``make(1)``, ... of `count`, with the same arguments.

    It is a loop that compilers do not see: around one inside of it, LLVM computes the first turn of an outer loop apart
    and makes vectors of what is left, which has a rest then.
    """
    first = make(count - 1)
    if count == 1:
        return first
    before = for_each(make, count - 1)

    @scalar
    def each(a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
        before(a, b, c, d, e)
        first(a, b, c, d, e)

    return each
