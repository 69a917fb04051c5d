"""From a formula to ``rows(y_true, y_pred, ignore, arguments, values, status, work)``: a tile of losses in float64.

The canonical order. Whatever a row adds up over its class axis is added in one order, so that every layout
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
from ..losses._registry import Elementwise, Formula, Sparse
from ..types import Interval

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
SLOTS = 256
SEGMENT = 1024
WORK = (4, max(TILE, SLOTS))  # float64 work space of a tile
KEPT, IGNORED, BAD = 0, 1, 2  # a row's status

Rows = Callable[..., None]


@serial
def tree_sum(slots: Any, n: int) -> float:
    """Sum of ``slots[:n]`` by pairs of neighbours; overwrites them."""
    while n > 1:
        half = n // 2
        for k in range(half):
            slots[k] = slots[2 * k] + slots[2 * k + 1]
        if n % 2:
            slots[half] = slots[n - 1]
            half += 1
        n = half
    return float(slots[0])


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


@cache
def _count_outside(interval: Interval) -> Callable[..., int]:
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


def _elementwise(formula: Elementwise) -> Rows:
    term = scalar(formula.term)
    outside_true = _count_outside(formula.y_true)
    outside_pred = _count_outside(formula.y_pred)

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: tuple[int, int], arguments: Any, values: Any, status: Any, work: Any
    ) -> None:
        n, size = y_pred.shape
        slots = work[0]
        y = y_true.reshape(n * size)
        p = y_pred.reshape(n * size)
        status[:n] = KEPT
        if outside_true(y) + outside_pred(p) > 0:
            for r in range(n):
                a, b = r * size, (r + 1) * size
                if outside_true(y[a:b]) + outside_pred(p[a:b]) > 0:
                    status[r] = BAD
        if size == 1:
            for r in range(n):
                values[r] = term(np.float64(y[r]), np.float64(p[r]), *arguments)
            return
        for r in range(n):
            total = 0.0
            for segment in range(0, size, SEGMENT):
                end = min(segment + SEGMENT, size)
                for start in range(segment, end, SLOTS):
                    width = min(SLOTS, end - start)
                    ys = y[r * size + start : r * size + start + width]
                    ps = p[r * size + start : r * size + start + width]
                    if start == segment:
                        for k in range(width):
                            slots[k] = 0.0
                    for k in range(width):
                        slots[k] += term(np.float64(ys[k]), np.float64(ps[k]), *arguments)
                total += tree_sum(slots, min(SLOTS, end - segment))
            values[r] = total / size

    return rows


def _sparse(formula: Sparse) -> Rows:
    term = scalar(formula.term)
    finish = scalar(formula.finish)
    outside_pred = _count_outside(formula.y_pred)
    needs_top = formula.needs_top

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: tuple[int, int], arguments: Any, values: Any, status: Any, work: Any
    ) -> None:
        classes = y_pred.shape[1]
        lanes = np.empty(64, y_pred.dtype)
        slots, own, tops, sums = work[0], work[1], work[2], work[3]
        n = y_pred.shape[0]
        for r in range(n):
            label = y_true[r]
            row = y_pred[r]
            status[r] = KEPT
            own[r], tops[r], sums[r] = 0.5, 0.5, 0.5  # any number does for a row without a loss
            if ignore[0] and label == ignore[1]:
                status[r] = IGNORED
                continue
            if label < 0 or label >= classes or outside_pred(row) > 0:
                status[r] = BAD
                continue
            top = row_maximum(row, lanes) if needs_top else np.nan
            others = 0.0
            for segment in range(0, classes, SEGMENT):
                end = min(segment + SEGMENT, classes)
                for start in range(segment, end, SLOTS):
                    width = min(SLOTS, end - start)
                    part = row[start : start + width]
                    if start == segment:
                        for k in range(width):
                            slots[k] = 0.0
                    for k in range(width):
                        slots[k] += term(np.float64(part[k]), top)
                if segment <= label < end:  # the label's slot again, without the label
                    slot = (label - segment) % SLOTS
                    without = 0.0
                    for j in range(segment + slot, end, SLOTS):
                        if j != label:
                            without += term(np.float64(row[j]), top)
                    slots[slot] = without
                others += tree_sum(slots, min(SLOTS, end - segment))
            own[r], tops[r], sums[r] = row[label], top, others
        for r in range(n):
            values[r] = finish(own[r], tops[r], sums[r], *arguments)

    return rows


@cache
def build(formula: Formula) -> Rows:
    """The compiled loop of a formula; compiled on its first call for each combination of dtypes."""
    if isinstance(formula, Elementwise):
        return _elementwise(formula)
    return _sparse(formula)
