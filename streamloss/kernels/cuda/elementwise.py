"""Losses of single elements and of rows of a distribution's parameters: a thread to a row, or to some."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...aggregation.accumulation import Accumulation
from ...core.cuda_compiler import Launcher, device
from ...formulas._kinds import Elementwise, Parametric
from ..base import BAD, KEPT, compiled, term_of
from .kernel import THREADS, Team, load_nothing, rows_kernel
from .loads import Form, load_element, load_scalars, load_vector, select


def elementwise(formula: Elementwise, single: bool, true: Form, pred: Form, accumulation: Accumulation) -> Launcher:
    """Return the kernel of rows of one element. A thread has as many rows as it reads predictions at once."""
    term, has_parameter = term_of(formula, single), formula.per_class is not None
    low_y, high_y = formula.y_true.smallest, formula.y_true.largest
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest
    width, kth = pred.width, select(pred.width)
    labels, predictions = load_vector(true, width), load_vector(pred, width)
    last_labels, last_predictions = load_scalars(true.halves, width), load_scalars(pred.halves, width)

    @device
    def load(arrays: Any, first: int, n: int) -> Any:
        if first + width <= n:
            return labels(arrays.y_true, first), predictions(arrays.y_pred, first)
        return last_labels(arrays.y_true, first, n - 1), last_predictions(arrays.y_pred, first, n - 1)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, settings: Any, position: Any) -> Any:
        ys, ps = loaded
        y, p = np.float64(kth(ys, k)), np.float64(kth(ps, k))
        outside = (y < low_y) | (y > high_y) | (p < low_p) | (p > high_p)
        parameter = settings.per_class[0] if has_parameter else 0.0
        return term((parameter,), 0, (y, p), settings.arguments), BAD if outside else KEPT

    return rows_kernel(load, evaluate, single, Team(THREADS, rows=width), accumulation)


def parametric(formula: Parametric, single: bool, true: Form, pred: Form, accumulation: Accumulation) -> Launcher:
    """Return the kernel of rows of a number and two predicted parameters."""
    term = compiled(formula.term, single)
    label, prediction = load_element(true.halves), load_element(pred.halves)
    expected, first, second = formula.y_true, *formula.y_preds
    lows = (expected.smallest, first.smallest, second.smallest)
    highs = (expected.largest, first.largest, second.largest)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, settings: Any, position: Any) -> Any:
        y = np.float64(label(arrays.y_true, r))
        a, b = np.float64(prediction(arrays.y_pred, 2 * r)), np.float64(prediction(arrays.y_pred, 2 * r + 1))
        outside = (y < lows[0]) | (y > highs[0]) | (a < lows[1]) | (a > highs[1]) | (b < lows[2]) | (b > highs[2])
        return term(y, a, b, *settings.arguments), BAD if outside else KEPT

    return rows_kernel(load_nothing, evaluate, single, Team(THREADS), accumulation)
