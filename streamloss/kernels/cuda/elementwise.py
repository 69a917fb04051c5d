"""Losses of single elements and of rows of a distribution's parameters: a thread to a row, or to some."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.cuda_compiler import Launcher, device
from ...formulas._kinds import Elementwise, Parametric
from ..base import BAD, KEPT, compiled, term_of
from .kernel import THREADS, Team, nothing, rows_kernel
from .loads import Form, apart, one, pick, several


def elements(formula: Elementwise, single: bool, true: Form, pred: Form) -> Launcher:
    """A thread has as many rows as it reads predictions at once."""
    term, has_own = term_of(formula, single), formula.per_class is not None
    low_y, high_y = formula.y_true.smallest, formula.y_true.largest
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest
    width, kth = pred.width, pick(pred.width)
    labels, predictions = several(true, width), several(pred, width)
    last_labels, last_predictions = apart(true.halves, width), apart(pred.halves, width)

    @device
    def load(y_true: Any, y_pred: Any, first: int, n: int) -> Any:
        if first + width <= n:
            return labels(y_true, first), predictions(y_pred, first)
        return last_labels(y_true, first, n - 1), last_predictions(y_pred, first, n - 1)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, given: Any, seat: Any) -> Any:
        _, arguments, each = given
        y, p = np.float64(kth(loaded[0], k)), np.float64(kth(loaded[1], k))
        outside = (y < low_y) | (y > high_y) | (p < low_p) | (p > high_p)
        own = each[0] if has_own else 0.0
        return term((own,), 0, (y, p), arguments), BAD if outside else KEPT

    return rows_kernel(load, evaluate, single, Team(THREADS, rows=width))


def parameters(formula: Parametric, single: bool, true: Form, pred: Form) -> Launcher:
    term = compiled(formula.term, single)
    label, prediction = one(true.halves), one(pred.halves)
    expected, first, second = formula.y_true, *formula.y_preds
    lows = (expected.smallest, first.smallest, second.smallest)
    highs = (expected.largest, first.largest, second.largest)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, given: Any, seat: Any) -> Any:
        (y_true, y_pred), arguments = arrays, given[1]
        y, a, b = np.float64(label(y_true, r)), prediction(y_pred, 2 * r), prediction(y_pred, 2 * r + 1)
        a, b = np.float64(a), np.float64(b)
        outside = (y < lows[0]) | (y > highs[0]) | (a < lows[1]) | (a > highs[1]) | (b < lows[2]) | (b > highs[2])
        return term(y, a, b, *arguments), BAD if outside else KEPT

    return rows_kernel(nothing, evaluate, single, Team(THREADS))
