"""The end of every loop over a tile, whatever the formula: weight losses, round them, decide, add up exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..aggregation.accumulation import (
    NUM_OUTCOMES,
    OUTCOME_COUNTED,
    OUTCOME_IGNORED,
    OUTCOME_REFUSED,
    Accumulation,
    RowCount,
    RowSum,
    weight_alone,
)
from ..aggregation.accumulator import add, add_within
from ..core.jit import compile_once, inline, scalar
from .base import KEPT
from .row_policy import is_proper, outcome_of, weighted

LOSS = 0
"""The position of the losses' sum, which every accumulation of rows has first."""
NUM_SPARE = 3  # rows of the workspace of `accumulate_tile`: values and weights that are kept, terms of a sum


@inline
def _all_kept(status: Any, n: int) -> bool:
    odd = np.int8(0)
    for r in range(n):
        odd |= status[r]
    return odd == KEPT


@inline
def _all_numbers(values: Any) -> bool:
    odd = 0
    for r in range(values.size):
        odd += 1 if values[r] != values[r] else 0
    return odd == 0


@compile_once
def weigh(values: Any, status: Any, weight: Any, weights: Any) -> int:
    """Weight values and statuses by :func:`.row_policy.weighted`, and write the weights as float64 into `weights`.
    Return how many are improper.
    """
    improper = 0
    for r in range(weight.size):
        w = np.float64(weight[r])
        weights[r] = w
        value, kept = weighted(values[r], status[r], w)
        values[r], status[r] = value, kept
        improper += 0 if is_proper(w) else 1
    return improper


_add_any = compile_once(add.py_func)  # type: ignore[attr-defined]


@inline
def add_exactly(limbs: Any, values: Any) -> None:
    if not add_within(limbs, values):
        _add_any(limbs, values)


@cache
def sum_adder(total: RowSum, position: int) -> Callable[..., None]:
    """Return ``add_sum(values, weights, limbs, counts, spare)``: a sum's terms of rows that count go to its limbs.

    `weights` is empty where there are none; `spare` is float64 work space of the values' length.
    """
    of_weight_alone, num_terms = total.of_weight_alone, total.num_terms
    if total.terms is weight_alone:

        @inline
        def add_weights(values: Any, weights: Any, limbs: Any, counts: Any, spare: Any) -> None:
            add_exactly(limbs[position], weights)

        return add_weights

    terms = scalar(total.terms)

    @inline
    def add_sum(values: Any, weights: Any, limbs: Any, counts: Any, spare: Any) -> None:
        n, weighted = values.size, weights.size > 0
        if of_weight_alone and not weighted:
            return
        for t in range(num_terms):
            for r in range(n):
                spare[r] = terms(values[r], weights[r] if weighted else 1.0)[t]
            add_exactly(limbs[position], spare[:n])

    return add_sum


@cache
def counter(held: RowCount, position: int) -> Callable[..., None]:
    """Return ``count(values, weights, limbs, counts, spare)``, which counts the rows for which a condition holds."""
    of_weight_alone, holds = held.of_weight_alone, scalar(held.holds)

    @inline
    def count(values: Any, weights: Any, limbs: Any, counts: Any, spare: Any) -> None:
        n, weighted = values.size, weights.size > 0
        if of_weight_alone and not weighted:
            return
        held_by = 0
        for r in range(n):
            held_by += 1 if holds(values[r], weights[r] if weighted else 1.0) else 0
        counts[NUM_OUTCOMES + position] += held_by

    return count


def in_turn(adders: list[Callable[..., None]]) -> Callable[..., None]:
    """Return one function ``(values, weights, limbs, counts, spare)`` that calls all of `adders`: a loop whose turns
    the compiler knows.
    """
    if not adders:

        @inline
        def add_nothing(values: Any, weights: Any, limbs: Any, counts: Any, spare: Any) -> None:
            pass

        return add_nothing
    first, *others = adders
    if not others:
        return first
    rest = in_turn(others)

    @inline
    def add_all(values: Any, weights: Any, limbs: Any, counts: Any, spare: Any) -> None:
        first(values, weights, limbs, counts, spare)
        rest(values, weights, limbs, counts, spare)

    return add_all


@cache
def accumulate_tile_of(accumulation: Accumulation) -> Callable[..., int]:
    """Return ``accumulate_tile(values, status, weights, proper, nan_policy, single, spare, totals)``.

    It turns weighted `values` into what NONE writes, rounded once to the result's dtype (`single`: float32), and adds
    all that `accumulation` declares, exactly, to `totals`. `status` is as a formula's loop left it; `weights` are
    float64, empty where there are none, and `proper` says whether all are; `spare` is work space (NUM_SPARE, TILE).
    Returns the first row that must be refused, or -1.
    """
    adders = [sum_adder(total, k) for k, total in enumerate(accumulation.sums) if k != LOSS]
    adders += [counter(held, k) for k, held in enumerate(accumulation.counts)]
    add_rest = in_turn(adders)

    @compile_once
    def accumulate_tile(
        values: Any, status: Any, weights: Any, proper: bool, nan_policy: int, single: bool, spare: Any, totals: Any
    ) -> int:
        n, weighted = values.size, weights.size > 0
        limbs, counts = totals.limbs, totals.counts
        if single:
            for r in range(n):
                values[r] = np.float64(np.float32(values[r]))
        kept, kept_weights, done = values, weights, False
        if proper and _all_kept(status, n):
            done = add_within(limbs[LOSS], values)  # which would meet a NaN
            if not done and _all_numbers(values):
                _add_any(limbs[LOSS], values)
                done = True
            if done:
                counts[OUTCOME_COUNTED] += n
        if not done:
            m = 0
            for r in range(n):
                w = weights[r] if weighted else 1.0
                outcome = outcome_of(values[r], status[r], w, nan_policy)
                if outcome == OUTCOME_REFUSED:
                    return r
                counts[outcome] += 1
                if outcome == OUTCOME_IGNORED:
                    values[r] = 0.0
                if outcome == OUTCOME_COUNTED:
                    spare[0, m], spare[1, m] = values[r], w
                    m += 1
            kept, kept_weights = spare[0, :m], spare[1, : m if weighted else 0]
            _add_any(limbs[LOSS], kept)
        add_rest(kept, kept_weights, limbs, counts, spare[2])
        return -1

    return accumulate_tile
