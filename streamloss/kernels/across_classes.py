"""Maxima and sums of rows as they are, for many classes: loops run over PART classes of a row, a length that compilers
know. A part that is not whole, or has a class that stays out, is copied and computed whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import compile_once, scalar
from ..core.local_arrays import local_array
from .base import RowStats
from .summation_order import ERR, SEGMENT, SLOTS, SUM, Sums, adder, for_each

LANES = 64  # of a maximum
PART = 32  # of which slots are a multiple


@cache
def maxima_across_classes(peak: Callable[..., float]) -> Callable[..., None]:
    """Return ``maxima(y, p, like, row_max)``: each row's maximum of ``peak(y, p)`` goes to `row_max` (rows,).

    `peak` is given, and may return, the rows' own dtype, which is that of `like`; `y` and `p` are (rows, classes). A
    row that holds a NaN may have any maximum; its sum is NaN.
    """
    local = local_array(LANES)

    @compile_once
    def maxima(y: Any, p: Any, like: Any, row_max: Any) -> None:
        lanes, classes = local(like), p.shape[1]
        for r in range(p.shape[0]):
            row_y, row_p = y[r], p[r]
            if classes >= LANES:
                for k in range(LANES):
                    lanes[k] = peak(row_y[k], row_p[k])
            else:
                for k in range(LANES):
                    lanes[k] = peak(row_y[k % classes], row_p[k % classes])
            for start in range(LANES, classes, LANES):
                first = min(start, classes - LANES)  # the last lanes may look at some classes again
                part_y, part_p = row_y[first : first + LANES], row_p[first : first + LANES]
                for k in range(LANES):
                    candidate = peak(part_y[k], part_p[k])
                    lanes[k] = candidate if candidate > lanes[k] else lanes[k]
            for w in (32, 16, 8, 4, 2, 1):
                for k in range(w):
                    lanes[k] = lanes[k + w] if lanes[k + w] > lanes[k] else lanes[k]
            row_max[r] = lanes[0]

    return maxima


@cache
def _folded(compensated: bool) -> Callable[..., None]:
    """Return ``fold(high, low)``, which adds slots up into the first."""
    add = adder(compensated)

    @scalar
    def halve(high: Any, low: Any, w: Any) -> None:
        for k in range(w):
            high[k], err = add(high[k], low[k], high[k + w], low[k + w])
            if compensated:
                low[k] = err

    @scalar
    def fold(high: Any, low: Any) -> None:
        # np.int64: numbers as they stand are types of their own, each of which is compiled
        halve(high, low, np.int64(128))
        halve(high, low, np.int64(64))
        halve(high, low, np.int64(32))
        halve(high, low, np.int64(16))
        halve(high, low, np.int64(8))
        halve(high, low, np.int64(4))
        halve(high, low, np.int64(2))
        halve(high, low, np.int64(1))

    return fold


@cache
def sums_across_classes(value: Callable[..., Any], terms: int, compensated: bool, cancels: bool, skips: bool) -> Sums:
    """Return ``sums(y, p, labels, stats, settings, out)``.

    `y` and `p` are (rows, classes), `labels` one for each row, `stats` a :class:`~.base.RowsStats`; `out` (2, terms,
    rows) takes each row's sums and errors.
    """
    add, add_to_slot, fold = adder(compensated), adder(cancels), _folded(compensated)
    local_slots, local_part = local_array(SLOTS * terms), local_array(PART)

    @scalar
    def value_of(j: int, y: Any, p: Any, row: Any, settings: Any) -> Any:
        return value(j, np.float64(y), np.float64(p), row, settings.per_class, settings.arguments)

    def term_adder(i: int) -> Callable[..., None]:
        @scalar
        def add_term(high: Any, low: Any, k: int, values: Any, counts: Any) -> None:
            at = SLOTS * i + k
            s, err = add_to_slot(high[at], low[at], values[i], 0.0)
            high[at] = s if counts else high[at]
            if cancels:
                low[at] = err if counts else low[at]

        return add_term

    add_all = for_each(term_adder, terms)

    @compile_once
    def sums(y: Any, p: Any, labels: Any, stats: Any, settings: Any, out: Any) -> None:
        n, classes = p.shape
        size = float(classes)
        high, low = local_slots(stats.row_max), local_slots(stats.row_max)
        some_y, some_p = local_part(y), local_part(p)
        for k in range(PART):
            some_y[k], some_p[k] = 0, 0
        for r in range(n):
            row = RowStats(labels[r], stats.row_max[r], stats.total[r], stats.total_err[r], size)
            row_y, row_p = y[r], p[r]
            for i in range(terms):
                out[SUM, i, r], out[ERR, i, r] = 0.0, 0.0
            for segment in range(0, classes, SEGMENT):
                end = min(segment + SEGMENT, classes)
                for k in range(terms * SLOTS):
                    high[k] = 0.0
                if compensated:
                    for k in range(terms * SLOTS):
                        low[k] = 0.0
                for start in range(segment, end, PART):
                    width, slot = min(PART, end - start), (start - segment) % SLOTS
                    out_of_it = row.label - start if skips else np.int64(-1)
                    ys, ps = row_y[start : start + width], row_p[start : start + width]
                    some_high, some_low = high[slot:], low[slot:]
                    if width == PART and not 0 <= out_of_it < PART:
                        for k in range(PART):
                            values = value_of(start + k, ys[k], ps[k], row, settings)
                            add_all(some_high, some_low, k, values, True)
                    else:
                        for k in range(width):
                            some_y[k], some_p[k] = ys[k], ps[k]
                        for k in range(PART):
                            j = min(start + k, end - 1)  # a class may have a parameter
                            values = value_of(j, some_y[k], some_p[k], row, settings)
                            add_all(some_high, some_low, k, values, (k < width) & (k != out_of_it))
                for i in range(terms):
                    first, last = SLOTS * i, SLOTS * (i + 1)
                    fold(high[first:last], low[first:last])
                    s, err = add(out[SUM, i, r], out[ERR, i, r], high[first], low[first] if compensated else 0.0)
                    out[SUM, i, r], out[ERR, i, r] = s, err

    return sums
