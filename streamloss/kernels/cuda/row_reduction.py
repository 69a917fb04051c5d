"""The passes of a row over its classes on the device: its maximum, whether a value is outside, and sums.

A row is a warp's, or some of its lanes'; or a whole block's, whose warps take its segments in turn. Segments are added
from left to right whoever summed them, so the bits are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.cuda_compiler import EVERYONE, WARP, cuda, device
from ...formulas._kinds import Elementwise, OneHot, Overlap, Rowwise, Sparse
from ..row_reduction import RowReduction
from ..summation_order import ERR, SEGMENT, SUM
from .kernel import Team
from .loads import Form, in_turn, largest, load_vector
from .segment import pairs, segment_of


def sums_of_row(team: Team, reduction: RowReduction, has_parameter: bool, true: Form, pred: Form) -> Any:
    """Return ``sums(y, p, at, classes, row, settings, position, total)``: the sums over the row that begins at `at`,
    and their errors, go to `total` (terms, 2). `row` is its :class:`~streamloss.kernels.base.RowStats`.
    """
    add_segment, terms = segment_of(reduction, has_parameter, true, pred), reduction.terms
    clear, add_to = pairs(terms, reduction.compensated)
    warps = team.threads // WARP

    @device
    def sums_of_lanes(
        y: Any, p: Any, at: int, classes: int, row: Any, settings: Any, position: Any, total: Any
    ) -> None:
        clear(total)
        for first in range(0, classes, SEGMENT):
            end = min(first + SEGMENT, classes)
            add_segment(y, p, at, first, end, row, settings, position, total)

    @device
    def sums_of_block(
        y: Any, p: Any, at: int, classes: int, row: Any, settings: Any, position: Any, total: Any
    ) -> None:
        lane, warp = position.lane, position.warp
        shared = cuda.shared.array((2, warps, terms, 2), np.float64)  # one half is read while the other is written
        mine, other = cuda.local.array((terms, 2), np.float64), cuda.local.array((terms, 2), np.float64)
        clear(total)
        half = 0
        cuda.syncthreads()
        for begin in range(0, classes, SEGMENT * warps):
            first = begin + SEGMENT * warp
            if first < classes:
                clear(mine)
                end = min(first + SEGMENT, classes)
                add_segment(y, p, at, first, end, row, settings, position, mine)
                if lane == 0:
                    for t in range(terms):
                        shared[half, warp, t, SUM], shared[half, warp, t, ERR] = mine[t, SUM], mine[t, ERR]
            cuda.syncthreads()
            for k in range(min(warps, (classes - begin + SEGMENT - 1) // SEGMENT)):
                for t in range(terms):
                    other[t, SUM], other[t, ERR] = shared[half, k, t, SUM], shared[half, k, t, ERR]
                add_to(total, other)
            half = 1 - half

    return sums_of_block if team.whole else sums_of_lanes


def row_max_of(
    team: Team,
    formula: Sparse | OneHot | Rowwise | Overlap | Elementwise,
    reduction: RowReduction,
    true: Form,
    pred: Form,
) -> Any:
    """Return ``row_max(y, p, at, classes, position) -> (maximum, outside)``: the maximum of the row's peaks, and
    whether a value lies outside its interval.
    """
    peak, has_peak, skips = reduction.peak_or_prediction, reduction.has_peak, reduction.skips
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest
    low_y, high_y = formula.y_true.smallest, formula.y_true.largest
    bounded = formula.y_pred.bounded or (low_y, high_y) != (-np.inf, np.inf)
    width, warps, whole = pred.width, team.threads // WARP, team.whole
    labels, predictions, of_all, of_four = (
        load_vector(true, width),
        load_vector(pred, width),
        largest(width),
        largest(4),
    )
    needs_labels = not skips and (not reduction.peak_of_prediction or bounded)

    def check(v: int) -> Any:
        @device
        def check_one(ys: Any, ps: Any, top: Any, outside: Any) -> None:
            a, b = np.float64(ps[v]), np.float64(ys[v])
            if bounded:
                if (a < low_p) | (a > high_p) | (b < low_y) | (b > high_y):
                    outside[0] = 1
            candidate = peak(b, a)
            top[0] = candidate if candidate > top[0] else top[0]

        return check_one

    check_all = in_turn([check(v) for v in range(width)])

    @device
    def maximum_and_outside(y: Any, p: Any, at: int, start: int, classes: int, step: int) -> Any:
        top = cuda.local.array(1, np.float64)
        outside = cuda.local.array(1, np.int64)
        top[0], outside[0] = -np.inf, 0
        for j in range(start, classes, step):
            ps = predictions(p, at + j)
            ys = labels(y, at + j) if needs_labels else ps
            check_all(ys, ps, top, outside)
        return top[0], outside[0]

    @device
    def maximum_of_predictions(y: Any, p: Any, at: int, start: int, classes: int, step: int) -> Any:
        """Compare predictions as they are; four loads at a time, because this is the pass that waits for memory."""
        best = np.float32(-np.inf)
        j = start
        while j + 3 * step < classes:
            a, b = predictions(p, at + j), predictions(p, at + j + step)
            c, d = predictions(p, at + j + 2 * step), predictions(p, at + j + 3 * step)
            candidate = of_four((of_all(a), of_all(b), of_all(c), of_all(d)))
            best = candidate if candidate > best else best
            j += 4 * step
        while j < classes:
            candidate = of_all(predictions(p, at + j))
            best = candidate if candidate > best else best
            j += step
        return np.float64(best), 0

    of_lane = maximum_of_predictions if reduction.peak_of_prediction and not bounded else maximum_and_outside

    @device
    def row_max(y: Any, p: Any, at: int, classes: int, position: Any) -> Any:
        lane, lanes, warp = position.lane, position.lanes, position.warp
        start, step = width * lane, width * lanes
        if whole:
            start, step = width * (WARP * warp + lane), width * WARP * warps
        top, outside = of_lane(y, p, at, start, classes, step)
        w = lanes // 2
        while w > 0:
            other = cuda.shfl_xor_sync(EVERYONE, top, w)
            top = other if other > top else top
            if bounded:
                outside |= cuda.shfl_xor_sync(EVERYONE, outside, w)
            w //= 2
        if whole:
            tops = cuda.shared.array(warps, np.float64)
            beyond = cuda.shared.array(warps, np.int64)  # on a line of its own, by which the simulator tells arrays
            cuda.syncthreads()
            if lane == 0:
                tops[warp], beyond[warp] = top, outside
            cuda.syncthreads()
            for k in range(warps):
                top = tops[k] if tops[k] > top else top
                outside |= beyond[k]
        return top, outside != 0

    @device
    def no_maximum(y: Any, p: Any, at: int, classes: int, position: Any) -> Any:
        return np.nan, False

    return row_max if has_peak or bounded else no_maximum
