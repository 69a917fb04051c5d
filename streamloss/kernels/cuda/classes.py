"""Losses of rows over classes: some lanes of a warp to a row, in the canonical order; or a block, for long rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...core.cuda_compiler import WARP, Launcher, cuda, device
from ...formulas._kinds import Elementwise, Overlap, Rowwise, Sparse
from .. import dense, sparse
from ..base import BAD, IGNORED, KEPT
from ..dense import column_of
from ..row_reduction import RowReduction
from ..summation_order import SEGMENT
from .kernel import THREADS, Team, nothing, rows_kernel
from .loads import Form, one
from .row_reduction import look_at_row, sums_of_row

LANES = Team(THREADS)
ROW_BYTES = 16 << 10
"""For each warp of a row: what all rows that are being computed have together then stays in the GPU's cache."""
MOST_WARPS = 8
"""So that a block can be launched however many registers its threads take: a GPU has 65,536 for a block."""
REGISTERS = 16
"""Float64 sums that a lane has for the classes that it reads at once, at most; more would not stay in registers."""


def team_of(classes: int, itemsize: int) -> Team:
    """A row has a second pass over its classes, which finds them in a cache if not too many rows are under way."""
    warps = 1
    while warps < MOST_WARPS and warps * ROW_BYTES < classes * itemsize and warps * SEGMENT < classes:
        warps *= 2
    return LANES if warps == 1 else Team(WARP * warps, whole=True)


def groups(
    formula: Sparse | Rowwise | Overlap | Elementwise, single: bool, true: Form, pred: Form, team: Team
) -> Launcher:
    made_of = sparse.recipe(formula, single) if isinstance(formula, Sparse) else dense.recipe(formula, single)
    most = REGISTERS // (made_of.terms * (2 if made_of.compensated else 1))
    pred = Form(pred.halves, min(pred.width, 1 << max(0, most.bit_length() - 1)))
    row: Any = _sparse_row if isinstance(formula, Sparse) else _dense_row
    return rows_kernel(nothing, row(formula, made_of, true, pred, team), single, team)


def _sparse_row(formula: Sparse, made_of: RowReduction, true: Form, pred: Form, team: Team) -> Any:
    finish, by_label, has_peak = made_of.finish, formula.pivot == "label", made_of.has_peak
    look, prediction = look_at_row(team, formula, made_of, pred, pred), one(pred.halves)
    sums = sums_of_row(team, made_of, False, pred, pred)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, given: Any, seat: Any) -> Any:
        (y_true, y_pred), (ignore, arguments, _) = arrays, given
        at = np.int64(r) * classes
        label = np.int64(y_true[r])
        usable = (label >= 0) & (label < classes)
        label_or_0 = label if usable else 0
        top, outside = look((y_pred, y_pred), at, classes, seat)
        own = np.float64(prediction(y_pred, at + label_or_0))
        pivot = own if by_label else (top if has_peak else np.nan)
        total, found = cuda.local.array((1, 2), np.float64), (pivot, np.nan, np.nan)
        sums((y_pred, y_pred), at, classes, label_or_0, found, given, seat, total)
        loss = finish(own, pivot, total[0, 0] + total[0, 1], *arguments)
        kept = KEPT if usable and not outside else BAD
        return loss, (IGNORED if ignore[0] != 0 and label == ignore[1] else kept)

    return evaluate


def _dense_row(
    formula: Rowwise | Overlap | Elementwise, made_of: RowReduction, true: Form, pred: Form, team: Team
) -> Any:
    finish, terms, has_peak, has_share = made_of.finish, made_of.terms, made_of.has_peak, made_of.share is not None
    has_own = not isinstance(formula, Overlap) and formula.per_class is not None
    look, column = look_at_row(team, formula, made_of, true, pred), column_of(terms)
    sums = sums_of_row(team, made_of, has_own, true, pred)
    shares = replace(made_of, value=made_of.total_of, terms=1, compensated=True, cancels=True)
    totals = sums_of_row(team, shares, False, true, pred)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, given: Any, seat: Any) -> Any:
        arguments = given[1]
        at = np.int64(r) * classes
        top, outside = look(arrays, at, classes, seat)
        top = top if has_peak else np.nan
        share = cuda.local.array((1, 2), np.float64)
        share[0, 0], share[0, 1] = np.nan, np.nan
        if has_share:
            found = (top, np.nan, np.nan)
            totals(arrays, at, classes, 0, found, given, seat, share)
        total, found = cuda.local.array((terms, 2), np.float64), (top, share[0, 0], share[0, 1])
        sums(arrays, at, classes, 0, found, given, seat, total)
        loss = finish(column(total, 0), column(total, 1), top, float(classes), arguments)
        return loss, (BAD if outside else KEPT)

    return evaluate
