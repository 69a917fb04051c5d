"""Loops over rows whose losses are made of sums over the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._jit import scalar, serial
from ..losses._kinds import Overlap, Rowwise
from .layout import BAD, KEPT, Rows, count_outside_of, with_own
from .order import SLOTS, row_sums_of


def rowwise(formula: Rowwise) -> Rows:
    finish = scalar(formula.finish)

    @scalar
    def finish_sums(sums: Any, lost: Any, top: float, size: float, arguments: Any) -> float:
        return finish(sums, lost, top, size, *arguments)

    return _fold(formula, formula.term, formula.terms, finish_sums, formula.peak, formula.share, formula.per_class)


def overlap(formula: Overlap) -> Rows:
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
    row_terms = row_sums_of(terms)(with_own(term, per_class is not None))
    outside_true = count_outside_of(formula.y_true)
    outside_pred = count_outside_of(formula.y_pred)
    has_peak, has_share = peak_of is not None, share_of is not None
    peak = scalar(peak_of or _no_peak)
    row_share = row_sums_of(1)(with_own(_share_term(share_of or _no_share), False))

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
