"""Loops over single elements, and over rows of a distribution's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.jit import inline, no_alloc, scalar
from ..core.primitives import flat
from ..formulas._kinds import Elementwise, Parametric
from .base import BAD, KEPT, Kernel, compiled, count_outside_of, no_workspace, term_of


def elementwise(formula: Elementwise, single: bool) -> Kernel:
    """Return the loop over rows of one element; for longer ones see :func:`streamloss.kernels.dense.dense`."""
    term = term_of(formula, single)
    outside_true = count_outside_of(formula.y_true)
    outside_pred = count_outside_of(formula.y_pred)
    are_outcomes, term_of_outcome = _outcomes_of(formula, single)

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> int:
        n = y_pred.shape[0]
        y, p = flat(y_true), flat(y_pred)
        per_class, arguments = settings.per_class, settings.arguments
        odd = outside_true(y) + outside_pred(p)
        if odd > 0:
            for r in range(n):
                status[r] = BAD if outside_true(y[r : r + 1]) + outside_pred(p[r : r + 1]) > 0 else KEPT
        if are_outcomes(y, arguments):  # known to be False to the compiler where a formula has no such term
            for r in range(n):
                values[r] = term_of_outcome(np.float64(y[r]), np.float64(p[r]), *arguments)
        else:
            for r in range(n):
                values[r] = term(per_class, 0, (np.float64(y[r]), np.float64(p[r])), arguments)
        return odd

    return Kernel(rows, no_workspace)


def _outcomes_of(formula: Elementwise, single: bool) -> tuple[Callable[..., bool], Callable[..., float]]:
    """Return ``are_outcomes(y, arguments)``: whether labels are 0 or 1 and there is a term for these; and that term."""
    if formula.of_outcomes is None:

        @scalar
        def never(y: Any, arguments: Any) -> bool:
            return False

        @scalar
        def nothing(y: float, p: float, *arguments: Any) -> float:
            return 0.0

        return never, nothing
    applies = scalar(formula.of_outcomes.applies)

    @no_alloc
    def are_outcomes(y: Any, arguments: Any) -> bool:
        if not applies(*arguments):
            return False
        others = 0
        for r in range(y.size):
            others += 1 if (y[r] != 0) & (y[r] != 1) else 0
        return others == 0

    return are_outcomes, compiled(formula.of_outcomes.term, single)


def parametric(formula: Parametric, single: bool) -> Kernel:
    """Return the loop over rows of a number and two predicted parameters."""
    term = compiled(formula.term, single)
    true, first, second = formula.y_true, *formula.y_preds
    lows = (true.smallest, first.smallest, second.smallest)
    highs = (true.largest, first.largest, second.largest)

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> int:
        odd = 0
        for r in range(y_pred.shape[0]):
            y, a, b = np.float64(y_true[r]), np.float64(y_pred[r, 0]), np.float64(y_pred[r, 1])
            outside = (y < lows[0]) | (y > highs[0]) | (a < lows[1]) | (a > highs[1]) | (b < lows[2]) | (b > highs[2])
            status[r] = BAD if outside else KEPT
            odd += 1 if outside else 0
            values[r] = term(y, a, b, *settings.arguments)
        return odd

    return Kernel(rows, no_workspace)
