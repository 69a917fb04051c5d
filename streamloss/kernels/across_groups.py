"""Maxima and sums of rows side by side, for several classes: every loop runs over GROUP rows, a length that compilers
know.

Rows are taken group by group: their labels and predictions as columns, and the slots of their sums, stay in the first
cache. The last group may hold fewer rows; what is computed for the others is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..core.jit import compile_once, scalar
from ..core.local_arrays import local_array
from ..core.primitives import prefetch
from .base import RowStats
from .summation_order import ERR, GROUP, SLOTS, SUM, Sums, adder, for_each


@cache
def maxima_across_groups(peak: Callable[..., float]) -> Callable[..., None]:
    """Return ``maxima(ys, ps, row_max)``: each row's maximum of ``peak(y, p)`` goes to `row_max` (GROUP,).

    `ys` and `ps` are (classes, GROUP). A row that holds a NaN may have any maximum; its sum is NaN.
    """
    local = local_array(GROUP)

    @compile_once
    def maxima(ys: Any, ps: Any, row_max: Any) -> None:
        best = local(row_max)
        for r in range(GROUP):
            best[r] = peak(ys[0, r], ps[0, r])
        for j in range(1, ps.shape[0]):
            y, p = ys[j], ps[j]
            for r in range(GROUP):
                candidate = peak(y[r], p[r])
                best[r] = candidate if candidate > best[r] else best[r]
        for r in range(GROUP):
            row_max[r] = best[r]

    return maxima


@cache
def sums_across_groups(value: Callable[..., Any], terms: int, compensated: bool, skips: bool) -> Sums:
    """Return ``sums(ys, ps, labels, stats, settings, next_rows, slots, out, start)``.

    `ys` and `ps` are (classes, GROUP), `labels` one for each row, `stats` a :class:`~.base.RowsStats`, `slots` (2,
    terms, classes, GROUP); `out` (2, terms, GROUP) takes each row's sums and errors. ``next_rows`` holds the bytes of
    later rows' labels and predictions: memory delivers them while these are computed.
    """
    add, local, local_values = adder(compensated), local_array(GROUP), local_array(GROUP * terms)

    def term_holder(i: int) -> Callable[..., None]:
        @scalar
        def hold(held: Any, r: int, values: Any, j: int, labels: Any) -> None:
            held[GROUP * i + r] = 0.0 if skips and j == labels[r] else values[i]

        return hold

    hold_all = for_each(term_holder, terms)

    @compile_once
    def sums(
        ys: Any, ps: Any, labels: Any, stats: Any, settings: Any, next_rows: Any, slots: Any, out: Any, start: int
    ) -> None:
        classes = ps.shape[0]
        size, (next_y, next_p) = float(classes), next_rows
        share_y, share_p = next_y.size // classes, next_p.size // classes
        of_rows, row_max, total, total_err = local(labels), local(ps), local(ps), local(ps)
        held, errs = local_values(ps), local(ps)
        given = labels[start:], stats.row_max[start:], stats.total[start:], stats.total_err[start:]
        for r in range(GROUP):
            of_rows[r], row_max[r], total[r], total_err[r] = given[0][r], given[1][r], given[2][r], given[3][r]
        for j in range(classes):
            y, p = ys[j], ps[j]
            prefetch(next_y, j * share_y, (j + 1) * share_y)
            prefetch(next_p, j * share_p, (j + 1) * share_p)
            for r in range(GROUP):
                row = RowStats(of_rows[r], row_max[r], total[r], total_err[r], size)
                values = value(j, y[r], p[r], row, settings.per_class, settings.arguments)
                hold_all(held, r, values, j, of_rows)
            for i in range(terms):
                slot = slots[SUM, i, j]
                for r in range(GROUP):
                    slot[r] = held[GROUP * i + r]
                if compensated:
                    slot_err = slots[ERR, i, j]
                    for r in range(GROUP):
                        slot_err[r] = 0.0
        for i in range(terms):
            high, low = slots[SUM, i], slots[ERR, i]
            width, w = classes, SLOTS // 2
            while w > 0:
                for k in range(width - w):
                    a, a_err, b, b_err = high[k], low[k], high[k + w], low[k + w]
                    for r in range(GROUP):
                        held[r], errs[r] = add(a[r], a_err[r], b[r], b_err[r])
                    for r in range(GROUP):
                        a[r] = held[r]
                    if compensated:
                        for r in range(GROUP):
                            a_err[r] = errs[r]
                width = min(width, w)
                w //= 2
            of_sum = out[SUM, i, start:]
            for r in range(GROUP):
                held[r] = 0.0 + high[0, r]  # -0 would be 0 across classes
            for r in range(GROUP):
                of_sum[r] = held[r]
            of_err = out[ERR, i, start:]
            if compensated:
                for r in range(GROUP):
                    of_err[r] = low[0, r]
            else:
                for r in range(GROUP):
                    of_err[r] = 0.0

    return sums
