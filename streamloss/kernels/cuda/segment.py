"""The canonical order of `streamloss.kernels.summation_order` among the lanes of a row, for one segment of its classes.

With L lanes that read V classes at once, lane ``l`` holds the slots ``V l + V L m + v`` for v = 0 ... V - 1 and
m = 0 ... 8 / V - 1. What the order adds first, slots ``V L m`` apart, meets inside a lane; then lanes are added
L/2, ... 1 apart by shuffling; then slots less than V apart meet inside a lane again. A row of up to 8 classes has one
lane, which is a thread to a row; more than 128 have the warp's 32, which read consecutive classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.cuda_compiler import EVERYONE, WARP, cuda, device
from ..row_reduction import RowReduction
from ..summation_order import SLOTS, adder
from .loads import Form, in_turn, several

SLOTS_OF_LANE = SLOTS // WARP


def lanes_of(classes: int) -> int:
    """How many lanes of a warp a row has."""
    lanes = 1
    while lanes < WARP and lanes * SLOTS_OF_LANE < classes:
        lanes *= 2
    return lanes


def pairs(terms: int, compensated: bool) -> tuple[Any, Any]:
    """``clear(a)`` and ``add_to(a, b)`` of sums (terms, 2): each with what its rounding lost."""
    add = adder(compensated)

    @device
    def clear(a: Any) -> None:
        for i in range(terms):
            a[i, 0], a[i, 1] = 0.0, 0.0

    @device
    def add_to(a: Any, b: Any) -> None:
        for i in range(terms):
            a[i, 0], a[i, 1] = add(a[i, 0], a[i, 1], b[i, 0], b[i, 1])

    return clear, add_to


def segment_of(made_of: RowReduction, has_own: bool, true: Form, pred: Form) -> Any:
    """``add_segment(arrays, at, first, end, row, given, seat, total)``: the sums over the classes from `first` to
    before `end`, of the row that begins at `at`, are added to `total` (terms, 2) on every lane. `has_own`: classes have
    a parameter of their own each.
    """
    value, terms, skips, compensated = made_of.value, made_of.terms, made_of.skips, made_of.compensated
    width = pred.width
    steps, entries = SLOTS_OF_LANE // width, width * terms
    add, add_to_slot = adder(compensated), adder(made_of.cancels)
    clear, add_all = pairs(entries, compensated)
    labels, predictions = several(true, width), several(pred, width)

    @device
    def value_with(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> Any:
        return value(0, y, p, row, (each[j],), arguments)

    @device
    def value_without(j: int, y: float, p: float, row: Any, each: Any, arguments: Any) -> Any:
        return value(j, y, p, row, 0.0, arguments)

    value_of = value_with if has_own else value_without

    def take(v: int) -> Any:
        @device
        def take_one(j: int, ys: Any, ps: Any, row: Any, each: Any, arguments: Any, slot: Any) -> None:
            values = value_of(j + v, np.float64(ys[v]), np.float64(ps[v]), row, each, arguments)
            if not (skips and j + v == row[0]):
                for t in range(terms):
                    k = v * terms + t
                    slot[k, 0], slot[k, 1] = add_to_slot(slot[k, 0], slot[k, 1], values[t], 0.0)

        return take_one

    take_all = in_turn([take(v) for v in range(width)])

    @device
    def put(a: Any, b: Any) -> None:
        for i in range(entries):
            a[i, 0], a[i, 1] = b[i, 0], b[i, 1]

    @device
    def halve(a: Any, count: int) -> None:
        for i in range(count):
            a[i, 0], a[i, 1] = add(a[i, 0], a[i, 1], a[i + count, 0], a[i + count, 1])

    @device
    def add_segment(arrays: Any, at: int, first: int, end: int, row: Any, given: Any, seat: Any, total: Any) -> None:
        (y, p), (_, arguments, each), (lane, lanes, _) = arrays, given, seat
        slot, one = cuda.local.array((entries, 2), np.float64), cuda.local.array((entries, 2), np.float64)
        two, four = cuda.local.array((entries, 2), np.float64), cuda.local.array((entries, 2), np.float64)
        for i in range(steps):  # of 8: 0 4 2 6 1 5 3 7, so that the next two to be added are at hand
            m = ((i & 1) << 2 | (i & 2) | (i >> 2)) * steps // 8
            clear(slot)
            for j in range(first + width * (lane + lanes * m), end, SLOTS):
                ys, ps = labels(y, at + j), predictions(p, at + j)
                take_all(j, ys, ps, row, each, arguments, slot)
            if steps > 1:
                if i & 1 == 0:
                    put(one, slot)
                    continue
                add_all(one, slot)
            if steps > 2:
                if i & 2 == 0:
                    put(two, one)
                    continue
                add_all(two, one)
            if steps > 4:
                if i & 4 == 0:
                    put(four, two)
                    continue
                add_all(four, two)
        sums = four if steps == 8 else two if steps == 4 else one if steps == 2 else slot
        w = lanes // 2
        while w > 0:
            for k in range(entries):
                other = cuda.shfl_xor_sync(EVERYONE, sums[k, 0], w)
                lost = cuda.shfl_xor_sync(EVERYONE, sums[k, 1], w) if compensated else 0.0
                sums[k, 0], sums[k, 1] = add(sums[k, 0], sums[k, 1], other, lost)
            w //= 2
        if width > 4:
            halve(sums, 4 * terms)
        if width > 2:
            halve(sums, 2 * terms)
        if width > 1:
            halve(sums, terms)
        for t in range(terms):
            total[t, 0], total[t, 1] = add(total[t, 0], total[t, 1], sums[t, 0], sums[t, 1])

    return add_segment
