"""The passes of a row over its classes: a maximum, a total, and sums, of which its loss is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.jit import inline, scalar
from .across_classes import maxima_across_classes, sums_across_classes
from .across_groups import maxima_across_groups, sums_across_groups
from .across_rows import maxima_across_rows, sums_across_rows
from .base import Operands, RowsStats
from .summation_order import ACROSS_GROUPS, ACROSS_ROWS, AT_ONCE, ERR, GROUP, SUM
from .transpose import to_columns
from .workspace import empty


@dataclass(frozen=True)
class RowReduction:
    """A formula's passes over the classes of a row, whatever the layout and the target: compiled scalar functions."""

    value: Callable[..., Any]
    """See :mod:`.summation_order`."""
    terms: int
    """The number of floats that `value` gives."""
    compensated: bool
    """Whether their sums carry what their rounding lost."""
    cancels: bool
    """Whether they may cancel, so that already slots carry it. Totals of `share`, which are subtracted from, may."""
    finish: Callable[..., float]
    """``finish(sums, errs, row_max, size, arguments)``; of a sparse loss ``finish(p_label, row_max, others,
    *arguments)``."""
    peak: Callable[..., float] | None = None
    """``peak(y, p)``, of which ``row_max`` is the maximum."""
    peak_of_prediction: bool = False
    """Whether the peak is p itself."""
    share: Callable[..., float] | None = None
    """``share(p, row_max)``, of which ``total + total_err`` is the sum."""
    skips: bool = False
    """Whether the labelled class stays out of the sums: the loss is a sparse one."""

    @property
    def has_peak(self) -> bool:
        return self.peak is not None or self.peak_of_prediction

    @property
    def peak_or_prediction(self) -> Callable[..., Any]:
        return _prediction if self.peak is None else self.peak

    @property
    def value_of_share(self) -> Callable[..., tuple[float]]:
        """`share` as a `value`."""
        return _value_of_share(self.share or _prediction_alone)


@dataclass(frozen=True)
class Passes:
    """The passes of a reduction, compiled for one layout."""

    run: Callable[..., None]
    """``run(y, p, labels, stats, settings, next_rows, workspace, sums)`` with some rows' labels and predictions (rows,
    classes); it writes `stats` and `sums` (2, terms, rows)."""
    new_workspace: Callable[[Operands], Any]
    """Returns the arrays that `run` writes to."""


class NextRows(NamedTuple):
    """The bytes of the rows that come next, to be fetched meanwhile."""

    y_true: Any
    y_pred: Any


class WorkspaceAcrossRows(NamedTuple):
    columns: Any
    """float64 (2, classes, rows): labels and predictions as columns."""
    slots: Any
    """float64 (2, terms, classes, rows)"""


class WorkspaceAcrossClasses(NamedTuple):
    like: Any
    """An array of the dtype that a maximum is found in."""


def passes_of(reduction: RowReduction, layout: str) -> Passes:
    """Return the passes of a reduction in one of the layouts over classes."""
    if layout == ACROSS_ROWS:
        return _passes_across_rows(reduction)
    return _passes_across_groups(reduction) if layout == ACROSS_GROUPS else _passes_across_classes(reduction)


def _passes_across_rows(reduction: RowReduction) -> Passes:
    terms, compensated, skips = reduction.terms, reduction.compensated, reduction.skips
    has_peak, has_share = reduction.has_peak, reduction.share is not None
    maxima = maxima_across_rows(reduction.peak_or_prediction)
    totals = sums_across_rows(reduction.value_of_share, 1, True, False)
    rest = sums_across_rows(reduction.value, terms, compensated, skips)

    @inline
    def passes_across_rows(
        y: Any, p: Any, labels: Any, stats: Any, settings: Any, next_rows: Any, workspace: Any, sums: Any
    ) -> None:
        columns, slots = workspace.columns, workspace.slots
        n, classes = p.shape
        ys, ps, of_rows = columns[1 if skips else 0], columns[1], labels[:n]
        to_columns(p, ps)
        if not skips:
            to_columns(y, ys)
        if has_peak:
            maxima(ys, ps, classes, stats.row_max[:n])
        if has_share:
            totals(ys, ps, classes, of_rows, stats, settings, next_rows, slots, sums)
            total, total_err = stats.total, stats.total_err
            for r in range(n):
                total[r], total_err[r] = sums[SUM, 0, r], sums[ERR, 0, r]
        rest(ys, ps, classes, of_rows, stats, settings, next_rows, slots, sums)

    return Passes(passes_across_rows, _new_workspace_across_rows(terms, AT_ONCE))


def _passes_across_groups(reduction: RowReduction) -> Passes:
    terms, compensated, skips = reduction.terms, reduction.compensated, reduction.skips
    has_peak, has_share = reduction.has_peak, reduction.share is not None
    maxima = maxima_across_groups(reduction.peak_or_prediction)
    totals = sums_across_groups(reduction.value_of_share, 1, True, False)
    rest = sums_across_groups(reduction.value, terms, compensated, skips)

    @inline
    def passes_across_groups(
        y: Any, p: Any, labels: Any, stats: Any, settings: Any, next_rows: Any, workspace: Any, sums: Any
    ) -> None:
        columns, slots, n = workspace.columns, workspace.slots, p.shape[0]
        ys, ps = columns[1 if skips else 0], columns[1]
        width_y, width_p = next_rows.y_true.size // n, next_rows.y_pred.size // n
        for start in range(0, n, GROUP):
            stop = min(start + GROUP, n)
            to_columns(p[start:stop], ps)
            if not skips:
                to_columns(y[start:stop], ys)
            if has_peak:
                maxima(ys, ps, stats.row_max[start:])
            if has_share:
                nothing = next_rows.y_true[:0]
                totals(ys, ps, labels, stats, settings, NextRows(nothing, nothing), slots, sums, start)
                total, total_err = stats.total[start:], stats.total_err[start:]
                of_rows, errs = sums[SUM, 0, start:], sums[ERR, 0, start:]
                for r in range(GROUP):
                    total[r], total_err[r] = of_rows[r], errs[r]
            coming = NextRows(
                next_rows.y_true[start * width_y : stop * width_y], next_rows.y_pred[start * width_p : stop * width_p]
            )
            rest(ys, ps, labels, stats, settings, coming, slots, sums, start)

    return Passes(passes_across_groups, _new_workspace_across_rows(terms, GROUP))


def _passes_across_classes(reduction: RowReduction) -> Passes:
    terms, has_peak, has_share = reduction.terms, reduction.has_peak, reduction.share is not None
    peak = reduction.peak_or_prediction
    maxima = maxima_across_classes(peak if reduction.peak_of_prediction else _widened(peak))
    totals = sums_across_classes(reduction.value_of_share, 1, True, True, False)
    rest = sums_across_classes(reduction.value, terms, reduction.compensated, reduction.cancels, reduction.skips)

    @inline
    def passes_across_classes(
        y: Any, p: Any, labels: Any, stats: Any, settings: Any, next_rows: Any, workspace: Any, sums: Any
    ) -> None:
        if has_peak:
            maxima(y, p, workspace.like, stats.row_max)
        if has_share:
            totals(y, p, labels, stats, settings, sums)
            total, total_err = stats.total, stats.total_err
            for r in range(p.shape[0]):
                total[r], total_err[r] = sums[SUM, 0, r], sums[ERR, 0, r]
        rest(y, p, labels, stats, settings, sums)

    return Passes(passes_across_classes, _new_workspace_across_classes(reduction.peak_of_prediction))


def _new_workspace_across_rows(terms: int, rows: int) -> Callable[[Operands], WorkspaceAcrossRows]:
    def new_workspace(operands: Operands) -> WorkspaceAcrossRows:
        classes = operands.y_pred.shape[1]
        columns = empty((2, classes, rows))
        columns[:] = 0.0  # the last rows may not fill them, but they are computed with
        return WorkspaceAcrossRows(columns, empty((2, terms, classes, rows)))

    return new_workspace


def _new_workspace_across_classes(peak_of_prediction: bool) -> Callable[[Operands], WorkspaceAcrossClasses]:
    def new_workspace(operands: Operands) -> WorkspaceAcrossClasses:
        return WorkspaceAcrossClasses(empty(1, operands.y_pred.dtype if peak_of_prediction else np.float64))

    return new_workspace


def new_stats(n: int) -> RowsStats:
    """Return the statistics of n rows, NaN until there are some."""
    stats = RowsStats(empty(n), empty(n), empty(n))
    for array in stats:
        array[:] = np.nan
    return stats


@scalar
def _prediction(y: Any, p: Any) -> Any:
    return p


@scalar
def _prediction_alone(p: float, row_max: float) -> float:
    return p


@cache
def _widened(peak: Callable[..., float]) -> Callable[..., float]:
    @scalar
    def peak_of(y: Any, p: Any) -> float:
        return peak(np.float64(y), np.float64(p))

    return peak_of


@cache
def _value_of_share(share: Callable[..., float]) -> Callable[..., tuple[float]]:
    @scalar
    def value(j: int, y: float, p: float, row: Any, per_class: Any, arguments: Any) -> tuple[float]:
        return (share(p, row.row_max),)

    return value
