"""Maxima and sums of rows side by side, for few classes: every loop runs over rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..core.jit import compile_once
from ..core.primitives import prefetch
from .base import RowStats
from .summation_order import ERR, SLOTS, SUM, Sums, adder


@cache
def maxima_across_rows(peak: Callable[..., float]) -> Callable[..., None]:
    """Return ``maxima(ys, ps, classes, row_max)``: each row's maximum of ``peak(y, p)`` goes to `row_max` (rows,).

    `ys` and `ps` are (classes, rows). A row that holds a NaN may have any maximum; its sum is NaN.
    """

    @compile_once
    def maxima(ys: Any, ps: Any, classes: int, row_max: Any) -> None:
        for r in range(row_max.size):
            row_max[r] = peak(ys[0, r], ps[0, r])
        for j in range(1, classes):
            y, p = ys[j], ps[j]
            for r in range(row_max.size):
                candidate = peak(y[r], p[r])
                row_max[r] = candidate if candidate > row_max[r] else row_max[r]

    return maxima


@cache
def sums_across_rows(value: Callable[..., Any], terms: int, compensated: bool, skips: bool) -> Sums:
    """Return ``sums(ys, ps, classes, labels, stats, settings, next_rows, slots, out)``.

    `ys` and `ps` are (classes, rows), `labels` one for each row, `stats` a :class:`~.base.RowsStats`, `slots` (2,
    terms, classes, rows); `out` (2, terms, rows) takes each row's sums and errors. ``next_rows`` holds the bytes of the
    next rows' labels and predictions: memory delivers them while these are computed.
    """
    add = adder(compensated)

    @compile_once
    def sums(
        ys: Any,
        ps: Any,
        classes: int,
        labels: Any,
        stats: Any,
        settings: Any,
        next_rows: Any,
        slots: Any,
        out: Any,
    ) -> None:
        n, size = labels.size, float(classes)
        next_y, next_p = next_rows
        share_y, share_p = next_y.size // classes, next_p.size // classes
        row_max, total, total_err = stats.row_max, stats.total, stats.total_err
        for j in range(classes):
            y, p = ys[j], ps[j]
            prefetch(next_y, j * share_y, (j + 1) * share_y)
            prefetch(next_p, j * share_p, (j + 1) * share_p)
            for r in range(n):
                row = RowStats(labels[r], row_max[r], total[r], total_err[r], size)
                values = value(j, y[r], p[r], row, settings.per_class, settings.arguments)
                for i in range(terms):
                    slots[SUM, i, j, r] = 0.0 if skips and j == labels[r] else values[i]
            if compensated:
                for i in range(terms):
                    slots[ERR, i, j, :n] = 0.0
        for i in range(terms):
            high, low = slots[SUM, i], slots[ERR, i]
            width, w = classes, SLOTS // 2
            while w > 0:
                for k in range(width - w):
                    a, a_err, b, b_err = high[k], low[k], high[k + w], low[k + w]
                    for r in range(n):
                        a[r], err = add(a[r], a_err[r], b[r], b_err[r])
                        if compensated:
                            a_err[r] = err
                width = min(width, w)
                w //= 2
            for r in range(n):
                out[SUM, i, r] = 0.0 + high[0, r]  # -0 would be 0 across classes
                out[ERR, i, r] = low[0, r] if compensated else 0.0

    return sums
