"""Sums and maxima over a row, in the canonical order.

Whatever a row adds up over its class axis is added in one order, so that every layout
(a row at a time, rows side by side, a warp to a row) has the same bits: classes are cut into segments of
``SEGMENT``; inside a segment class ``j`` belongs to slot ``j % SLOTS``, and a slot adds its terms in order;
the slots are added in pairs of neighbours, then pairs of pairs (missing slots count as 0); segments are added
from left to right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._jit import scalar, serial

SLOTS = 256
SEGMENT = 1024


@serial
def row_maximum(row: Any, lanes: Any) -> float:
    """The maximum of a row that holds no NaN (one that does has a NaN loss by its sum)."""
    n = row.shape[0]
    width = lanes.shape[0]
    whole = n // width
    lanes[:] = row[0]
    for j in range(whole):
        part = row[j * width : (j + 1) * width]
        for k in range(width):
            lanes[k] = part[k] if part[k] > lanes[k] else lanes[k]
    for j in range(whole * width, n):
        lanes[0] = row[j] if row[j] > lanes[0] else lanes[0]
    top = lanes[0]
    for k in range(width):
        top = lanes[k] if lanes[k] > top else top
    return float(top)


@scalar
def two_sum(a: float, b: float) -> tuple[float, float]:
    """``a + b`` rounded, and what the rounding lost (Knuth); nothing where the sum is infinite or NaN."""
    s = a + b
    t = s - a
    lost = (a - (s - t)) + (b - t)
    return s, (lost if lost == lost else 0.0)


@serial
def tree_sum_compensated(sums: Any, lost: Any, n: int) -> None:
    """The sum of ``sums[:n] + lost[:n]`` by pairs of neighbours, into their first entries."""
    while n > 1:
        half = n // 2
        for k in range(half):
            s, e = two_sum(sums[2 * k], sums[2 * k + 1])
            lost[k] = (lost[2 * k] + lost[2 * k + 1]) + e
            sums[k] = s
        if n % 2:
            sums[half] = sums[n - 1]
            lost[half] = lost[n - 1]
            half += 1
        n = half


@serial
def add_tree(total: float, lost: float, slots: Any, rest: Any, n: int) -> tuple[float, float]:
    """``total + lost`` and the sum of ``slots[:n]``, compensated: many slots and segments cost no accuracy.

    Overwrites `slots` and `rest`.
    """
    rest[:n] = 0.0
    tree_sum_compensated(slots, rest, n)
    total, error = two_sum(total, slots[0])
    return total, lost + (rest[0] + error)


@cache
def row_sums_of(terms: int) -> Callable[..., Callable[..., Any]]:
    """For a compiled ``value(each, j, (y, p, *carry), arguments)`` of a class, the loop that adds its ``terms``
    values over a row, compensated.
    """

    def over(value: Callable[..., Any]) -> Callable[..., Any]:
        @serial
        def row_sums(y: Any, p: Any, each: Any, carry: Any, arguments: Any, slots: Any, sums: Any) -> None:
            size = p.shape[0]
            for i in range(terms):
                sums[0, i] = 0.0
                sums[1, i] = 0.0
            for segment in range(0, size, SEGMENT):
                end = min(segment + SEGMENT, size)
                first = min(SLOTS, end - segment)
                slots[:, :, :first] = 0.0
                for start in range(segment, end, SLOTS):
                    width = min(SLOTS, end - start)
                    ys, ps = y[start : start + width], p[start : start + width]
                    for k in range(width):
                        data = (np.float64(ys[k]), np.float64(ps[k]), *carry)
                        values = value(each, start + k, data, arguments)
                        for i in range(terms):
                            s, e = two_sum(slots[0, i, k], values[i])
                            slots[0, i, k] = s
                            slots[1, i, k] += e
                for i in range(terms):
                    tree_sum_compensated(slots[0, i], slots[1, i], first)
                    s, e = two_sum(sums[0, i], slots[0, i, 0])
                    sums[0, i] = s
                    sums[1, i] += slots[1, i, 0] + e

        return row_sums

    return over
