"""Maxima and sums of rows side by side, for few classes: every loop runs over rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..core.jit import compile_once
from ..core.primitives import prefetch
from .summation_order import LOST, SLOTS, TOP, TOTAL, Sums, adder


@cache
def maxima_abreast(peak: Callable[..., float]) -> Callable[..., None]:
    """``maxima(ys, ps, classes, top)``: each row's maximum of ``peak(y, p)``. A row that holds a NaN may have any; its
    sum is NaN.
    """

    @compile_once
    def maxima(ys: Any, ps: Any, classes: int, top: Any) -> None:
        for r in range(top.size):
            top[r] = peak(ys[0, r], ps[0, r])
        for j in range(1, classes):
            y, p = ys[j], ps[j]
            for r in range(top.size):
                candidate = peak(y[r], p[r])
                top[r] = candidate if candidate > top[r] else top[r]

    return maxima


@cache
def sums_abreast(value: Callable[..., Any], terms: int, compensated: bool, skips: bool) -> Sums:
    """``sums(ys, ps, classes, labels, found, each, arguments, ahead, slots, out)``: `ys` and `ps` are (classes, rows),
    `labels` one for each row, `found` (3, rows), `slots` (2, terms, classes, rows); `out` (2, terms, rows)
    takes the sums and what their rounding lost. ``ahead`` are the bytes of the next rows' labels and predictions:
    memory delivers them while these are computed.
    """
    add = adder(compensated)

    @compile_once
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
                row = labels[r], top[r], total[r], lost[r], size
                values = value(j, y[r], p[r], row, each, arguments)
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
