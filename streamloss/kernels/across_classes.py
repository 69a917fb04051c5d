"""Maxima and sums of rows as they are, for many classes: loops run over the classes of a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import compile_once, no_alloc, scalar
from .base import RowStats
from .summation_order import ERR, SEGMENT, SLOTS, SUM, Sums, adder

LANES = 64  # of a maximum
NARROW = 8  # slots that are left when several rows' slots are added at once: a vector of float64


@cache
def maxima_across_classes(peak: Callable[..., float]) -> Callable[..., None]:
    """Return ``maxima(y, p, lanes, row_max)``: each row's maximum of ``peak(y, p)`` goes to `row_max` (rows,).

    `peak` is given, and may return, the rows' own dtype; `y` and `p` are (rows, classes), `lanes` is work space
    (LANES,). A row that holds a NaN may have any maximum; its sum is NaN.
    """

    @compile_once
    def maxima(y: Any, p: Any, lanes: Any, row_max: Any) -> None:
        classes = p.shape[1]
        first = min(LANES, classes)
        for r in range(row_max.size):
            row_y, row_p = y[r], p[r]
            for k in range(first):
                lanes[k] = peak(row_y[k], row_p[k])
            for k in range(first, LANES):
                lanes[k] = lanes[0]
            for start in range(LANES, classes, LANES):
                width = min(LANES, classes - start)
                part_y, part_p = row_y[start : start + width], row_p[start : start + width]
                for k in range(width):
                    candidate = peak(part_y[k], part_p[k])
                    lanes[k] = candidate if candidate > lanes[k] else lanes[k]
            for w in (32, 16, 8):
                for k in range(w):
                    lanes[k] = lanes[k + w] if lanes[k + w] > lanes[k] else lanes[k]
            best = lanes[0]
            for k in range(1, 8):
                best = lanes[k] if lanes[k] > best else best
            row_max[r] = best

    return maxima


@scalar
def _quarters(row: Any, segment: int) -> Any:
    a, b, c, d = segment, segment + SLOTS, segment + 2 * SLOTS, segment + 3 * SLOTS
    return row[a:b], row[b:c], row[c:d], row[d : d + SLOTS]


@cache
def _narrow(compensated: bool) -> Callable[..., None]:
    """Return ``narrow(high, low, width)``, which adds slots up until NARROW are left."""
    add = adder(compensated)

    @scalar
    def fold(high: Any, low: Any, w: Any) -> None:
        for k in range(w):
            high[k], err = add(high[k], low[k], high[k + w], low[k + w])
            if compensated:
                low[k] = err

    @scalar
    def narrow(high: Any, low: Any, width: int) -> None:
        padded = NARROW
        while padded < width:
            padded *= 2
        for k in range(width, padded):
            high[k] = 0.0
            if compensated:
                low[k] = 0.0
        # np.int64: numbers as they stand are types of their own, each of which is compiled
        if padded > 128:
            fold(high, low, np.int64(128))
        if padded > 64:
            fold(high, low, np.int64(64))
        if padded > 32:
            fold(high, low, np.int64(32))
        if padded > 16:
            fold(high, low, np.int64(16))
        if padded > 8:
            fold(high, low, np.int64(8))

    return narrow


@cache
def sums_across_classes(
    value: Callable[..., Any], terms: int, compensated: bool, cancels: bool, skips: bool, long: bool
) -> Sums:
    """Return ``sums(y, p, labels, stats, settings, slots, partials, out)``.

    `y` and `p` are (rows, classes), `labels` one for each row, `stats` a :class:`~.base.RowsStats`, `slots` (2, terms,
    SLOTS) and `partials` (2, terms, NARROW, rows) work space; `out` (2, terms, rows) takes each row's sums and errors.
    ``long``: rows have a whole segment.
    """
    add, add_to_slot, narrow = adder(compensated), adder(cancels), _narrow(compensated)

    @scalar
    def value_of(j: int, y: Any, p: Any, row: Any, settings: Any) -> Any:
        return value(j, np.float64(y), np.float64(p), row, settings.per_class, settings.arguments)

    @no_alloc
    def again(slots: Any, y: Any, p: Any, first: int, end: int, row: Any, settings: Any) -> None:
        """Add the label's slot again, without the label."""
        at = (row.label - first) % SLOTS
        for i in range(terms):
            slots[SUM, i, at], slots[ERR, i, at] = 0.0, 0.0
        for j in range(first + at, end, SLOTS):
            if j != row.label:
                values = value_of(j, y[j], p[j], row, settings)
                for i in range(terms):
                    s, err = add_to_slot(slots[SUM, i, at], slots[ERR, i, at], values[i], 0.0)
                    slots[SUM, i, at], slots[ERR, i, at] = s, err

    @compile_once
    def sums(
        y: Any,
        p: Any,
        labels: Any,
        stats: Any,
        settings: Any,
        slots: Any,
        partials: Any,
        out: Any,
    ) -> None:
        n, classes = p.shape
        size = float(classes)
        for i in range(terms):
            for r in range(n):
                out[SUM, i, r], out[ERR, i, r] = 0.0, 0.0
        for segment in range(0, classes, SEGMENT):
            end = min(segment + SEGMENT, classes)
            for r in range(n):
                first = min(SLOTS, end - segment)
                row = RowStats(labels[r], stats.row_max[r], stats.total[r], stats.total_err[r], size)
                row_y, row_p = y[r], p[r]
                done = False
                if long:  # known to the compiler, as are `skips` and `compensated`
                    if end - segment == SEGMENT:  # four terms of a slot at a time: one long loop
                        y0, y1, y2, y3 = _quarters(row_y, segment)
                        p0, p1, p2, p3 = _quarters(row_p, segment)
                        for k in range(SLOTS):
                            j = segment + k
                            v0 = value_of(j, y0[k], p0[k], row, settings)
                            v1 = value_of(j + SLOTS, y1[k], p1[k], row, settings)
                            v2 = value_of(j + 2 * SLOTS, y2[k], p2[k], row, settings)
                            v3 = value_of(j + 3 * SLOTS, y3[k], p3[k], row, settings)
                            for i in range(terms):
                                s, err = add_to_slot(v0[i], 0.0, v1[i], 0.0)
                                s, err = add_to_slot(s, err, v2[i], 0.0)
                                s, err = add_to_slot(s, err, v3[i], 0.0)
                                slots[SUM, i, k] = s
                                if compensated:
                                    slots[ERR, i, k] = err
                        done = True
                if not done:
                    for i in range(terms):
                        for k in range(first):
                            slots[SUM, i, k] = 0.0
                            if compensated:
                                slots[ERR, i, k] = 0.0
                    for start in range(segment, end, SLOTS):
                        width = min(SLOTS, end - start)
                        ys, ps = row_y[start : start + width], row_p[start : start + width]
                        for k in range(width):
                            values = value_of(start + k, ys[k], ps[k], row, settings)
                            for i in range(terms):
                                s, err = add_to_slot(slots[SUM, i, k], slots[ERR, i, k], values[i], 0.0)
                                slots[SUM, i, k] = s
                                if cancels:
                                    slots[ERR, i, k] = err
                if skips:
                    if segment <= labels[r] < end:
                        again(slots, row_y, row_p, segment, end, row, settings)
                for i in range(terms):
                    high, low = slots[SUM, i], slots[ERR, i]
                    narrow(high, low, first)
                    for k in range(NARROW):
                        partials[SUM, i, k, r] = high[k]
                        partials[ERR, i, k, r] = low[k] if compensated else 0.0
            for i in range(terms):
                high, low = partials[SUM, i], partials[ERR, i]
                for w in (4, 2, 1):
                    for k in range(w):
                        a, a_err, b, b_err = high[k], low[k], high[k + w], low[k + w]
                        for r in range(n):
                            a[r], a_err[r] = add(a[r], a_err[r], b[r], b_err[r])
                total, total_err, last, last_err = out[SUM, i], out[ERR, i], high[0], low[0]
                for r in range(n):
                    total[r], total_err[r] = add(total[r], total_err[r], last[r], last_err[r])

    return sums
