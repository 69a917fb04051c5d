"""Loops over rows with an integer label."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import inline, scalar, serial
from ..formulas._kinds import MAXIMUM, Sparse
from .base import BAD, IGNORED, KEPT, Kernel, Pair, compiled, count_outside_of
from .row_reduction import RowReduction, fold_of
from .summation_order import TOP, rows_at_once


@cache
def recipe(formula: Sparse, single: bool) -> RowReduction:
    """The labelled class stays out of the sum, which is of terms that are not negative."""
    term = compiled(formula.term, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> tuple[float]:
        label, top, _, _, _ = row
        return (term(p, top, 1.0 if j < label else 0.0),)

    finish = compiled(formula.finish, single)
    return RowReduction(value, 1, not single, False, finish, peak_of_prediction=formula.pivot == MAXIMUM, skips=True)


def sparse(formula: Sparse, single: bool, layout: str) -> Kernel:
    made_of = recipe(formula, single)
    finish, fold = made_of.finish, fold_of(made_of, layout)
    passes = fold.passes
    outside_pred = count_outside_of(formula.y_pred)
    by_label = formula.pivot == "label"

    @inline
    def rows(
        y_true: Any,
        y_pred: Any,
        ignore: Pair,
        arguments: Any,
        each: Any,
        values: Any,
        status: Any,
        space: Any,
    ) -> None:
        fold_space, found, sums, labels = space
        own = found[3]
        n, classes = y_pred.shape
        step = rows_at_once(classes)
        # bytes, so that loops which only prefetch these are the same for all dtypes
        flat, width = y_pred.reshape(n * classes).view(np.uint8), classes * y_pred.itemsize
        for start in range(0, n, step):
            m = min(step, n - start)
            x, kept = y_pred[start : start + m], status[start : start + m]
            for r in range(m):
                label = np.int64(y_true[start + r])
                usable = (label >= 0) & (label < classes)
                labels[r] = label if usable else 0
                kept[r] = KEPT if usable else BAD
                kept[r] = IGNORED if (ignore[0] != 0) & (label == ignore[1]) else kept[r]
            if outside_pred(x.reshape(m * classes)):
                for r in range(m):
                    kept[r] = BAD if (kept[r] == KEPT) & (outside_pred(x[r]) > 0) else kept[r]
            for r in range(m):
                own[r] = x[r, labels[r]]
                found[TOP, r] = own[r] if by_label else np.nan
            coming = flat[min(start + m, n) * width : min(start + 2 * m, n) * width]
            passes(x, x, labels[:m], found, each, arguments, (coming[:0], coming), fold_space, sums)
            losses, top, others, lost = values[start : start + m], found[TOP], sums[0, 0], sums[1, 0]
            for r in range(m):
                losses[r] = finish(own[r], top[r], others[r] + lost[r], *arguments)

    return Kernel(rows, _space(fold.new_space))


@cache
def _space(new_fold_space: Callable[..., Any]) -> Callable[..., Any]:
    @serial
    def new_space(y_pred: Any) -> Any:
        n = rows_at_once(y_pred.shape[1])
        found, sums, labels = np.empty((4, n)), np.empty((2, 1, n)), np.empty(n, np.int64)
        return new_fold_space(y_pred), found, sums, labels

    return new_space
