"""Losses of rows over classes: some lanes of a warp to a row, in the canonical order; or a block, for long rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...aggregation.accumulation import Accumulation
from ...core.cuda_compiler import WARP, Launcher, cuda, device
from ...formulas._kinds import Elementwise, OneHot, Overlap, Rowwise, Sparse
from .. import dense, sparse
from ..base import BAD, IGNORED, KEPT, RowStats
from ..dense import column_of
from ..row_reduction import RowReduction
from ..summation_order import ERR, SEGMENT, SUM
from .kernel import THREADS, Team, load_nothing, rows_kernel
from .loads import Form, load_element
from .row_reduction import row_max_of, sums_of_row

LANES = Team(THREADS)
ROW_BYTES = 16 << 10
"""The bytes of a row for each of its warps: all rows that are being computed then stay in the GPU's cache."""
MOST_WARPS = 8
"""The most warps of a row: a block can be launched however many of a GPU's 65,536 registers its threads take."""
REGISTERS = 16
"""The most float64 sums that a lane has for the classes that it reads at once; more would not stay in registers."""


def team_of(classes: int, itemsize: int) -> Team:
    """Return who computes a row. Its second pass over the classes finds them in a cache if few rows are under way."""
    warps = 1
    while warps < MOST_WARPS and warps * ROW_BYTES < classes * itemsize and warps * SEGMENT < classes:
        warps *= 2
    return LANES if warps == 1 else Team(WARP * warps, whole=True)


def classes(
    formula: Sparse | OneHot | Rowwise | Overlap | Elementwise,
    single: bool,
    true: Form,
    pred: Form,
    team: Team,
    accumulation: Accumulation,
) -> Launcher:
    """Return the kernel of rows over classes."""
    if isinstance(formula, Sparse | OneHot):
        reduction = sparse.reduction_of(formula, single)
        evaluate = _sparse_row(formula, reduction, _narrowed(pred, reduction), team)
    else:
        reduction = dense.reduction_of(formula, single)
        evaluate = _dense_row(formula, reduction, true, _narrowed(pred, reduction), team)
    return rows_kernel(load_nothing, evaluate, single, team, accumulation)


def _narrowed(pred: Form, reduction: RowReduction) -> Form:
    """Return the form of predictions of which a lane reads no more at once than it has registers for."""
    most = REGISTERS // (reduction.terms * (2 if reduction.compensated else 1))
    return Form(pred.halves, min(pred.width, 1 << max(0, most.bit_length() - 1)))


def _sparse_row(formula: Sparse | OneHot, reduction: RowReduction, pred: Form, team: Team) -> Any:
    by_label, has_peak = isinstance(formula, Sparse) and formula.pivot == "label", reduction.has_peak
    has_share, terms = reduction.share is not None, reduction.terms
    row_max, prediction = row_max_of(team, formula, reduction, pred, pred), load_element(pred.halves)
    sums, shares = sums_of_row(team, reduction, False, pred, pred), _shares_of_row(team, reduction, pred, pred)
    finish = _finish_of(formula, reduction)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, settings: Any, position: Any) -> Any:
        ignore, logits, size = settings.ignore, arrays.y_pred, float(classes)
        at = np.int64(r) * classes
        label = np.int64(arrays.y_true[r])
        usable = (label >= 0) & (label < classes)
        label_or_0 = label if usable else 0
        top, outside = row_max(logits, logits, at, classes, position)
        p_label = np.float64(prediction(logits, at + label_or_0))
        pivot = p_label if by_label else (top if has_peak else np.nan)
        share = cuda.local.array((1, 2), np.float64)
        share[0, SUM], share[0, ERR] = np.nan, np.nan
        if has_share:
            row = RowStats(label_or_0, pivot, np.nan, np.nan, size)
            shares(logits, logits, at, classes, row, settings, position, share)
        total = cuda.local.array((terms, 2), np.float64)
        row = RowStats(label_or_0, pivot, share[0, SUM], share[0, ERR], size)
        sums(logits, logits, at, classes, row, settings, position, total)
        loss = finish(p_label, pivot, total, size, settings.arguments)
        kept = KEPT if usable and not outside else BAD
        return loss, (IGNORED if ignore.enabled != 0 and label == ignore.label else kept)

    return evaluate


def _finish_of(formula: Sparse | OneHot, reduction: RowReduction) -> Any:
    """Return ``finish(p_label, pivot, total, size, arguments)``: the loss of a row with an integer label."""
    finish, column = reduction.finish, column_of(reduction.terms)

    @device
    def finish_others(p_label: float, pivot: float, total: Any, size: float, arguments: Any) -> float:
        return finish(p_label, pivot, total[0, SUM] + total[0, ERR], *arguments)

    @device
    def finish_all(p_label: float, pivot: float, total: Any, size: float, arguments: Any) -> float:
        return finish(column(total, SUM), column(total, ERR), pivot, size, arguments)

    return finish_all if isinstance(formula, OneHot) else finish_others


def _shares_of_row(team: Team, reduction: RowReduction, true: Form, pred: Form) -> Any:
    """Return the pass that adds up a row's shares, as :func:`sums_of_row` does."""
    shares = replace(reduction, value=reduction.value_of_share, terms=1, compensated=True, cancels=True, skips=False)
    return sums_of_row(team, shares, False, true, pred)


def _dense_row(
    formula: Rowwise | Overlap | Elementwise, reduction: RowReduction, true: Form, pred: Form, team: Team
) -> Any:
    finish, terms, has_peak = reduction.finish, reduction.terms, reduction.has_peak
    has_share = reduction.share is not None
    has_parameter = formula.per_class is not None
    row_max, column = row_max_of(team, formula, reduction, true, pred), column_of(terms)
    sums = sums_of_row(team, reduction, has_parameter, true, pred)
    totals = _shares_of_row(team, reduction, true, pred)

    @device
    def evaluate(k: int, loaded: Any, arrays: Any, r: int, classes: int, settings: Any, position: Any) -> Any:
        y, p, size = arrays.y_true, arrays.y_pred, float(classes)
        at = np.int64(r) * classes
        top, outside = row_max(y, p, at, classes, position)
        top = top if has_peak else np.nan
        share = cuda.local.array((1, 2), np.float64)
        share[0, SUM], share[0, ERR] = np.nan, np.nan
        if has_share:
            totals(y, p, at, classes, RowStats(0, top, np.nan, np.nan, size), settings, position, share)
        total = cuda.local.array((terms, 2), np.float64)
        sums(y, p, at, classes, RowStats(0, top, share[0, SUM], share[0, ERR], size), settings, position, total)
        loss = finish(column(total, SUM), column(total, ERR), top, size, settings.arguments)
        return loss, (BAD if outside else KEPT)

    return evaluate
