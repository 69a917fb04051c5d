"""From a formula to ``rows(y_true, y_pred, ignore, arguments, values, status, work)``: a tile of losses in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._jit import scalar, serial
from ..losses._registry import Elementwise, Formula, Rowwise, Sparse
from ..types import Interval
from .order import SEGMENT, SLOTS, add_tree, row_maximum, row_sums_of

TILE = 512  # rows whose losses are in L1 while they are finished, weighted, stored and added up
WORK = (5, max(TILE, SLOTS))  # float64 work space of a tile
KEPT, IGNORED, BAD = 0, 1, 2  # a row's status

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


def _elementwise(formula: Elementwise) -> Rows:
    term = scalar(formula.term)
    outside_true = _count_outside(formula.y_true)
    outside_pred = _count_outside(formula.y_pred)

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: tuple[int, int], arguments: Any, values: Any, status: Any, work: Any
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
                values[r] = term(np.float64(y[r]), np.float64(p[r]), *arguments)
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
                        slots[k] += term(np.float64(ys[k]), np.float64(ps[k]), *arguments)
                total, lost = add_tree(total, lost, slots, rest, min(SLOTS, end - segment))
            values[r] = (total + lost) / size

    return rows


def _sparse(formula: Sparse) -> Rows:
    term = scalar(formula.term)
    finish = scalar(formula.finish)
    outside_pred = _count_outside(formula.y_pred)
    needs_top = formula.needs_top

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: tuple[int, int], arguments: Any, values: Any, status: Any, work: Any
    ) -> None:
        classes = y_pred.shape[1]
        lanes = np.empty(64, y_pred.dtype)
        slots, own, tops, sums, rest = work[0], work[1], work[2], work[3], work[4]
        n = y_pred.shape[0]
        for r in range(n):
            label = y_true[r]
            row = y_pred[r]
            status[r] = KEPT
            own[r], tops[r], sums[r] = 0.5, 0.5, 0.5  # any number does for a row without a loss
            if ignore[0] and label == ignore[1]:
                status[r] = IGNORED
                continue
            if label < 0 or label >= classes or outside_pred(row) > 0:
                status[r] = BAD
                continue
            top = row_maximum(row, lanes) if needs_top else np.nan
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
                        slots[k] += term(np.float64(part[k]), top)
                if segment <= label < end:  # the label's slot again, without the label
                    slot = (label - segment) % SLOTS
                    without = 0.0
                    for j in range(segment + slot, end, SLOTS):
                        if j != label:
                            without += term(np.float64(row[j]), top)
                    slots[slot] = without
                others, lost = add_tree(others, lost, slots, rest, min(SLOTS, end - segment))
            own[r], tops[r], sums[r] = row[label], top, others + lost
        for r in range(n):
            values[r] = finish(own[r], tops[r], sums[r], *arguments)

    return rows


def _rowwise(formula: Rowwise) -> Rows:
    terms = formula.terms
    finish = scalar(formula.finish)
    row_terms = row_sums_of(terms)(formula.term)
    outside_true = _count_outside(formula.y_true)
    outside_pred = _count_outside(formula.y_pred)
    has_peak, has_share = formula.peak is not None, formula.share is not None
    peak = scalar(formula.peak or _no_peak)
    row_share = row_sums_of(1)(_share_term(formula.share or _no_share))

    @serial
    def rows(
        y_true: Any, y_pred: Any, ignore: tuple[int, int], arguments: Any, values: Any, status: Any, work: Any
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
                row_share(p, p, (top,), (), slots, sums)
                total, lost = sums[0, 0], sums[1, 0]
            row_terms(y, p, (top, total, lost, float(size)), arguments, slots, sums)
            values[r] = finish(sums[0], sums[1], top, float(size), *arguments)

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


@cache
def build(formula: Formula) -> Rows:
    """The compiled loop of a formula; compiled on its first call for each combination of dtypes."""
    if isinstance(formula, Elementwise):
        return _elementwise(formula)
    return _sparse(formula) if isinstance(formula, Sparse) else _rowwise(formula)
