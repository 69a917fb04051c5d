"""Loops over rows whose losses are made of sums over the classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.jit import inline, scalar
from ..core.primitives import bytes_of, flat
from ..formulas._kinds import MAXIMUM, Elementwise, Overlap, Rowwise
from .base import BAD, KEPT, Kernel, Operands, compiled, count_outside_of, term_of, with_class_parameter
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
    """int64 (rows,): zeros, for passes that ask for labels."""


def dense(formula: Rowwise | Overlap | Elementwise, single: bool, layout: str) -> Kernel:
    """Return the loop of a loss whose labels have the shape of the predictions."""
    reduction = reduction_of(formula, single)
    terms, finish, passes = reduction.terms, reduction.finish, passes_of(reduction, layout)
    outside_true = count_outside_of(formula.y_true)
    outside_pred = count_outside_of(formula.y_pred)
    run_passes, column = passes.run, column_of(terms)

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> int:
        stats, sums, labels = workspace.stats, workspace.sums, workspace.labels
        n, classes = y_pred.shape
        step, odd = labels.size, 0
        # bytes, so that loops which only prefetch these are the same for all dtypes
        bytes_true, width_true = bytes_of(y_true), classes * y_true.itemsize
        bytes_pred, width_pred = bytes_of(y_pred), classes * y_pred.itemsize
        for start in range(0, n, step):
            m = min(step, n - start)
            y, p, kept = y_true[start : start + m], y_pred[start : start + m], status[start : start + m]
            for r in range(m):
                kept[r] = KEPT
            outside = outside_true(flat(y)) + outside_pred(flat(p))
            odd += outside
            if outside > 0:
                for r in range(m):
                    kept[r] = BAD if outside_true(y[r]) + outside_pred(p[r]) > 0 else KEPT
            a, b = min(start + m, n), min(start + 2 * m, n)
            coming = bytes_pred[a * width_pred : b * width_pred]
            next_rows = NextRows(bytes_true[a * width_true : b * width_true], coming)
            run_passes(y, p, labels, stats, settings, next_rows, workspace.of_passes, sums)
            losses, row_max, arguments = values[start : start + m], stats.row_max, settings.arguments
            for r in range(m):
                losses[r] = finish(column(sums[SUM], r), column(sums[ERR], r), row_max[r], float(classes), arguments)
        return odd

    return Kernel(rows, _new_workspace_of(passes, terms))


def reduction_of(formula: Rowwise | Overlap | Elementwise, single: bool) -> RowReduction:
    """Return what the losses of rows are made of: the sums of a Rowwise, the ratio of an Overlap, the mean of terms."""
    match formula:
        case Rowwise():
            return _sums(formula, single)
        case Overlap():
            return _ratio(formula, single)
        case Elementwise():
            return _mean(formula, single)


@cache
def _sums(formula: Rowwise, single: bool) -> RowReduction:
    term = with_class_parameter(compiled(formula.term, single), formula.per_class is not None)
    finish = compiled(formula.finish, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> Any:
        return term(per_class, j, (y, p, row.row_max, row.total, row.total_err, row.size), arguments)

    @scalar
    def finish_sums(sums: Any, errs: Any, row_max: float, size: float, arguments: Any) -> float:
        return finish(sums, errs, row_max, size, *arguments)

    peak = None if formula.peak is None or isinstance(formula.peak, str) else scalar(formula.peak)
    return RowReduction(
        value,
        formula.terms,
        formula.cancels or not single,
        formula.cancels,
        finish_sums,
        peak=peak,
        peak_of_prediction=formula.peak == MAXIMUM,
        share=None if formula.share is None else compiled(formula.share, single),
    )


@cache
def _ratio(formula: Overlap, single: bool) -> RowReduction:
    """The ratio inside each row."""
    ratio = scalar(formula.finish)

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> tuple[float, float, float]:
        return y * p, (1.0 - y) * p, y * (1.0 - p)

    @scalar
    def finish_sums(sums: Any, errs: Any, row_max: float, size: float, arguments: Any) -> float:
        return ratio(sums[0] + errs[0], sums[1] + errs[1], sums[2] + errs[2], *arguments)

    return RowReduction(value, 3, not single, False, finish_sums)


@cache
def _mean(formula: Elementwise, single: bool) -> RowReduction:
    """The mean of the terms of a row's elements."""
    term = term_of(formula, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> tuple[float]:
        return (term(per_class, j, (y, p), arguments),)

    @scalar
    def finish_sums(sums: Any, errs: Any, row_max: float, size: float, arguments: Any) -> float:
        return (sums[0] + errs[0]) / size

    return RowReduction(value, 1, formula.cancels or not single, formula.cancels, finish_sums)


def _new_workspace_of(passes: Passes, terms: int) -> Callable[[Operands], Workspace]:
    def new_workspace(operands: Operands) -> Workspace:
        n = rows_at_once(operands.y_pred.shape[1])
        sums, labels = empty((2, terms, n)), empty(n, np.int64)
        labels[:] = 0
        return Workspace(passes.new_workspace(operands), new_stats(n), sums, labels)

    return new_workspace


@cache
def column_of(terms: int) -> Callable[..., Any]:
    """Return ``column(sums, r)``: a row's sums as a tuple, whose length the compiler must know."""

    @scalar
    def one(sums: Any, r: int) -> Any:
        return (sums[0, r],)

    @scalar
    def two(sums: Any, r: int) -> Any:
        return sums[0, r], sums[1, r]

    @scalar
    def three(sums: Any, r: int) -> Any:
        return sums[0, r], sums[1, r], sums[2, r]

    @scalar
    def four(sums: Any, r: int) -> Any:
        return sums[0, r], sums[1, r], sums[2, r], sums[3, r]

    return (one, two, three, four)[terms - 1]
