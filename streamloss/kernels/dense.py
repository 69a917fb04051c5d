"""Loops over rows whose losses are made of sums over the classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import inline, scalar, serial
from ..formulas._kinds import MAXIMUM, Elementwise, Overlap, Rowwise
from .base import BAD, KEPT, Kernel, compiled, count_outside_of, term_of, with_own
from .row_reduction import RowReduction, fold_of
from .summation_order import TOP, rows_at_once


def rowwise(formula: Rowwise, single: bool, layout: str) -> Kernel:
    return _kernel(formula, _of_sums(formula, single), layout)


def overlap(formula: Overlap, single: bool, layout: str) -> Kernel:
    return _kernel(formula, _of_ratio(formula, single), layout)


def means(formula: Elementwise, single: bool, layout: str) -> Kernel:
    return _kernel(formula, _of_mean(formula, single), layout)


def recipe(formula: Rowwise | Overlap | Elementwise, single: bool) -> RowReduction:
    match formula:
        case Rowwise():
            return _of_sums(formula, single)
        case Overlap():
            return _of_ratio(formula, single)
        case Elementwise():
            return _of_mean(formula, single)


@cache
def _of_sums(formula: Rowwise, single: bool) -> RowReduction:
    term = with_own(compiled(formula.term, single), formula.per_class is not None)
    finish = compiled(formula.finish, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> Any:
        _, top, total, lost, size = row
        return term(each, j, (y, p, top, total, lost, size), arguments)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return finish(sums, lost, top, size, *arguments)

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
def _of_ratio(formula: Overlap, single: bool) -> RowReduction:
    """The ratio inside each row."""
    ratio = scalar(formula.finish)

    @scalar
    def value(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> tuple[float, float, float]:
        return y * p, (1.0 - y) * p, y * (1.0 - p)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return ratio(sums[0] + lost[0], sums[1] + lost[1], sums[2] + lost[2], *arguments)

    return RowReduction(value, 3, not single, False, finish_sums)


@cache
def _of_mean(formula: Elementwise, single: bool) -> RowReduction:
    """The mean of the terms of a row's elements."""
    term = term_of(formula, single)

    @scalar
    def value(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> tuple[float]:
        return (term(each, j, (y, p), arguments),)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return (sums[0] + lost[0]) / size

    return RowReduction(value, 1, formula.cancels or not single, formula.cancels, finish_sums)


def _kernel(formula: Rowwise | Overlap | Elementwise, made_of: RowReduction, layout: str) -> Kernel:
    terms, finish, fold = made_of.terms, made_of.finish, fold_of(made_of, layout)
    outside_true = count_outside_of(formula.y_true)
    outside_pred = count_outside_of(formula.y_pred)
    passes = fold.passes
    column = column_of(terms)

    @inline
    def rows(
        y_true: Any,
        y_pred: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        values: Any,
        status: Any,
        space: Any,
    ) -> None:
        fold_space, found, sums, labels = space
        n, classes = y_pred.shape
        step = rows_at_once(classes)
        # bytes, so that loops which only prefetch these are the same for all dtypes
        flat_true, width_true = y_true.reshape(n * classes).view(np.uint8), classes * y_true.itemsize
        flat_pred, width_pred = y_pred.reshape(n * classes).view(np.uint8), classes * y_pred.itemsize
        for start in range(0, n, step):
            m = min(step, n - start)
            y, p, kept = y_true[start : start + m], y_pred[start : start + m], status[start : start + m]
            for r in range(m):
                kept[r] = KEPT
            if outside_true(y.reshape(m * classes)) + outside_pred(p.reshape(m * classes)) > 0:
                for r in range(m):
                    kept[r] = BAD if outside_true(y[r]) + outside_pred(p[r]) > 0 else KEPT
            a, b = min(start + m, n), min(start + 2 * m, n)
            ahead = flat_true[a * width_true : b * width_true], flat_pred[a * width_pred : b * width_pred]
            passes(y, p, labels[:m], found, each, arguments, ahead, fold_space, sums)
            losses, top = values[start : start + m], found[TOP]
            for r in range(m):
                losses[r] = finish(column(sums[0], r), column(sums[1], r), top[r], float(classes), arguments)

    return Kernel(rows, _space(fold.new_space, terms))


@cache
def _space(new_fold_space: Callable[..., Any], terms: int) -> Callable[..., Any]:
    @serial
    def new_space(y_pred: Any) -> Any:
        n = rows_at_once(y_pred.shape[1])
        found, sums, labels = np.empty((3, n)), np.empty((2, terms, n)), np.empty(n, np.int64)
        for r in range(n):
            found[TOP, r], labels[r] = np.nan, 0  # what the loss has no use for
        return new_fold_space(y_pred), found, sums, labels

    return new_space


@cache
def column_of(terms: int) -> Callable[..., Any]:
    """``column(sums, r)``: a row's sums as a tuple, whose length the compiler must know."""

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
