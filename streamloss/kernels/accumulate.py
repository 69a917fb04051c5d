"""What happens to a tile of losses, whatever the formula: weight, round, check, store, add up exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aggregation.accumulator import add, add_within
from ..core.jit import compile_once, no_alloc
from .base import BAD, IGNORED, KEPT

RAISE, OMIT, PROPAGATE = 0, 1, 2  # nan_policy
VALUES, WEIGHTS = 0, 1  # rows of `limbs`
COUNT, NONZERO, OMITTED, IGNORED_ROWS = 0, 1, 2, 3  # entries of `counts`
NUM_COUNTS = 4


@no_alloc
def _all_kept(status: Any, n: int) -> bool:
    odd = np.int8(0)
    for r in range(n):
        odd |= status[r]
    return odd == KEPT


@compile_once
def weigh(values: Any, weight: Any, weights: Any) -> tuple[int, int]:
    """``values *= weight``, and the weights as float64 into `weights`. How many are improper, how many are not 0."""
    improper, nonzero = 0, 0
    for r in range(weight.size):
        w = np.float64(weight[r])
        weights[r] = w
        values[r] *= w
        improper += 0 if (w >= 0.0) & (w < np.inf) else 1
        nonzero += 1 if w != 0.0 else 0
    return improper, nonzero


@no_alloc
def _all_numbers(values: Any) -> bool:
    odd = 0
    for r in range(values.size):
        odd += 1 if values[r] != values[r] else 0
    return odd == 0


@compile_once
def reduce_tile(
    values: Any,
    status: Any,
    weights: Any,
    nonzero: int,
    proper: bool,
    nan_policy: int,
    single: bool,
    spare: Any,
    limbs: Any,
    counts: Any,
) -> int:
    """Turn weighted `values` into what NONE writes, rounded once to the result's dtype (`single`: float32).
    Add them, exactly, to the state.

    `status` is as a formula's loop left it; `weights` are float64, empty where there are none, `nonzero` of them not 0,
    and `proper` if all are; `spare` is work space (2, TILE); `limbs` and `counts` are the state's. Returns the first
    row that must be refused, or -1.
    """
    n, weighted = values.size, weights.size > 0
    if single:
        for r in range(n):
            values[r] = np.float64(np.float32(values[r]))
    if proper and _all_kept(status, n):
        done = add_within(limbs[VALUES], values)  # which would meet a NaN
        if not done and _all_numbers(values):
            add(limbs[VALUES], values)
            done = True
        if done:
            counts[COUNT] += n
            if weighted:
                counts[NONZERO] += nonzero
                if not add_within(limbs[WEIGHTS], weights):
                    add(limbs[WEIGHTS], weights)
            return -1

    kept, kept_weight = spare[0], spare[1]
    m = 0
    for r in range(n):
        w = weights[r] if weighted else 1.0
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
