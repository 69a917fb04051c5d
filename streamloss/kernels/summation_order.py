"""The canonical order of a row's sums, in which every layout adds.

Whatever a row adds up over its class axis is added in one order, so that every layout has the same bits: classes are
cut into segments of ``SEGMENT``; inside a segment class ``j`` belongs to slot ``j % SLOTS``, and a slot adds its terms
in order; then slot ``k + w`` is added to slot ``k``, for w = 128, 64, ... 1 (missing slots count as 0); segments are
added from left to right.

There are two layouts of loops over classes: :mod:`.across_rows`, with rows side by side, for few classes, where every
loop runs over rows; and :mod:`.across_classes`, with loops over the classes of a row, for many. Sums are plain or
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

from ..core.jit import no_alloc, scalar
from ..core.primitives import two_sum

ONE_ELEMENT, ACROSS_ROWS, ACROSS_CLASSES, ACROSS_SEGMENTS = "one element", "rows", "classes", "segments"
"""Layouts: rows of one element; loops over rows; loops over classes; the same in rows that have whole segments."""
SLOTS = 256
SEGMENT = 1024
FEW = 128  # classes up to which loops run across rows
AT_ONCE = 512  # rows that are summed together at most
SUM, ERR = 0, 1  # entries of the first axis of sums and slots: the sum, and what its rounding lost

Sums = Callable[..., None]


def rows_at_once(classes: int) -> int:
    """Return how many rows are summed together: what they need stays in the first cache, and loops are long."""
    if classes <= FEW:
        return min(AT_ONCE, 8192 // classes // 8 * 8)
    return max(1, min(32, 8192 // classes))


rows_at_once_in_loops = no_alloc(rows_at_once)


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
