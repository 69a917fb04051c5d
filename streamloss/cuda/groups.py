"""Losses of rows over classes: a group of lanes to a row, in the canonical order of `kernels.order`.

Lane ``l`` of L holds the slots ``l + L k`` for k = 0 ... 7. What the order adds first, slots 4 L, 2 L and L apart,
meets inside a lane; then lanes are added L/2, ... 1 apart by shuffling. A row of up to 8 classes has one lane, which is
a thread to a row; more than 128 have the warp's 32, which read consecutive classes. All lanes of a warp do the same at
the same time, also beyond the last row, which they then evaluate again and do not write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import rowwise, sparse
from ..kernels.folds import Recipe
from ..kernels.layout import BAD, IGNORED, KEPT
from ..kernels.order import SEGMENT, SLOTS, adder
from ..kernels.rowwise import column_of
from ..losses._kinds import Elementwise, Overlap, Rowwise, Sparse
from .toolkit import Launcher, cuda, device, kernel

WARP = 32
EVERYONE = 0xFFFFFFFF  # of a warp
SLOTS_OF_LANE = SLOTS // WARP


def lanes_of(classes: int) -> int:
    """How many lanes a row has."""
    lanes = 1
    while lanes < WARP and lanes * SLOTS_OF_LANE < classes:
        lanes *= 2
    return lanes


def sums_of_row(
    value: Callable[..., Any], terms: int, compensated: bool, cancels: bool, skips: bool, has_own: bool
) -> Any:
    """``sums(y, p, r, label, found, arguments, each, lane, lanes, total)``: the sums of `value` over row r and, for
    each, what its rounding lost go to `total` (terms, 2) on every lane of the group.
    """
    add, add_to_slot = adder(compensated), adder(cancels)

    @device
    def add_to(a: Any, b: Any) -> None:
        for i in range(terms):
            a[i, 0], a[i, 1] = add(a[i, 0], a[i, 1], b[i, 0], b[i, 1])

    @device
    def put(a: Any, b: Any) -> None:
        for i in range(terms):
            a[i, 0], a[i, 1] = b[i, 0], b[i, 1]

    @device
    def clear(a: Any) -> None:
        for i in range(terms):
            a[i, 0], a[i, 1] = 0.0, 0.0

    @device
    def value_with(j: int, y: float, p: float, label: int, found: Any, size: float, each: Any, arguments: Any) -> Any:
        return value(0, y, p, (label, found[0], found[1], found[2], size), (each[j],), arguments)

    @device
    def value_without(
        j: int, y: float, p: float, label: int, found: Any, size: float, each: Any, arguments: Any
    ) -> Any:
        return value(j, y, p, (label, found[0], found[1], found[2], size), 0.0, arguments)

    value_of = value_with if has_own else value_without

    @device
    def sums(
        y: Any, p: Any, r: int, label: int, found: Any, arguments: Any, each: Any, lane: int, lanes: int, total: Any
    ) -> None:
        slot, one = cuda.local.array((terms, 2), np.float64), cuda.local.array((terms, 2), np.float64)
        two, four = cuda.local.array((terms, 2), np.float64), cuda.local.array((terms, 2), np.float64)
        classes = p.shape[1]
        size = float(classes)
        clear(total)
        for segment in range(0, classes, SEGMENT):
            end = min(segment + SEGMENT, classes)
            clear(one)
            clear(two)
            clear(four)
            for i in range(SLOTS_OF_LANE):  # slots 0 4 2 6 1 5 3 7 of the lane: the next two to be added are at hand
                k = ((i & 1) << 2) | (i & 2) | (i >> 2)
                clear(slot)
                for j in range(segment + lane + lanes * k, end, SLOTS):
                    values = value_of(j, np.float64(y[r, j]), np.float64(p[r, j]), label, found, size, each, arguments)
                    if not (skips and j == label):
                        for t in range(terms):
                            slot[t, 0], slot[t, 1] = add_to_slot(slot[t, 0], slot[t, 1], values[t], 0.0)
                if i & 1 == 0:
                    put(one, slot)
                    continue
                add_to(one, slot)
                if i & 2 == 0:
                    put(two, one)
                    continue
                add_to(two, one)
                if i & 4 == 0:
                    put(four, two)
                    continue
                add_to(four, two)
            w = lanes // 2
            while w > 0:
                for t in range(terms):
                    slot[t, 0] = cuda.shfl_xor_sync(EVERYONE, four[t, 0], w)
                    slot[t, 1] = cuda.shfl_xor_sync(EVERYONE, four[t, 1], w) if compensated else 0.0
                add_to(four, slot)
                w //= 2
            add_to(total, four)

    return sums


def look_at_row(formula: Sparse | Rowwise | Overlap | Elementwise, made_of: Recipe) -> Any:
    """``look(y, p, r, lane, lanes) -> (top, outside)``: the maximum of the row's peaks, and whether a value lies
    outside its interval, on every lane of the group.
    """
    peak, has_peak, skips = made_of.peak_of, made_of.has_peak, made_of.skips
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest
    low_y, high_y = (
        (-np.inf, np.inf) if isinstance(formula, Sparse) else (formula.y_true.smallest, formula.y_true.largest)
    )
    bounded = formula.y_pred.bounded or (low_y, high_y) != (-np.inf, np.inf)

    @device
    def look(y: Any, p: Any, r: int, lane: int, lanes: int) -> Any:
        top, outside = -np.inf, 0
        for j in range(lane, p.shape[1], lanes):
            a = np.float64(p[r, j])
            b = a if skips else np.float64(y[r, j])
            if (a < low_p) | (a > high_p) | (b < low_y) | (b > high_y):
                outside = 1
            candidate = peak(b, a)
            top = candidate if candidate > top else top
        w = lanes // 2
        while w > 0:
            other = cuda.shfl_xor_sync(EVERYONE, top, w)
            top = other if other > top else top
            outside |= cuda.shfl_xor_sync(EVERYONE, outside, w)
            w //= 2
        return top, outside != 0

    @device
    def look_nowhere(y: Any, p: Any, r: int, lane: int, lanes: int) -> Any:
        return np.nan, False

    return look if has_peak or bounded else look_nowhere


def _sparse_row(formula: Sparse, made_of: Recipe) -> Any:
    finish, by_label, has_peak = made_of.finish, formula.pivot == "label", made_of.has_peak
    look = look_at_row(formula, made_of)
    sums = sums_of_row(made_of.value, 1, made_of.compensated, made_of.cancels, skips=True, has_own=False)

    @device
    def evaluate(
        y_true: Any, y_pred: Any, r: int, ignore: Any, arguments: Any, each: Any, lane: int, lanes: int
    ) -> Any:
        label = np.int64(y_true[r])
        usable = (label >= 0) & (label < y_pred.shape[1])
        label_or_0 = label if usable else 0
        top, outside = look(y_pred, y_pred, r, lane, lanes)
        own = np.float64(y_pred[r, label_or_0])
        pivot = own if by_label else (top if has_peak else np.nan)
        total = cuda.local.array((1, 2), np.float64)
        sums(y_pred, y_pred, r, label_or_0, (pivot, np.nan, np.nan), arguments, each, lane, lanes, total)
        loss = finish(own, pivot, total[0, 0] + total[0, 1], *arguments)
        kept = KEPT if usable and not outside else BAD
        return loss, (IGNORED if ignore[0] != 0 and label == ignore[1] else kept)

    return evaluate


def _dense_row(formula: Rowwise | Overlap | Elementwise, made_of: Recipe) -> Any:
    finish, terms, has_peak, has_share = made_of.finish, made_of.terms, made_of.has_peak, made_of.share is not None
    has_own = not isinstance(formula, Overlap) and formula.per_class is not None
    look, column = look_at_row(formula, made_of), column_of(terms)
    sums = sums_of_row(made_of.value, terms, made_of.compensated, made_of.cancels, skips=False, has_own=has_own)
    totals = sums_of_row(made_of.total_of, 1, compensated=True, cancels=True, skips=False, has_own=False)

    @device
    def evaluate(
        y_true: Any, y_pred: Any, r: int, ignore: Any, arguments: Any, each: Any, lane: int, lanes: int
    ) -> Any:
        top, outside = look(y_true, y_pred, r, lane, lanes)
        top = top if has_peak else np.nan
        share = cuda.local.array((1, 2), np.float64)
        share[0, 0], share[0, 1] = np.nan, np.nan
        if has_share:
            totals(y_true, y_pred, r, 0, (top, np.nan, np.nan), arguments, each, lane, lanes, share)
        total = cuda.local.array((terms, 2), np.float64)
        sums(y_true, y_pred, r, 0, (top, share[0, 0], share[0, 1]), arguments, each, lane, lanes, total)
        loss = finish(column(total, 0), column(total, 1), top, float(y_pred.shape[1]), arguments)
        return loss, (BAD if outside else KEPT)

    return evaluate


def groups(formula: Sparse | Rowwise | Overlap | Elementwise, single: bool) -> Launcher:
    """``(y_true, y_pred, ignore, arguments, each, lanes, values, status)``, the last two float64 and int8 (rows,)."""
    if isinstance(formula, Sparse):
        evaluate = _sparse_row(formula, sparse.recipe(formula, single))
    else:
        evaluate = _dense_row(formula, rowwise.recipe(formula, single))

    @kernel
    def rows(
        y_true: Any, y_pred: Any, ignore: Any, arguments: Any, each: Any, lanes: int, values: Any, status: Any
    ) -> None:
        n = y_pred.shape[0]
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        lane, group = thread % lanes, thread // lanes
        step = cuda.gridDim.x * cuda.blockDim.x // lanes
        for turn in range((n + step - 1) // step):
            r = turn * step + group
            loss, kept = evaluate(y_true, y_pred, min(r, n - 1), ignore, arguments, each, lane, lanes)
            if lane == 0 and r < n:
                values[r], status[r] = loss, kept

    return rows
