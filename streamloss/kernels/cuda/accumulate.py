"""The addition of the losses of rows on the device, by the declarations and the policy of the processor's loops.

A thread adds up a row where it has computed its loss, so nothing of a row goes to memory but what NONE writes. Values
in the window of `streamloss.aggregation.accumulator` are added up in three integers of each thread; its block adds
those up in shared memory. Others go, as integers too, to the block's own limbs in global memory: to add 64 bits there
is one instruction, where shared memory needs a loop. Integers commute, so nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np

from ...aggregation.accumulation import (
    NUM_OUTCOMES,
    OUTCOME_COUNTED,
    OUTCOME_IGNORED,
    OUTCOME_OMITTED,
    OUTCOME_REFUSED,
    Accumulation,
    RowCount,
    RowSum,
)
from ...aggregation.accumulator import HIGH_LIMB, LIMBS, SIZE, inside, parts, spread
from ...core.cuda_compiler import EVERYONE, Launcher, cuda, device, kernel
from ...core.jit import scalar
from ..accumulate import LOSS
from ..base import IGNORED, KEPT
from ..row_policy import outcome_of
from ..row_policy import weighted as weigh_row
from .loads import in_turn

PARTS = 3  # integers of a value in the window
NO_ROW = np.iinfo(np.int64).max


class Gathered(NamedTuple):
    """The sums and counts of all blocks of a launch."""

    limbs: Any
    """int64 (sums, SIZE)"""
    counts: Any
    first_bad: int
    """NO_ROW where there is none."""


@dataclass(frozen=True)
class ThreadSums:
    """The integers that a thread adds up: PARTS of each sum, then the counts."""

    num_sums: int
    num_counts: int

    @classmethod
    def of(cls, accumulation: Accumulation) -> Self:
        return cls(len(accumulation.sums), accumulation.num_counts)

    @property
    def counts_from(self) -> int:
        """The position of the first count."""
        return PARTS * self.num_sums

    @property
    def size(self) -> int:
        return self.counts_from + self.num_counts

    @property
    def num_limbs(self) -> int:
        return self.num_sums * SIZE

    @property
    def gathered(self) -> int:
        """The number of integers that come back to the host; see :meth:`split`."""
        return self.num_limbs + self.num_counts + 1

    def split(self, gathered: Any) -> Gathered:
        """Return what the integers that came back mean: limbs first, then counts, then the first bad row."""
        limbs = gathered[: self.num_limbs].reshape(self.num_sums, SIZE)
        return Gathered(limbs, gathered[self.num_limbs : -1], int(gathered[-1]))


@device
def _add_value(value: float, limbs: Any, mine: Any, at: int) -> None:
    """Add to the thread's own integers from `at` on, or to the block's limbs of the sum."""
    if inside(value):
        high, middle, low = parts(value)
        mine[at] += high
        mine[at + 1] += middle
        mine[at + 2] += low
    else:
        k, low, middle, high = spread(value)
        cuda.atomic.add(limbs, k, low)
        if k < LIMBS:
            cuda.atomic.add(limbs, k + 1, middle)
            cuda.atomic.add(limbs, k + 2, high)


def _term_adder(total: RowSum, position: int, t: int) -> Callable[..., None]:
    """Return ``add(value, weight, weighted, limbs, mine)`` of one term of a sum."""
    terms, of_weight_alone = scalar(total.terms), total.of_weight_alone

    @device
    def add_term(value: float, weight: float, weighted: bool, limbs: Any, mine: Any) -> None:
        if weighted or not of_weight_alone:
            _add_value(terms(value, weight)[t], limbs[position], mine, PARTS * position)

    return add_term


def _counter(held: RowCount, at: int) -> Callable[..., None]:
    holds, of_weight_alone = scalar(held.holds), held.of_weight_alone

    @device
    def count(value: float, weight: float, weighted: bool, limbs: Any, mine: Any) -> None:
        if weighted or not of_weight_alone:
            mine[at] += 1 if holds(value, weight) else 0

    return count


@cache
def accumulate_row_of(single: bool, accumulation: Accumulation) -> Any:
    """Return ``accumulate_row(r, value, status, plain, output, mine)``.

    Row r, whose loss is `value`, is counted in the thread's integers and the block's limbs, and written to
    ``output.losses`` where that is wanted. `output` is a :class:`.kernel.RowOutput`: weights and masks are as in
    :class:`~streamloss.kernels.base.Operands`; ``first_bad`` int64 (1,) becomes the first row that must be refused:
    nothing else is then of use. `plain`: there are no weights and no mask, and nothing is written; most rows are then
    done with few instructions.
    """
    sums = ThreadSums.of(accumulation)
    counts_from = sums.counts_from
    adders = [
        _term_adder(total, k, t)
        for k, total in enumerate(accumulation.sums)
        if k != LOSS
        for t in range(total.num_terms)
    ]
    adders += [_counter(held, counts_from + NUM_OUTCOMES + k) for k, held in enumerate(accumulation.counts)]
    add_rest = in_turn(adders)

    @device
    def accumulate_row(r: int, value: float, status: int, plain: bool, output: Any, mine: Any) -> None:
        if plain and status == KEPT:
            rounded = np.float64(np.float32(value)) if single else value
            if inside(rounded):  # and no NaN
                high, middle, low = parts(rounded)
                mine[PARTS * LOSS] += high
                mine[PARTS * LOSS + 1] += middle
                mine[PARTS * LOSS + 2] += low
                mine[counts_from + OUTCOME_COUNTED] += 1
                add_rest(rounded, 1.0, False, output.limbs, mine)
                return
        weight, mask = output.weight, output.mask
        w, weighted = 1.0, weight.size > 0
        if mask.size > 0 and not mask[r]:
            status = IGNORED
        if weighted:
            w = np.float64(weight[r if weight.size > 1 else 0])
            value, status = weigh_row(value, status, w)
        if single:
            value = np.float64(np.float32(value))
        outcome = outcome_of(value, status, w, output.nan_policy)
        if outcome == OUTCOME_REFUSED:
            cuda.atomic.min(output.first_bad, 0, r)
            return
        if outcome == OUTCOME_IGNORED:  # a position that is not constant would put all of `mine` into local memory
            mine[counts_from + OUTCOME_IGNORED] += 1
            value = 0.0
        elif outcome == OUTCOME_OMITTED:
            mine[counts_from + OUTCOME_OMITTED] += 1
        else:
            mine[counts_from + OUTCOME_COUNTED] += 1
            _add_value(value, output.limbs[LOSS], mine, PARTS * LOSS)
            add_rest(value, w, weighted, output.limbs, mine)
        if output.wanted:
            output.losses[r] = value if value == value else np.nan  # NaNs have many bits

    return accumulate_row


@cache
def add_up_of(threads: int, sums: ThreadSums) -> Any:
    """Return ``add_up(mine, limbs, counts)``: the integers of all threads of a block, a power of two, are added to the
    block's own.
    """
    size, num_sums, num_counts, counts_from = sums.size, sums.num_sums, sums.num_counts, sums.counts_from

    @device
    def add_up(mine: Any, limbs: Any, counts: Any) -> None:
        shared = cuda.shared.array((size, threads), np.int64)
        thread = cuda.threadIdx.x
        for i in range(size):
            shared[i, thread] = mine[i]
        width = threads // 2
        while width > 0:
            cuda.syncthreads()
            if thread < width:
                for i in range(size):
                    shared[i, thread] += shared[i, thread + width]
            width //= 2
        cuda.syncthreads()
        if thread == 0:
            for k in range(num_sums):
                for i in range(PARTS):
                    cuda.atomic.add(limbs[k], HIGH_LIMB - i, shared[PARTS * k + i, 0])
            for i in range(num_counts):
                counts[i] += shared[counts_from + i, 0]

    return add_up


@cache
def gatherer(sums: ThreadSums) -> Launcher:
    """Return a kernel ``(blocks, lanes, limbs, counts, first_bad, gathered)``.

    Launched with `lanes` threads, 1 or a warp, for each of the ``sums.gathered`` integers: what so many blocks have
    found goes to `gathered`, int64 (sums.gathered,), and they hold nothing any more.
    """
    num_limbs, last = sums.num_limbs, sums.gathered - 1

    @kernel
    def gather(blocks: int, lanes: int, limbs: Any, counts: Any, first_bad: Any, gathered: Any) -> None:
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        i, lane = thread // lanes, thread % lanes
        total = np.int64(0)
        for block in range(lane, blocks, lanes):
            if i < num_limbs:
                total += limbs[block, i // SIZE, i % SIZE]
                limbs[block, i // SIZE, i % SIZE] = 0
            elif i < last:
                total += counts[block, i - num_limbs]
                counts[block, i - num_limbs] = 0
        w = lanes // 2
        while w > 0:
            total += cuda.shfl_xor_sync(EVERYONE, total, w)
            w //= 2
        if lane == 0 and i <= last:
            if i == last:
                total = first_bad[0]
                first_bad[0] = NO_ROW
            gathered[i] = total

    return gather
