"""Losses of single elements and of rows of a distribution's parameters: a thread to a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.layout import BAD, KEPT, compiled, term_of
from ..losses._kinds import Elementwise, Parametric
from .toolkit import Launcher, cuda, device, kernel


def _of_element(formula: Elementwise, single: bool) -> Any:
    term, has_own = term_of(formula, single), formula.per_class is not None
    low_y, high_y = formula.y_true.smallest, formula.y_true.largest
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest

    @device
    def evaluate(y_true: Any, y_pred: Any, r: int, arguments: Any, each: Any) -> Any:
        y, p = np.float64(y_true[r, 0]), np.float64(y_pred[r, 0])
        outside = (y < low_y) | (y > high_y) | (p < low_p) | (p > high_p)
        own = each[0] if has_own else 0.0
        return term((own,), 0, (y, p), arguments), outside

    return evaluate


def _of_parameters(formula: Parametric, single: bool) -> Any:
    term = compiled(formula.term, single)
    true, first, second = formula.y_true, *formula.y_preds
    lows = (true.smallest, first.smallest, second.smallest)
    highs = (true.largest, first.largest, second.largest)

    @device
    def evaluate(y_true: Any, y_pred: Any, r: int, arguments: Any, each: Any) -> Any:
        y, a, b = np.float64(y_true[r]), np.float64(y_pred[r, 0]), np.float64(y_pred[r, 1])
        outside = (y < lows[0]) | (y > highs[0]) | (a < lows[1]) | (a > highs[1]) | (b < lows[2]) | (b > highs[2])
        return term(y, a, b, *arguments), outside

    return evaluate


def singles(formula: Elementwise | Parametric, single: bool) -> Launcher:
    """``(y_true, y_pred, arguments, each, values, status)``, the last two float64 and int8 (rows,)."""
    evaluate = _of_element(formula, single) if isinstance(formula, Elementwise) else _of_parameters(formula, single)

    @kernel
    def rows(y_true: Any, y_pred: Any, arguments: Any, each: Any, values: Any, status: Any) -> None:
        step = cuda.gridDim.x * cuda.blockDim.x
        for r in range(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x, y_pred.shape[0], step):
            loss, outside = evaluate(y_true, y_pred, r, arguments, each)
            values[r], status[r] = loss, (BAD if outside else KEPT)

    return rows
