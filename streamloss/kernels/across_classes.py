"""Maxima and sums of rows as they are, for many classes: loops run over the classes of a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import compile_once, no_alloc, scalar
from .summation_order import LOST, SEGMENT, SLOTS, TOP, TOTAL, Sums, adder

LANES = 64  # of a maximum
NARROW = 8  # slots that are left when several rows' slots are added at once: a vector of float64


@cache
def maxima_along(peak: Callable[..., float]) -> Callable[..., None]:
    """``maxima(y, p, lanes, top)``: each row's maximum of ``peak(y, p)``, which is given, and may return, the rows' own
    dtype; `y` and `p` are (rows, classes), `lanes` (LANES,). A row that holds a NaN may have any; its sum is NaN.
    """

    @compile_once
    def maxima(y: Any, p: Any, lanes: Any, top: Any) -> None:
        classes = p.shape[1]
        first = min(LANES, classes)
        for r in range(top.size):
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
            top[r] = best

    return maxima


@scalar
def _quarters(row: Any, segment: int) -> Any:
    a, b, c, d = segment, segment + SLOTS, segment + 2 * SLOTS, segment + 3 * SLOTS
    return row[a:b], row[b:c], row[c:d], row[d : d + SLOTS]


@cache
def _narrow(compensated: bool) -> Callable[..., None]:
    """``narrow(high, low, width)``: add slots up until NARROW are left."""
    add = adder(compensated)

    @scalar
    def fold(high: Any, low: Any, w: Any) -> None:
        for k in range(w):
            high[k], rest = add(high[k], low[k], high[k + w], low[k + w])
            if compensated:
                low[k] = rest

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
def sums_along(
    value: Callable[..., Any], terms: int, compensated: bool, cancels: bool, skips: bool, long: bool
) -> Sums:
    """``sums(y, p, labels, found, each, arguments, slots, parts, out)``: `y` and `p` are (rows, classes), `labels` one
    for each row, `found` (3, rows), `slots` (2, terms, SLOTS), `parts` (2, terms, NARROW, rows); `out` (2, terms, rows)
    takes the sums and what their rounding lost. ``long``: rows have a whole segment.
    """
    add, add_to_slot, narrow = adder(compensated), adder(cancels), _narrow(compensated)

    @scalar
    def value_of(j: int, y: Any, p: Any, row: Any, each: Any, arguments: Any) -> Any:
        return value(j, np.float64(y), np.float64(p), row, each, arguments)

    @no_alloc
    def again(slots: Any, y: Any, p: Any, first: int, end: int, row: Any, each: Any, arguments: Any) -> None:
        """The label's slot, without the label."""
        label, _, _, _, _ = row
        at = (label - first) % SLOTS
        for i in range(terms):
            slots[0, i, at], slots[1, i, at] = 0.0, 0.0
        for j in range(first + at, end, SLOTS):
            if j != label:
                values = value_of(j, y[j], p[j], row, each, arguments)
                for i in range(terms):
                    s, rest = add_to_slot(slots[0, i, at], slots[1, i, at], values[i], 0.0)
                    slots[0, i, at], slots[1, i, at] = s, rest

    @compile_once
    def sums(
        y: Any,
        p: Any,
        labels: Any,
        found: Any,
        each: Any,
        arguments: Any,
        slots: Any,
        parts: Any,
        out: Any,
    ) -> None:
        n, classes = p.shape
        size = float(classes)
        for i in range(terms):
            for r in range(n):
                out[0, i, r], out[1, i, r] = 0.0, 0.0
        for segment in range(0, classes, SEGMENT):
            end = min(segment + SEGMENT, classes)
            for r in range(n):
                first = min(SLOTS, end - segment)
                row = labels[r], found[TOP, r], found[TOTAL, r], found[LOST, r], size
                row_y, row_p = y[r], p[r]
                done = False
                if long:  # known to the compiler, as are `skips` and `compensated`
                    if end - segment == SEGMENT:  # four terms of a slot at a time: one long loop
                        y0, y1, y2, y3 = _quarters(row_y, segment)
                        p0, p1, p2, p3 = _quarters(row_p, segment)
                        for k in range(SLOTS):
                            j = segment + k
                            v0 = value_of(j, y0[k], p0[k], row, each, arguments)
                            v1 = value_of(j + SLOTS, y1[k], p1[k], row, each, arguments)
                            v2 = value_of(j + 2 * SLOTS, y2[k], p2[k], row, each, arguments)
                            v3 = value_of(j + 3 * SLOTS, y3[k], p3[k], row, each, arguments)
                            for i in range(terms):
                                s, rest = add_to_slot(v0[i], 0.0, v1[i], 0.0)
                                s, rest = add_to_slot(s, rest, v2[i], 0.0)
                                s, rest = add_to_slot(s, rest, v3[i], 0.0)
                                slots[0, i, k] = s
                                if compensated:
                                    slots[1, i, k] = rest
                        done = True
                if not done:
                    for i in range(terms):
                        for k in range(first):
                            slots[0, i, k] = 0.0
                            if compensated:
                                slots[1, i, k] = 0.0
                    for start in range(segment, end, SLOTS):
                        width = min(SLOTS, end - start)
                        ys, ps = row_y[start : start + width], row_p[start : start + width]
                        for k in range(width):
                            values = value_of(start + k, ys[k], ps[k], row, each, arguments)
                            for i in range(terms):
                                s, rest = add_to_slot(slots[0, i, k], slots[1, i, k], values[i], 0.0)
                                slots[0, i, k] = s
                                if cancels:
                                    slots[1, i, k] = rest
                if skips:
                    if segment <= labels[r] < end:
                        again(slots, row_y, row_p, segment, end, row, each, arguments)
                for i in range(terms):
                    high, low = slots[0, i], slots[1, i]
                    narrow(high, low, first)
                    for k in range(NARROW):
                        parts[0, i, k, r] = high[k]
                        parts[1, i, k, r] = low[k] if compensated else 0.0
            for i in range(terms):
                high, low = parts[0, i], parts[1, i]
                for w in (4, 2, 1):
                    for k in range(w):
                        a, a_low, b, b_low = high[k], low[k], high[k + w], low[k + w]
                        for r in range(n):
                            a[r], a_low[r] = add(a[r], a_low[r], b[r], b_low[r])
                total, total_low, last, last_low = out[0, i], out[1, i], high[0], low[0]
                for r in range(n):
                    total[r], total_low[r] = add(total[r], total_low[r], last[r], last_low[r])

    return sums
