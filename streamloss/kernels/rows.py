"""From a formula to its loop over the rows of a tile, whose losses are float64.

``rows(y_true, y_pred, ignore, arguments, each, values, status, work)`` writes `values` and `status`; ``each``
holds the parameter that has a value for each class (classes,), or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._jit import scalar, serial
from ..losses._kinds import Elementwise, Formula, LabelSequence, Overlap, Parametric, Rowwise, Sparse
from ..types import Interval
from .order import SEGMENT, SLOTS, add_tree, row_maximum, row_sums_of

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
WORK = (5, max(TILE, SLOTS))  # float64 work space of a tile
KEPT, IGNORED, BAD, IMPOSSIBLE = 0, 1, 2, 3  # a row's status; IMPOSSIBLE: the loss is infinite, as a policy may allow

Rows = Callable[..., None]


@cache
def _count_outside(interval: Interval) -> Callable[..., int]:
    """``count(array) -> int``: how many values lie outside; NaN is judged by its loss instead."""
    low, high = interval.smallest, interval.largest
    if not interval.bounded:

        @serial
        def count_none(values: Any) -> int:
            return 0

        return count_none

    @serial
    def count_outside(values: Any) -> int:
        outside = 0
        for j in range(values.size):
            outside += 1 if (values[j] < low) | (values[j] > high) else 0
        return outside

    return count_outside


def _with_own(term: Callable[..., Any], has_own: bool) -> Callable[..., Any]:
    """``call(each, j, data, arguments)``: the term of data, arguments and, if it has one, class j's own value."""
    compiled = scalar(term)

    @scalar
    def call_with(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return compiled(*data, *arguments, each[j])

    @scalar
    def call_without(each: Any, j: int, data: Any, arguments: Any) -> Any:
        return compiled(*data, *arguments)

    return call_with if has_own else call_without


def _elementwise(formula: Elementwise) -> Rows:
    term = _with_own(formula.term, formula.per_class is not None)
    outside_true = _count_outside(formula.y_true)
    outside_pred = _count_outside(formula.y_pred)

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


def _sparse(formula: Sparse) -> Rows:
    term = scalar(formula.term)
    finish = scalar(formula.finish)
    outside_pred = _count_outside(formula.y_pred)
    by_maximum, by_label = formula.pivot == "maximum", formula.pivot == "label"

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
        classes = y_pred.shape[1]
        lanes = np.empty(64, y_pred.dtype)
        slots, own, pivots, sums, rest = work[0], work[1], work[2], work[3], work[4]
        n = y_pred.shape[0]
        for r in range(n):
            label = y_true[r]
            row = y_pred[r]
            status[r] = KEPT
            own[r], pivots[r], sums[r] = 0.5, 0.5, 0.5  # any number does for a row without a loss
            if ignore[0] and label == ignore[1]:
                status[r] = IGNORED
                continue
            if label < 0 or label >= classes or outside_pred(row) > 0:
                status[r] = BAD
                continue
            pivot = row_maximum(row, lanes) if by_maximum else np.nan
            pivot = np.float64(row[label]) if by_label else pivot
            others, lost = 0.0, 0.0
            for segment in range(0, classes, SEGMENT):
                end = min(segment + SEGMENT, classes)
                for start in range(segment, end, SLOTS):
                    width = min(SLOTS, end - start)
                    part = row[start : start + width]
                    if start == segment:
                        for k in range(width):
                            slots[k] = 0.0
                    for k in range(width):
                        slots[k] += term(np.float64(part[k]), pivot, 1.0 if start + k < label else 0.0)
                if segment <= label < end:  # the label's slot again, without the label
                    slot = (label - segment) % SLOTS
                    without = 0.0
                    for j in range(segment + slot, end, SLOTS):
                        if j != label:
                            without += term(np.float64(row[j]), pivot, 1.0 if j < label else 0.0)
                    slots[slot] = without
                others, lost = add_tree(others, lost, slots, rest, min(SLOTS, end - segment))
            own[r], pivots[r], sums[r] = row[label], pivot, others + lost
        for r in range(n):
            values[r] = finish(own[r], pivots[r], sums[r], *arguments)

    return rows


def _rowwise(formula: Rowwise) -> Rows:
    finish = scalar(formula.finish)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return finish(sums, lost, top, size, *arguments)

    return _fold(formula, formula.term, formula.terms, finish_sums, formula.peak, formula.share, formula.per_class)


def _overlap(formula: Overlap) -> Rows:
    """The ratio inside each row."""
    ratio = scalar(formula.finish)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return ratio(sums[0] + lost[0], sums[1] + lost[1], sums[2] + lost[2], *arguments)

    return _fold(formula, _overlap_terms, 3, finish_sums)


def _overlap_terms(
    y: float, p: float, top: float, total: float, lost: float, size: float, *arguments: float
) -> tuple[float, float, float]:
    return (y * p, (1.0 - y) * p, y * (1.0 - p))


def _fold(
    formula: Rowwise | Overlap,
    term: Callable[..., tuple[float, ...]],
    terms: int,
    finish: Callable[..., float],
    peak_of: Callable[..., float] | None = None,
    share_of: Callable[..., float] | None = None,
    per_class: str | None = None,
) -> Rows:
    """A row at a time: its maximum and total where the formula has them, then the sums of its terms."""
    row_terms = row_sums_of(terms)(_with_own(term, per_class is not None))
    outside_true = _count_outside(formula.y_true)
    outside_pred = _count_outside(formula.y_pred)
    has_peak, has_share = peak_of is not None, share_of is not None
    peak = scalar(peak_of or _no_peak)
    row_share = row_sums_of(1)(_with_own(_share_term(share_of or _no_share), False))

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
        slots = np.empty((2, terms, SLOTS))
        sums = np.empty((2, terms))
        for r in range(n):
            y, p = y_true[r], y_pred[r]
            status[r] = KEPT
            values[r] = 0.0
            if outside_true(y) + outside_pred(p) > 0:
                status[r] = BAD
                continue
            top, total, lost = np.nan, np.nan, 0.0
            if has_peak:
                top = -np.inf
                for j in range(size):
                    candidate = peak(np.float64(y[j]), np.float64(p[j]))
                    top = candidate if candidate > top else top
            if has_share:
                row_share(p, p, each, (top,), (), slots, sums)
                total, lost = sums[0, 0], sums[1, 0]
            row_terms(y, p, each, (top, total, lost, float(size)), arguments, slots, sums)
            values[r] = finish(sums[0], sums[1], top, float(size), arguments)

    return rows


def _no_peak(y: float, p: float) -> float:
    return p


def _no_share(p: float, top: float) -> float:
    return p


def _share_term(share: Callable[..., float]) -> Callable[..., tuple[float]]:
    compiled = scalar(share)

    def term(y: float, p: float, top: float) -> tuple[float]:
        return (compiled(p, top),)

    return term


def _parametric(formula: Parametric) -> Rows:
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


def _sequence(formula: LabelSequence) -> Rows:
    loss = serial(formula.loss)
    outside_pred = _count_outside(formula.y_pred)

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
        n, time, classes = y_pred.shape
        longest = y_true.shape[1]
        states = np.empty((6, 2 * longest + 1))
        for r in range(n):
            labels, scores = y_true[r], y_pred[r]
            length = 0
            while length < longest and labels[length] != 0:
                length += 1
            wrong = outside_pred(scores.reshape(time * classes))
            for i in range(longest):  # zeros fill up behind the labels, and nowhere else
                wrong += 1 if (labels[i] < 0) | (labels[i] >= classes) | ((i > length) & (labels[i] != 0)) else 0
            status[r] = BAD if wrong else KEPT
            values[r] = 0.0
            if wrong == 0:
                values[r] = loss(labels[:length], scores, states)
                status[r] = IMPOSSIBLE if values[r] == np.inf else KEPT

    return rows


@cache
def build(formula: Formula) -> Rows:
    """The compiled loop of a formula; compiled on its first call for each combination of dtypes."""
    match formula:
        case Elementwise():
            return _elementwise(formula)
        case Sparse():
            return _sparse(formula)
        case Rowwise():
            return _rowwise(formula)
        case Parametric():
            return _parametric(formula)
        case Overlap():
            return _overlap(formula)
        case LabelSequence():
            return _sequence(formula)
