"""Loops over rows with an integer label."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.jit import inline, scalar, serial
from ..formulas._kinds import MAXIMUM, Sparse
from .base import BAD, IGNORED, KEPT, Kernel, compiled, count_outside_of
from .row_reduction import NextRows, RowReduction, new_stats, passes_of
from .summation_order import ERR, SUM, rows_at_once


class Workspace(NamedTuple):
    """The arrays that the loop over a tile writes to."""

    of_passes: Any
    stats: Any
    sums: Any
    """float64 (2, 1, rows)"""
    labels: Any
    """int64 (rows,): classes; 0 for labels that are none."""
    p_label: Any
    """float64 (rows,): the prediction of the labelled class."""


@cache
def reduction_of(formula: Sparse, single: bool) -> RowReduction:
    """Return the sum over the other classes: the labelled one stays out of it, and its terms are not negative."""
    term = compiled(formula.term, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> tuple[float]:
        return (term(p, row.row_max, 1.0 if j < row.label else 0.0),)

    finish = compiled(formula.finish, single)
    return RowReduction(value, 1, not single, False, finish, peak_of_prediction=formula.pivot == MAXIMUM, skips=True)


def sparse(formula: Sparse, single: bool, layout: str) -> Kernel:
    """Return the loop of a loss with an integer label for each row."""
    reduction = reduction_of(formula, single)
    finish, passes = reduction.finish, passes_of(reduction, layout)
    run_passes = passes.run
    outside_pred = count_outside_of(formula.y_pred)
    by_label = formula.pivot == "label"

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> None:
        stats, sums, labels, p_label = workspace.stats, workspace.sums, workspace.labels, workspace.p_label
        ignore, row_max = settings.ignore, stats.row_max
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
                kept[r] = IGNORED if (ignore.enabled != 0) & (label == ignore.label) else kept[r]
            if outside_pred(x.reshape(m * classes)):
                for r in range(m):
                    kept[r] = BAD if (kept[r] == KEPT) & (outside_pred(x[r]) > 0) else kept[r]
            for r in range(m):
                p_label[r] = x[r, labels[r]]
                row_max[r] = p_label[r] if by_label else np.nan
            coming = flat[min(start + m, n) * width : min(start + 2 * m, n) * width]
            next_rows = NextRows(coming[:0], coming)
            run_passes(x, x, labels[:m], stats, settings, next_rows, workspace.of_passes, sums)
            losses, others, others_err = values[start : start + m], sums[SUM, 0], sums[ERR, 0]
            for r in range(m):
                losses[r] = finish(p_label[r], row_max[r], others[r] + others_err[r], *settings.arguments)

    return Kernel(rows, _new_workspace_of(passes.new_workspace))


@cache
def _new_workspace_of(new_workspace_of_passes: Callable[..., Any]) -> Callable[..., Any]:
    @serial
    def new_workspace(y_pred: Any) -> Any:
        n = rows_at_once(y_pred.shape[1])
        sums, labels = np.empty((2, 1, n)), np.empty(n, np.int64)
        return Workspace(new_workspace_of_passes(y_pred), new_stats(n), sums, labels, np.empty(n))

    return new_workspace
