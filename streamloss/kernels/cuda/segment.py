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
from ..summation_order import ERR, SLOTS, SUM, adder
from .loads import Form, in_turn, load_vector

SLOTS_OF_LANE = SLOTS // WARP


def lanes_of(classes: int) -> int:
    """Return how many lanes of a warp a row has."""
    lanes = 1
    while lanes < WARP and lanes * SLOTS_OF_LANE < classes:
        lanes *= 2
    return lanes


def pairs(terms: int, compensated: bool) -> tuple[Any, Any]:
    """Return ``clear(a)`` and ``add_to(a, b)`` of sums with their errors (terms, 2)."""
    add = adder(compensated)

    @device
    def clear(a: Any) -> None:
        for i in range(terms):
            a[i, SUM], a[i, ERR] = 0.0, 0.0

    @device
    def add_to(a: Any, b: Any) -> None:
        for i in range(terms):
            a[i, SUM], a[i, ERR] = add(a[i, SUM], a[i, ERR], b[i, SUM], b[i, ERR])

    return clear, add_to


def segment_of(reduction: RowReduction, has_parameter: bool, true: Form, pred: Form) -> Any:
    """Return ``add_segment(y, p, at, first, end, row, settings, position, total)``.

    It adds the sums over the classes from `first` to before `end`, of the row that begins at `at`, to `total` (terms,
    2) on every lane. `has_parameter`: each class has a parameter of its own.
    """
    value, terms, skips, compensated = reduction.value, reduction.terms, reduction.skips, reduction.compensated
    width = pred.width
    steps, entries = SLOTS_OF_LANE // width, width * terms
    add, add_to_slot = adder(compensated), adder(reduction.cancels)
    clear, add_all = pairs(entries, compensated)
    labels, predictions = load_vector(true, width), load_vector(pred, width)

    @device
    def value_with(j: int, y: float, p: float, row: Any, settings: Any) -> Any:
        return value(0, y, p, row, (settings.per_class[j],), settings.arguments)

    @device
    def value_without(j: int, y: float, p: float, row: Any, settings: Any) -> Any:
        return value(j, y, p, row, 0.0, settings.arguments)

    value_of = value_with if has_parameter else value_without

    def take(v: int) -> Any:
        @device
        def take_one(j: int, ys: Any, ps: Any, row: Any, settings: Any, slot: Any) -> None:
            values = value_of(j + v, np.float64(ys[v]), np.float64(ps[v]), row, settings)
            if not (skips and j + v == row.label):
                for t in range(terms):
                    k = v * terms + t
                    slot[k, SUM], slot[k, ERR] = add_to_slot(slot[k, SUM], slot[k, ERR], values[t], 0.0)

        return take_one

    take_all = in_turn([take(v) for v in range(width)])

    @device
    def put(a: Any, b: Any) -> None:
        for i in range(entries):
            a[i, SUM], a[i, ERR] = b[i, SUM], b[i, ERR]

    @device
    def halve(a: Any, count: int) -> None:
        for i in range(count):
            a[i, SUM], a[i, ERR] = add(a[i, SUM], a[i, ERR], a[i + count, SUM], a[i + count, ERR])

    @device
    def add_segment(
        y: Any, p: Any, at: int, first: int, end: int, row: Any, settings: Any, position: Any, total: Any
    ) -> None:
        lane, lanes = position.lane, position.lanes
        slot, one = cuda.local.array((entries, 2), np.float64), cuda.local.array((entries, 2), np.float64)
        two, four = cuda.local.array((entries, 2), np.float64), cuda.local.array((entries, 2), np.float64)
        for i in range(steps):  # of 8: 0 4 2 6 1 5 3 7, so that the next two to be added are at hand
            m = ((i & 1) << 2 | (i & 2) | (i >> 2)) * steps // 8
            clear(slot)
            for j in range(first + width * (lane + lanes * m), end, SLOTS):
                ys, ps = labels(y, at + j), predictions(p, at + j)
                take_all(j, ys, ps, row, settings, slot)
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
                other = cuda.shfl_xor_sync(EVERYONE, sums[k, SUM], w)
                err = cuda.shfl_xor_sync(EVERYONE, sums[k, ERR], w) if compensated else 0.0
                sums[k, SUM], sums[k, ERR] = add(sums[k, SUM], sums[k, ERR], other, err)
            w //= 2
        if width > 4:
            halve(sums, 4 * terms)
        if width > 2:
            halve(sums, 2 * terms)
        if width > 1:
            halve(sums, terms)
        for t in range(terms):
            total[t, SUM], total[t, ERR] = add(total[t, SUM], total[t, ERR], sums[t, SUM], sums[t, ERR])

    return add_segment
