"""Sums and maxima over rows, in the canonical order, in two layouts that have the same bits.

Whatever a row adds up over its class axis is added in one order, so that every layout has the same bits: classes are
cut into segments of ``SEGMENT``; inside a segment class ``j`` belongs to slot ``j % SLOTS``, and a slot adds its terms
in order; then slot ``k + w`` is added to slot ``k``, for w = 128, 64, ... 1 (missing slots count as 0); segments are
added from left to right.

The layouts are *abreast*, rows side by side, for few classes, where every loop runs over rows; and *along*, loops over
the classes of a row, for many. Sums are plain or compensated (Knuth's TwoSum): plain ones do where no term is negative
and the result is a float32.

What is added is ``value(j, y, p, label, top, total, lost, size, each, arguments)``, a tuple with a float for each
sum, of class j: its label and prediction, what the row's earlier passes found (`top`, `total` + `lost`), and the
loss' parameters. ``skips``: the class that `label` names is left out.

Sums are ``compensated`` from slots on, and inside slots, of a few terms each, where they may ``cancel``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._jit import inner, scalar
from .._primitives import prefetch

ALONE, ABREAST, ALONG, LONG = "alone", "abreast", "along", "long"
"""Layouts: rows of one element; rows side by side; classes after each other; the same in rows of whole segments."""
SLOTS = 256
SEGMENT = 1024
FEW = 128  # classes up to which rows stand abreast
LANES = 64  # of a maximum
AT_ONCE = 512  # rows that are summed together at most
NARROW = 8  # slots that are left when several rows' slots are added at once: a vector of float64
TOP, TOTAL, LOST = 0, 1, 2  # rows of `found`

Sums = Callable[..., None]


@inner
def rows_at_once(classes: int) -> int:
    """How many rows are summed together: what they need stays in the first cache, and loops are long."""
    if classes <= FEW:
        return min(AT_ONCE, 8192 // classes // 8 * 8)
    return max(1, min(32, 8192 // classes))


@scalar
def two_sum(a: float, b: float) -> tuple[float, float]:
    """``a + b`` rounded, and what the rounding lost (Knuth); nothing where the sum is infinite or NaN."""
    s = a + b
    t = s - a
    lost = (a - (s - t)) + (b - t)
    return s, (lost if lost == lost else 0.0)


def adder(compensated: bool) -> Callable[..., Any]:
    """``(a, a_low, b, b_low) -> (sum, low)``."""

    @scalar
    def add_plain(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
        return a + b, 0.0

    @scalar
    def add_compensated(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
        s, lost = two_sum(a, b)
        return s, (a_low + b_low) + lost

    return add_compensated if compensated else add_plain


def maxima_abreast(peak: Callable[..., float]) -> Callable[..., None]:
    """``maxima(ys, ps, classes, top)``: each row's maximum of ``peak(y, p)``. A row that holds a NaN may have any; its
    sum is NaN.
    """

    @inner
    def maxima(ys: Any, ps: Any, classes: int, top: Any) -> None:
        for r in range(top.size):
            top[r] = peak(ys[0, r], ps[0, r])
        for j in range(1, classes):
            y, p = ys[j], ps[j]
            for r in range(top.size):
                candidate = peak(y[r], p[r])
                top[r] = candidate if candidate > top[r] else top[r]

    return maxima


def maxima_along(peak: Callable[..., float]) -> Callable[..., None]:
    """The same of rows as they are. ``peak`` is given, and may return, the rows' own dtype."""

    @inner
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


def sums_abreast(value: Callable[..., Any], terms: int, compensated: bool, skips: bool) -> Sums:
    """``sums(ys, ps, classes, labels, found, each, arguments, ahead, slots, out)``: `ys` and `ps` are (classes, rows),
    `labels` one for each row, `found` (3, rows), `slots` (2, terms, classes, rows); `out` (2, terms, rows)
    takes the sums and what their rounding lost. ``ahead`` are the next rows' labels and predictions: memory delivers
    them while these are computed.
    """
    add = adder(compensated)

    @inner
    def sums(
        ys: Any,
        ps: Any,
        classes: int,
        labels: Any,
        found: Any,
        each: Any,
        arguments: Any,
        ahead: Any,
        slots: Any,
        out: Any,
    ) -> None:
        n, size = labels.size, float(classes)
        next_y, next_p = ahead
        share_y, share_p = next_y.size // classes, next_p.size // classes
        top, total, lost = found[TOP], found[TOTAL], found[LOST]
        for j in range(classes):
            y, p = ys[j], ps[j]
            prefetch(next_y, j * share_y, (j + 1) * share_y)
            prefetch(next_p, j * share_p, (j + 1) * share_p)
            for r in range(n):
                values = value(j, y[r], p[r], labels[r], top[r], total[r], lost[r], size, each, arguments)
                for i in range(terms):
                    slots[0, i, j, r] = 0.0 if skips and j == labels[r] else values[i]
            if compensated:
                for i in range(terms):
                    slots[1, i, j, :n] = 0.0
        for i in range(terms):
            high, low = slots[0, i], slots[1, i]
            width, w = classes, SLOTS // 2
            while w > 0:
                for k in range(width - w):
                    a, a_low, b, b_low = high[k], low[k], high[k + w], low[k + w]
                    for r in range(n):
                        a[r], rest = add(a[r], a_low[r], b[r], b_low[r])
                        if compensated:
                            a_low[r] = rest
                width = min(width, w)
                w //= 2
            for r in range(n):
                out[0, i, r] = 0.0 + high[0, r]  # -0 would be 0 along
                out[1, i, r] = low[0, r] if compensated else 0.0

    return sums


def sums_along(
    value: Callable[..., Any], terms: int, compensated: bool, cancels: bool, skips: bool, long: bool
) -> Sums:
    """``sums(y, p, labels, found, each, arguments, slots, parts, out)``: the same of rows as they are, `y` and `p`
    (rows, classes); `slots` (2, terms, SLOTS), `parts` (2, terms, NARROW, rows). ``long``: rows have a whole segment.
    """
    add, add_to_slot = adder(compensated), adder(cancels)

    @scalar
    def value_of(j: int, y: Any, p: Any, label: int, row: Any, size: float, each: Any, arguments: Any) -> Any:
        top, total, lost = row
        return value(j, np.float64(y), np.float64(p), label, top, total, lost, size, each, arguments)

    @scalar
    def quarters(row: Any, segment: int) -> Any:
        a, b, c, d = segment, segment + SLOTS, segment + 2 * SLOTS, segment + 3 * SLOTS
        return row[a:b], row[b:c], row[c:d], row[d : d + SLOTS]

    @inner
    def again(
        slots: Any, y: Any, p: Any, first: int, end: int, label: int, row: Any, size: float, each: Any, arguments: Any
    ) -> None:
        """The label's slot, without the label."""
        at = (label - first) % SLOTS
        for i in range(terms):
            slots[0, i, at], slots[1, i, at] = 0.0, 0.0
        for j in range(first + at, end, SLOTS):
            if j != label:
                values = value_of(j, y[j], p[j], label, row, size, each, arguments)
                for i in range(terms):
                    s, rest = add_to_slot(slots[0, i, at], slots[1, i, at], values[i], 0.0)
                    slots[0, i, at], slots[1, i, at] = s, rest

    @scalar
    def fold(high: Any, low: Any, w: int) -> None:
        for k in range(w):
            high[k], rest = add(high[k], low[k], high[k + w], low[k + w])
            if compensated:
                low[k] = rest

    @scalar
    def narrow(high: Any, low: Any, width: int) -> None:
        """Add slots up until NARROW are left."""
        padded = NARROW
        while padded < width:
            padded *= 2
        for k in range(width, padded):
            high[k] = 0.0
            if compensated:
                low[k] = 0.0
        if padded > 128:
            fold(high, low, 128)
        if padded > 64:
            fold(high, low, 64)
        if padded > 32:
            fold(high, low, 32)
        if padded > 16:
            fold(high, low, 16)
        if padded > 8:
            fold(high, low, 8)

    @inner
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
                row, label = (found[TOP, r], found[TOTAL, r], found[LOST, r]), labels[r]
                row_y, row_p = y[r], p[r]
                done = False
                if long:  # known to the compiler, as are `skips` and `compensated`
                    if end - segment == SEGMENT:  # four terms of a slot at a time: one long loop
                        y0, y1, y2, y3 = quarters(row_y, segment)
                        p0, p1, p2, p3 = quarters(row_p, segment)
                        for k in range(SLOTS):
                            j = segment + k
                            v0 = value_of(j, y0[k], p0[k], label, row, size, each, arguments)
                            v1 = value_of(j + SLOTS, y1[k], p1[k], label, row, size, each, arguments)
                            v2 = value_of(j + 2 * SLOTS, y2[k], p2[k], label, row, size, each, arguments)
                            v3 = value_of(j + 3 * SLOTS, y3[k], p3[k], label, row, size, each, arguments)
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
                            values = value_of(start + k, ys[k], ps[k], label, row, size, each, arguments)
                            for i in range(terms):
                                s, rest = add_to_slot(slots[0, i, k], slots[1, i, k], values[i], 0.0)
                                slots[0, i, k] = s
                                if cancels:
                                    slots[1, i, k] = rest
                if skips:
                    if segment <= label < end:
                        again(slots, row_y, row_p, segment, end, label, row, size, each, arguments)
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
