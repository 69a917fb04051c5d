"""The passes of a row over its classes: a maximum, a total, and sums, of which its loss is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.jit import inline, scalar
from .across_classes import LANES, NARROW, maxima_across_classes, sums_across_classes
from .across_rows import maxima_across_rows, sums_across_rows
from .base import Operands, RowsStats
from .summation_order import ACROSS_ROWS, ACROSS_SEGMENTS, ERR, SLOTS, SUM, rows_at_once
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
    slots: Any
    """float64 (2, terms, SLOTS)"""
    partials: Any
    """float64 (2, terms, NARROW, rows)"""
    lanes: Any
    """(LANES,): of a maximum."""


def passes_of(reduction: RowReduction, layout: str) -> Passes:
    """Return the passes of a reduction in one of the layouts over classes."""
    return _passes_across_rows(reduction) if layout == ACROSS_ROWS else _passes_across_classes(reduction, layout)


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
        ys, ps = columns[1 if skips else 0], columns[1]
        to_columns(p, ps)
        if not skips:
            to_columns(y, ys)
        if has_peak:
            maxima(ys, ps, classes, stats.row_max[:n])
        if has_share:
            totals(ys, ps, classes, labels, stats, settings, next_rows, slots, sums)
            total, total_err = stats.total, stats.total_err
            for r in range(n):
                total[r], total_err[r] = sums[SUM, 0, r], sums[ERR, 0, r]
        rest(ys, ps, classes, labels, stats, settings, next_rows, slots, sums)

    return Passes(passes_across_rows, _new_workspace_across_rows(terms))


def _passes_across_classes(reduction: RowReduction, layout: str) -> Passes:
    terms, has_peak, has_share = reduction.terms, reduction.has_peak, reduction.share is not None
    peak, long = reduction.peak_or_prediction, layout == ACROSS_SEGMENTS
    maxima = maxima_across_classes(peak if reduction.peak_of_prediction else _widened(peak))
    totals = sums_across_classes(reduction.value_of_share, 1, True, True, False, long)
    rest = sums_across_classes(reduction.value, terms, reduction.compensated, reduction.cancels, reduction.skips, long)

    @inline
    def passes_across_classes(
        y: Any, p: Any, labels: Any, stats: Any, settings: Any, next_rows: Any, workspace: Any, sums: Any
    ) -> None:
        slots, partials = workspace.slots, workspace.partials
        n = labels.size
        if has_peak:
            maxima(y, p, workspace.lanes, stats.row_max[:n])
        if has_share:
            totals(y, p, labels, stats, settings, slots, partials, sums)
            total, total_err = stats.total, stats.total_err
            for r in range(n):
                total[r], total_err[r] = sums[SUM, 0, r], sums[ERR, 0, r]
        rest(y, p, labels, stats, settings, slots, partials, sums)

    return Passes(passes_across_classes, _new_workspace_across_classes(terms, reduction.peak_of_prediction))


def _new_workspace_across_rows(terms: int) -> Callable[[Operands], WorkspaceAcrossRows]:
    def new_workspace(operands: Operands) -> WorkspaceAcrossRows:
        classes = operands.y_pred.shape[1]
        n = rows_at_once(classes)
        return WorkspaceAcrossRows(empty((2, classes, n)), empty((2, terms, classes, n)))

    return new_workspace


def _new_workspace_across_classes(terms: int, peak_of_prediction: bool) -> Callable[[Operands], WorkspaceAcrossClasses]:
    def new_workspace(operands: Operands) -> WorkspaceAcrossClasses:
        y_pred = operands.y_pred
        lanes = empty(LANES, y_pred.dtype if peak_of_prediction else np.float64)
        partials = empty((2, terms, NARROW, rows_at_once(y_pred.shape[1])))
        return WorkspaceAcrossClasses(empty((2, terms, SLOTS)), partials, lanes)

    return new_workspace


def new_stats(n: int) -> RowsStats:
    """Return the statistics of n rows; the maxima are NaN until there are some."""
    stats = RowsStats(empty(n), empty(n), empty(n))
    stats.row_max[:] = np.nan
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
