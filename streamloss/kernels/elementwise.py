"""Loops over the elements of rows, and over rows of a distribution's parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._jit import scalar, serial
from ..losses._kinds import Elementwise, Parametric
from .layout import BAD, KEPT, Rows, count_outside_of, with_own
from .order import SEGMENT, SLOTS, add_tree


def elementwise(formula: Elementwise) -> Rows:
    term = with_own(formula.term, formula.per_class is not None)
    outside_true = count_outside_of(formula.y_true)
    outside_pred = count_outside_of(formula.y_pred)

    @serial
    def rows(
        y_true: Any,
        y_pred: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        values: Any,
        status: Any,
        work: Any,
    ) -> None:
        n, size = y_pred.shape
        slots, rest = work[0], work[4]
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
                values[r] = term(each, 0, (np.float64(y[r]), np.float64(p[r])), arguments)
            return
        for r in range(n):
            total, lost = 0.0, 0.0
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
                        slots[k] += term(each, start + k, (np.float64(ys[k]), np.float64(ps[k])), arguments)
                total, lost = add_tree(total, lost, slots, rest, min(SLOTS, end - segment))
            values[r] = (total + lost) / size

    return rows


def parametric(formula: Parametric) -> Rows:
    term = scalar(formula.term)
    true, first, second = formula.y_true, *formula.y_preds
    lows = (true.smallest, first.smallest, second.smallest)
    highs = (true.largest, first.largest, second.largest)

    @serial
    def rows(
        y_true: Any,
        y_pred: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        values: Any,
        status: Any,
        work: Any,
    ) -> None:
        for r in range(y_pred.shape[0]):
            y, a, b = np.float64(y_true[r]), np.float64(y_pred[r, 0]), np.float64(y_pred[r, 1])
            outside = (y < lows[0]) | (y > highs[0]) | (a < lows[1]) | (a > highs[1]) | (b < lows[2]) | (b > highs[2])
            status[r] = BAD if outside else KEPT
            values[r] = term(y, a, b, *arguments)

    return rows
