"""What happens to a tile of losses, whatever the formula: weight, round, check, store, add up exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._jit import inner
from ..exact.accumulator import add, add_within
from .layout import BAD, IGNORED, KEPT

RAISE, OMIT, PROPAGATE = 0, 1, 2  # nan_policy
VALUES, WEIGHTS = 0, 1  # rows of `limbs`
COUNT, NONZERO, OMITTED, IGNORED_ROWS = 0, 1, 2, 3  # entries of `counts`
NUM_COUNTS = 4


@inner
def _all_kept(status: Any, n: int) -> bool:
    odd = np.int8(0)
    for r in range(n):
        odd |= status[r]
    return odd == KEPT


@inner
def _all_proper(weight: Any) -> bool:
    odd = 0
    for r in range(weight.size):
        odd += 0 if (weight[r] >= 0.0) & (weight[r] < np.inf) else 1
    return odd == 0


@inner
def _all_numbers(values: Any) -> bool:
    odd = 0
    for r in range(values.size):
        odd += 1 if values[r] != values[r] else 0
    return odd == 0


@inner
def _count_nonzero(weight: Any) -> int:
    nonzero = 0
    for r in range(weight.size):
        nonzero += 1 if weight[r] != 0.0 else 0
    return nonzero


@inner
def reduce_tile(
    values: Any, status: Any, weight: Any, nan_policy: int, single: bool, spare: Any, limbs: Any, counts: Any
) -> int:
    """Turn `values` into what NONE writes, ``values * weight`` rounded once to the result's dtype (`single`: float32).
    Add them, exactly, to the state.

    `values` and `status` are as a formula's loop left them; `weight` is float64, empty where there are none; `spare` is
    work space (2, TILE); `limbs` and `counts` are the state's. Returns the first row that must be refused, or -1.
    """
    n, weighted = values.size, weight.size > 0
    for r in range(weight.size):
        values[r] = values[r] * weight[r]
    if single:
        for r in range(n):
            values[r] = np.float64(np.float32(values[r]))
    if _all_kept(status, n) and _all_proper(weight):
        done = add_within(limbs[VALUES], values)  # which would meet a NaN
        if not done and _all_numbers(values):
            add(limbs[VALUES], values)
            done = True
        if done:
            counts[COUNT] += n
            if weighted:
                counts[NONZERO] += _count_nonzero(weight)
                if not add_within(limbs[WEIGHTS], weight):
                    add(limbs[WEIGHTS], weight)
            return -1

    kept, kept_weight = spare[0], spare[1]
    m = 0
    for r in range(n):
        w = weight[r] if weighted else 1.0
        if status[r] == BAD or not (w >= 0.0 and w < np.inf):
            return r
        if status[r] == IGNORED:
            values[r] = 0.0
            counts[IGNORED_ROWS] += 1
            continue
        if values[r] != values[r] or status[r] != KEPT:
            if nan_policy == RAISE:
                return r
            if nan_policy == OMIT:
                counts[OMITTED] += 1
                continue
        kept[m] = values[r]
        kept_weight[m] = w
        m += 1
        counts[COUNT] += 1
        if weighted and w != 0.0:
            counts[NONZERO] += 1
    add(limbs[VALUES], kept[:m])
    if weighted:
        add(limbs[WEIGHTS], kept_weight[:m])
    return -1
