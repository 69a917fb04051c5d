"""The end of every loop over a tile, whatever the formula: weight losses, round them, decide, add up exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from ..aggregation.accumulator import (
    NO_COARSE_PART,
    SIGN,
    add,
    add_parts,
    add_rounded_within,
    add_within,
    held_by_two_parts,
    two_parts,
)
from ..core.jit import compile_once, inline, scalar
from ..core.primitives import bits_of
from .base import KEPT
from .row_policy import is_proper, outcome_of, weighted

LOSS = 0
"""The position of the losses' sum, which every accumulation of rows has first."""
NUM_SPARE = 3  # rows of the workspace of `accumulate_tile`: values and weights that are kept, terms of a sum


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


MOST_COUNTS = 3  # that fit one int64 with 16 bits for each


def _packed(counts: Sequence[RowCount]) -> Callable[[float, float], Any]:
    """Return ``packed(value, weight)``: for each count 1 or 0, in bits 16 k of one integer."""
    if not counts:

        @scalar
        def nothing(value: float, weight: float) -> Any:
            return np.int64(0)

        return nothing
    first, rest = scalar(counts[0].holds), _packed(counts[1:])

    @scalar
    def packed(value: float, weight: float) -> Any:
        return (np.int64(1) if first(value, weight) else np.int64(0)) + (rest(value, weight) << np.int64(16))

    return packed


@cache
def accumulate_weighted_of(accumulation: Accumulation, single: bool) -> Callable[..., bool]:
    """Return ``accumulate_weighted(values, weight, spare, totals) -> bool``, which weighs, rounds and adds up rows of
    which each has a loss, in one loop.

    The weighted losses go to the first row of `spare`. If a weight is not proper, or a loss or weight needs more than
    two parts, nothing is added: the result is False.
    """
    weight_sums = [k for k, total in enumerate(accumulation.sums) if total.terms is weight_alone]
    fused = accumulation.counts[:MOST_COUNTS]
    adders = [sum_adder(total, k) for k, total in enumerate(accumulation.sums) if k not in (LOSS, *weight_sums)]
    adders += [counter(held, len(fused) + k) for k, held in enumerate(accumulation.counts[MOST_COUNTS:])]
    read_again = len(adders) > 0
    packed, num_fused, weight_position, add_rest = _packed(fused), len(fused), weight_sums[0], in_turn(adders)

    @compile_once
    def accumulate_weighted(values: Any, weight: Any, spare: Any, totals: Any) -> bool:
        n = values.size
        losses, weights = spare[0], spare[1]
        coarse, fine, far, lacking = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        coarse_w, fine_w, far_w, lacking_w, counted = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for r in range(n):
            w = np.float64(weight[r])
            value = 0.0 if w == 0.0 else values[r] * w
            if single:
                value = np.float64(np.float32(value))
            losses[r] = value
            if read_again:
                weights[r] = w
            coarse_part, fine_part, rest = two_parts(value)
            coarse += coarse_part
            fine += fine_part
            far |= coarse_part ^ NO_COARSE_PART
            lacking |= rest
            coarse_part, fine_part, rest = two_parts(w)
            coarse_w += coarse_part
            fine_w += fine_part
            far_w |= coarse_part ^ NO_COARSE_PART
            lacking_w |= rest | (bits_of(w) & SIGN)  # a negative weight is not proper
            counted += packed(value, w)
        if not (held_by_two_parts(far, lacking) and held_by_two_parts(far_w, lacking_w)):
            return False
        limbs, counts, count = totals.limbs, totals.counts, np.int64(n)
        add_parts(limbs[LOSS], count, coarse, fine)
        add_parts(limbs[weight_position], count, coarse_w, fine_w)
        counts[OUTCOME_COUNTED] += n
        for k in range(num_fused):
            counts[NUM_OUTCOMES + k] += (counted >> np.int64(16 * k)) & np.int64(0xFFFF)
        add_rest(losses[:n], weights[:n], limbs, counts, spare[2])
        return True

    return accumulate_weighted


@cache
def accumulate_tile_of(accumulation: Accumulation) -> Callable[..., int]:
    """Return ``accumulate_tile(values, status, weights, clean, nan_policy, single, spare, totals)``.

    It turns weighted `values` into what NONE writes, rounded once to the result's dtype (`single`: float32), and adds
    all that `accumulation` declares, exactly, to `totals`. `weights` are float64, empty where there are none; `clean`
    says that all weights are proper and all rows have a loss, for then `status` may not have been written; `spare` is
    work space (NUM_SPARE, TILE).
    Returns the first row that must be refused, or -1.
    """
    adders = [sum_adder(total, k) for k, total in enumerate(accumulation.sums) if k != LOSS]
    adders += [counter(held, k) for k, held in enumerate(accumulation.counts)]
    add_rest = in_turn(adders)

    @compile_once
    def accumulate_tile(
        values: Any, status: Any, weights: Any, clean: bool, nan_policy: int, single: bool, spare: Any, totals: Any
    ) -> int:
        n, weighted = values.size, weights.size > 0
        limbs, counts = totals.limbs, totals.counts
        kept, kept_weights, done = values, weights, False
        if single and not clean:
            for r in range(n):
                values[r] = np.float64(np.float32(values[r]))
        if clean:
            loss_limbs = limbs[LOSS]
            done = add_rounded_within(loss_limbs, values) if single else add_within(loss_limbs, values)  # but no NaN
            if not done and _all_numbers(values):
                _add_any(limbs[LOSS], values)
                done = True
            if done:
                counts[OUTCOME_COUNTED] += n
            else:
                status[:n] = KEPT
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
