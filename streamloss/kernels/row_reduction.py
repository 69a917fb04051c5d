"""What rows find out by passing over their classes: a maximum, a total, and sums. The layout depends on the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..core.jit import inline, scalar, serial
from .across_classes import LANES, NARROW, maxima_along, sums_along
from .across_rows import maxima_abreast, sums_abreast
from .summation_order import ABREAST, LONG, LOST, SLOTS, TOP, TOTAL, rows_at_once
from .transpose import to_columns


@dataclass(frozen=True)
class RowReduction:
    """What a row's loss is made of, whatever the layout and the target: compiled scalar functions."""

    value: Callable[..., Any]
    """See :mod:`.order`."""
    terms: int
    """How many floats it gives."""
    compensated: bool
    """Whether their sums carry what their rounding lost."""
    cancels: bool
    """Whether they may cancel, so that already slots carry it. Totals of `share`, which are subtracted from, may."""
    finish: Callable[..., float]
    """``finish(sums, lost, top, size, arguments)``, of a sparse loss ``finish(p_label, top, others, *arguments)``."""
    peak: Callable[..., float] | None = None
    """``peak(y, p)``, of which `top` is the maximum."""
    peak_of_prediction: bool = False
    """Whether the peak is p itself."""
    share: Callable[..., float] | None = None
    """``share(p, top)``, of which `total` + `lost` is the sum."""
    skips: bool = False
    """Whether the labelled class stays out of the sums: the loss is a sparse one."""

    @property
    def has_peak(self) -> bool:
        return self.peak is not None or self.peak_of_prediction

    @property
    def peak_of(self) -> Callable[..., Any]:
        return _prediction if self.peak is None else self.peak

    @property
    def total_of(self) -> Callable[..., tuple[float]]:
        """`share` as a `value`."""
        return _value_of_share(self.share or _prediction_alone)


@dataclass(frozen=True)
class Passes:
    """The passes of a formula, compiled for one layout."""

    passes: Callable[..., None]
    """``passes(y, p, labels, found, each, arguments, ahead, space, sums)`` with some rows' labels and predictions
    (rows, classes), and what was found before; it writes `found` and `sums`."""
    new_space: Callable[..., Any]
    """``new_space(y_pred)``: its work space."""


def fold_of(recipe: RowReduction, layout: str) -> Passes:
    value, terms, compensated, skips = recipe.value, recipe.terms, recipe.compensated, recipe.skips
    has_peak, has_share, peak_of_prediction = recipe.has_peak, recipe.share is not None, recipe.peak_of_prediction
    peak_of, total_of = recipe.peak_of, recipe.total_of
    if layout == ABREAST:
        maxima = maxima_abreast(peak_of)
        totals, rest = sums_abreast(total_of, 1, True, False), sums_abreast(value, terms, compensated, skips)

        @inline
        def passes_abreast(
            y: Any, p: Any, labels: Any, found: Any, each: Any, arguments: Any, ahead: Any, space: Any, sums: Any
        ) -> None:
            columns, slots = space
            n, classes = p.shape
            ys, ps = columns[1 if skips else 0], columns[1]
            to_columns(p, ps)
            if not skips:
                to_columns(y, ys)
            if has_peak:
                maxima(ys, ps, classes, found[TOP, :n])
            if has_share:
                totals(ys, ps, classes, labels, found, each, arguments, ahead, slots, sums)
                for r in range(n):
                    found[TOTAL, r], found[LOST, r] = sums[0, 0, r], sums[1, 0, r]
            rest(ys, ps, classes, labels, found, each, arguments, ahead, slots, sums)

        return Passes(passes_abreast, _space_abreast(terms))

    maxima = maxima_along(peak_of if peak_of_prediction else _widened(peak_of))
    totals, rest = (
        sums_along(total_of, 1, True, True, False, layout == LONG),
        sums_along(value, terms, compensated, recipe.cancels, skips, layout == LONG),
    )

    @inline
    def passes_along(
        y: Any, p: Any, labels: Any, found: Any, each: Any, arguments: Any, ahead: Any, space: Any, sums: Any
    ) -> None:
        slots, parts, lanes = space
        n = labels.size
        if has_peak:
            maxima(y, p, lanes, found[TOP, :n])
        if has_share:
            totals(y, p, labels, found, each, arguments, slots, parts, sums)
            for r in range(n):
                found[TOTAL, r], found[LOST, r] = sums[0, 0, r], sums[1, 0, r]
        rest(y, p, labels, found, each, arguments, slots, parts, sums)

    return Passes(passes_along, _space_along(terms, peak_of_prediction))


@cache
def _space_abreast(terms: int) -> Callable[..., Any]:
    @serial
    def space(y_pred: Any) -> Any:
        n, classes = rows_at_once(y_pred.shape[1]), y_pred.shape[1]
        return np.empty((2, classes, n)), np.empty((2, terms, classes, n))

    return space


@cache
def _space_along(terms: int, peak_of_prediction: bool) -> Callable[..., Any]:
    @serial
    def space(y_pred: Any) -> Any:
        lanes = np.empty(LANES, y_pred.dtype) if peak_of_prediction else np.empty(LANES, np.float64)
        return np.empty((2, terms, SLOTS)), np.empty((2, terms, NARROW, rows_at_once(y_pred.shape[1]))), lanes

    return space


@scalar
def _prediction(y: Any, p: Any) -> Any:
    return p


@scalar
def _prediction_alone(p: float, top: float) -> float:
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
    def value(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> tuple[float]:
        _, top, _, _, _ = row
        return (share(p, top),)

    return value
