"""Loops over rows with an integer label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.jit import inline, scalar
from ..core.primitives import bytes_of, flat
from ..formulas._kinds import MAXIMUM, OneHot, Sparse
from . import dense
from .base import BAD, IGNORED, KEPT, Kernel, Operands, compiled, count_outside_of
from .row_reduction import NextRows, Passes, RowReduction, new_stats, passes_of
from .summation_order import ERR, SUM, rows_at_once
from .workspace import empty


class Workspace(NamedTuple):
    """The arrays that the loop over a tile writes to."""

    of_passes: Any
    stats: Any
    sums: Any
    """float64 (2, terms, rows)"""
    labels: Any
    """int64 (rows,): classes; 0 for labels that are none."""
    p_label: Any
    """float64 (rows,): the prediction of the labelled class."""


def reduction_of(formula: Sparse | OneHot, single: bool) -> RowReduction:
    """Return the sums that losses of rows with an integer label are made of."""
    return _one_hot(formula, single) if isinstance(formula, OneHot) else _others(formula, single)


@cache
def _one_hot(formula: OneHot, single: bool) -> RowReduction:
    """Return the sums over all classes, with the label as a one-hot row."""
    of_dense = dense.reduction_of(formula.dense, single)
    value_of = of_dense.value

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> Any:
        return value_of(j, 1.0 if j == row.label else 0.0, p, row, per_class, arguments)

    return replace(of_dense, value=value)


@cache
def _others(formula: Sparse, single: bool) -> RowReduction:
    """Return the sum over the other classes: the labelled one stays out of it, and its terms are not negative."""
    term = compiled(formula.term, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> tuple[float]:
        return (term(p, row.row_max, 1.0 if j < row.label else 0.0),)

    finish = compiled(formula.finish, single)
    return RowReduction(value, 1, not single, False, finish, peak_of_prediction=formula.pivot == MAXIMUM, skips=True)


def sparse(formula: Sparse | OneHot, single: bool, layout: str) -> Kernel:
    """Return the loop of a loss with an integer label for each row."""
    reduction = reduction_of(formula, single)
    finish_rows, passes = _finish_of(formula, reduction), passes_of(reduction, layout)
    run_passes = passes.run
    outside_pred = count_outside_of(formula.y_pred)
    by_label = isinstance(formula, Sparse) and formula.pivot == "label"

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> int:
        stats, sums, labels, p_label = workspace.stats, workspace.sums, workspace.labels, workspace.p_label
        ignore, row_max = settings.ignore, stats.row_max
        n, classes = y_pred.shape
        step, odd = labels.size, 0
        # bytes, so that loops which only prefetch these are the same for all dtypes
        bytes_pred, width = bytes_of(y_pred), classes * y_pred.itemsize
        for start in range(0, n, step):
            m = min(step, n - start)
            x, kept = y_pred[start : start + m], status[start : start + m]
            for r in range(m):
                label = np.int64(y_true[start + r])
                usable = (label >= 0) & (label < classes)
                labels[r] = label if usable else 0
                kept[r] = KEPT if usable else BAD
                kept[r] = IGNORED if (ignore.enabled != 0) & (label == ignore.label) else kept[r]
            for r in range(m):
                odd += 0 if kept[r] == KEPT else 1
            outside = outside_pred(flat(x))
            odd += outside
            if outside > 0:
                for r in range(m):
                    kept[r] = BAD if (kept[r] == KEPT) & (outside_pred(x[r]) > 0) else kept[r]
            for r in range(m):
                p_label[r] = x[r, labels[r]]
                row_max[r] = p_label[r] if by_label else np.nan
            coming = bytes_pred[min(start + m, n) * width : min(start + 2 * m, n) * width]
            next_rows = NextRows(coming[:0], coming)
            run_passes(x, x, labels, stats, settings, next_rows, workspace.of_passes, sums)
            finish_rows(values[start : start + m], p_label, row_max, sums, classes, settings)
        return odd

    return Kernel(rows, _new_workspace_of(passes, reduction.terms))


def _finish_of(formula: Sparse | OneHot, reduction: RowReduction) -> Callable[..., None]:
    """Return ``finish_rows(losses, p_label, row_max, sums, classes, settings)``, which writes the losses of rows."""
    finish, column = reduction.finish, dense.column_of(reduction.terms)

    @inline
    def finish_others(losses: Any, p_label: Any, row_max: Any, sums: Any, classes: int, settings: Any) -> None:
        others, others_err = sums[SUM, 0], sums[ERR, 0]
        for r in range(losses.size):
            losses[r] = finish(p_label[r], row_max[r], others[r] + others_err[r], *settings.arguments)

    @inline
    def finish_all(losses: Any, p_label: Any, row_max: Any, sums: Any, classes: int, settings: Any) -> None:
        arguments = settings.arguments
        for r in range(losses.size):
            losses[r] = finish(column(sums[SUM], r), column(sums[ERR], r), row_max[r], float(classes), arguments)

    return finish_all if isinstance(formula, OneHot) else finish_others


def _new_workspace_of(passes: Passes, terms: int) -> Callable[[Operands], Workspace]:
    def new_workspace(operands: Operands) -> Workspace:
        n = rows_at_once(operands.y_pred.shape[1])
        sums, labels = empty((2, terms, n)), empty(n, np.int64)
        return Workspace(passes.new_workspace(operands), new_stats(n), sums, labels, empty(n))

    return new_workspace
