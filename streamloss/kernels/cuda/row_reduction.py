"""What all threads of a row find out together: its maximum, whether a value is outside its interval, and sums.

A row is a warp's, or some of its lanes'; or a whole block's, whose warps take its segments in turn. Segments are added
from left to right whoever summed them, so the bits are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.cuda_compiler import EVERYONE, WARP, cuda, device
from ...formulas._kinds import Elementwise, Overlap, Rowwise, Sparse
from ..row_reduction import RowReduction
from ..summation_order import SEGMENT
from .kernel import Team
from .loads import Form, in_turn, largest, several
from .segment import pairs, segment_of


def sums_of_row(team: Team, made_of: RowReduction, has_own: bool, true: Form, pred: Form) -> Any:
    """``sums(arrays, at, classes, label, found, given, seat, total)``: the sums over the row that begins at `at` and,
    for each, what its rounding lost go to `total` (terms, 2).
    """
    add_segment, terms = segment_of(made_of, has_own, true, pred), made_of.terms
    clear, add_to = pairs(terms, made_of.compensated)
    warps = team.threads // WARP

    @device
    def sums_of_lanes(
        arrays: Any, at: int, classes: int, label: int, found: Any, given: Any, seat: Any, total: Any
    ) -> None:
        row = (label, found[0], found[1], found[2], float(classes))
        clear(total)
        for first in range(0, classes, SEGMENT):
            end = min(first + SEGMENT, classes)
            add_segment(arrays, at, first, end, row, given, seat, total)

    @device
    def sums_of_block(
        arrays: Any, at: int, classes: int, label: int, found: Any, given: Any, seat: Any, total: Any
    ) -> None:
        row = (label, found[0], found[1], found[2], float(classes))
        lane, _, warp = seat
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
                add_segment(arrays, at, first, end, row, given, seat, mine)
                if lane == 0:
                    for t in range(terms):
                        shared[half, warp, t, 0], shared[half, warp, t, 1] = mine[t, 0], mine[t, 1]
            cuda.syncthreads()
            for k in range(min(warps, (classes - begin + SEGMENT - 1) // SEGMENT)):
                for t in range(terms):
                    other[t, 0], other[t, 1] = shared[half, k, t, 0], shared[half, k, t, 1]
                add_to(total, other)
            half = 1 - half

    return sums_of_block if team.whole else sums_of_lanes


def look_at_row(
    team: Team, formula: Sparse | Rowwise | Overlap | Elementwise, made_of: RowReduction, true: Form, pred: Form
) -> Any:
    """``look(arrays, at, classes, seat) -> (top, outside)``: the maximum of the row's peaks, and whether a
    value lies outside its interval.
    """
    peak, has_peak, skips = made_of.peak_of, made_of.has_peak, made_of.skips
    low_p, high_p = formula.y_pred.smallest, formula.y_pred.largest
    low_y, high_y = (
        (-np.inf, np.inf) if isinstance(formula, Sparse) else (formula.y_true.smallest, formula.y_true.largest)
    )
    bounded = formula.y_pred.bounded or (low_y, high_y) != (-np.inf, np.inf)
    width, warps, whole = pred.width, team.threads // WARP, team.whole
    labels, predictions, of_all, of_four = several(true, width), several(pred, width), largest(width), largest(4)
    needs_labels = not skips and (not made_of.peak_of_prediction or bounded)

    def judge(v: int) -> Any:
        @device
        def judge_one(ys: Any, ps: Any, top: Any, outside: Any) -> None:
            a, b = np.float64(ps[v]), np.float64(ys[v])
            if bounded:
                if (a < low_p) | (a > high_p) | (b < low_y) | (b > high_y):
                    outside[0] = 1
            candidate = peak(b, a)
            top[0] = candidate if candidate > top[0] else top[0]

        return judge_one

    judge_all = in_turn([judge(v) for v in range(width)])

    @device
    def look_at(y: Any, p: Any, at: int, start: int, classes: int, step: int) -> Any:
        top = cuda.local.array(1, np.float64)
        outside = cuda.local.array(1, np.int64)
        top[0], outside[0] = -np.inf, 0
        for j in range(start, classes, step):
            ps = predictions(p, at + j)
            ys = labels(y, at + j) if needs_labels else ps
            judge_all(ys, ps, top, outside)
        return top[0], outside[0]

    @device
    def look_at_predictions(y: Any, p: Any, at: int, start: int, classes: int, step: int) -> Any:
        """Compared as they are; four loads at a time, because this is the pass that waits for memory."""
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

    alone = look_at_predictions if made_of.peak_of_prediction and not bounded else look_at

    @device
    def look(arrays: Any, at: int, classes: int, seat: Any) -> Any:
        (y, p), (lane, lanes, warp) = arrays, seat
        start, step = width * lane, width * lanes
        if whole:
            start, step = width * (WARP * warp + lane), width * WARP * warps
        top, outside = alone(y, p, at, start, classes, step)
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
    def look_nowhere(arrays: Any, at: int, classes: int, seat: Any) -> Any:
        return np.nan, False

    return look if has_peak or bounded else look_nowhere
