"""What happens to the losses of rows, as `streamloss.kernels.accumulate` says it, on the device; and their exact sums.

A thread settles a row where it has computed its loss, so nothing of a row goes to memory but what NONE writes. Values
in the window of `streamloss.aggregation.accumulator` are added up in three integers of each thread; its block adds
those up in shared memory. Others go, as integers too, to the block's own limbs in global memory: to add 64 bits there
is one instruction, where shared memory needs a loop. Integers commute, so nobody waits for anybody.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ...aggregation.accumulator import HIGH_LIMB, LIMBS, SIZE, inside, parts, spread
from ...core.cuda_compiler import EVERYONE, Launcher, cuda, device, kernel
from ..accumulate import COUNT, IGNORED_ROWS, NONZERO, NUM_COUNTS, OMIT, OMITTED, RAISE, VALUES, WEIGHTS
from ..base import BAD, IGNORED, KEPT

PARTS = 3  # of a value in the window
MINE = 2 * PARTS + NUM_COUNTS  # integers that a thread adds up: parts of losses, parts of weights, counts
STATE = 2 * SIZE + NUM_COUNTS + 1  # integers that come back from rows: both sums' limbs, counts, the first bad row
NO_ROW = np.iinfo(np.int64).max


@device
def _add(value: float, limbs: Any, mine: Any, at: int) -> None:
    """To the thread's own parts, or to the block's limbs."""
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


@cache
def settle_of(single: bool) -> Any:
    """``settle(r, value, status, plain, weight, mask, nan_policy, keep, out, limbs, mine, first_bad)``: row r, whose
    loss is `value`, is counted in the thread's integers (MINE,) and the block's limbs (2, SIZE), and written to `out`.

    `weight` and `mask` are as in `streamloss.kernels.cpu`; `plain`: there are none, and nothing is written; most rows
    are then done with few instructions. ``first_bad`` int64 (1,) becomes the first row that must be refused: nothing
    else is then of use.
    """

    @device
    def settle(
        r: int,
        value: float,
        status: int,
        plain: bool,
        weight: Any,
        mask: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        mine: Any,
        first_bad: Any,
    ) -> None:
        if plain and status == KEPT:
            rounded = np.float64(np.float32(value)) if single else value
            if inside(rounded):  # and no NaN
                high, middle, low = parts(rounded)
                mine[0] += high
                mine[1] += middle
                mine[2] += low
                mine[2 * PARTS + COUNT] += 1
                return
        w, weighted = 1.0, weight.size > 0
        if mask.size > 0 and not mask[r]:
            status = IGNORED
        if weighted:
            w = np.float64(weight[r if weight.size > 1 else 0])
            value *= w
        if single:
            value = np.float64(np.float32(value))
        number = value == value and status == KEPT
        improper = not (w >= 0.0 and w < np.inf)
        if status == BAD or improper or (status != IGNORED and not number and nan_policy == RAISE):
            cuda.atomic.min(first_bad, 0, r)
            return
        if status == IGNORED:
            value = 0.0
            mine[2 * PARTS + IGNORED_ROWS] += 1
        elif not number and nan_policy == OMIT:
            mine[2 * PARTS + OMITTED] += 1
        else:
            mine[2 * PARTS + COUNT] += 1
            _add(value, limbs[VALUES], mine, 0)
            if weighted:
                mine[2 * PARTS + NONZERO] += 1 if w != 0.0 else 0
                _add(w, limbs[WEIGHTS], mine, PARTS)
        if keep:
            out[r] = value if value == value else np.nan  # NaNs have many bits

    return settle


@cache
def add_up_of(threads: int) -> Any:
    """``add_up(mine, limbs, counts)``: the integers of all threads of a block, a power of two, to the block's own."""

    @device
    def add_up(mine: Any, limbs: Any, counts: Any) -> None:
        shared = cuda.shared.array((MINE, threads), np.int64)
        thread = cuda.threadIdx.x
        for i in range(MINE):
            shared[i, thread] = mine[i]
        width = threads // 2
        while width > 0:
            cuda.syncthreads()
            if thread < width:
                for i in range(MINE):
                    shared[i, thread] += shared[i, thread + width]
            width //= 2
        cuda.syncthreads()
        if thread == 0:
            for i in range(PARTS):
                cuda.atomic.add(limbs[VALUES], HIGH_LIMB - i, shared[i, 0])
                cuda.atomic.add(limbs[WEIGHTS], HIGH_LIMB - i, shared[PARTS + i, 0])
            for i in range(NUM_COUNTS):
                counts[i] += shared[2 * PARTS + i, 0]

    return add_up


@cache
def gatherer() -> Launcher:
    """``(blocks, lanes, limbs, counts, first_bad, state)``, launched with `lanes` threads, 1 or a warp, for each of the
    STATE integers: what so many blocks have found goes to `state`, int64 (STATE,), and they hold nothing any more.
    """

    @kernel
    def gather(blocks: int, lanes: int, limbs: Any, counts: Any, first_bad: Any, state: Any) -> None:
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        i, lane = thread // lanes, thread % lanes
        total = np.int64(0)
        for block in range(lane, blocks, lanes):
            if i < 2 * SIZE:
                total += limbs[block, i // SIZE, i % SIZE]
                limbs[block, i // SIZE, i % SIZE] = 0
            elif i < STATE - 1:
                total += counts[block, i - 2 * SIZE]
                counts[block, i - 2 * SIZE] = 0
        w = lanes // 2
        while w > 0:
            total += cuda.shfl_xor_sync(EVERYONE, total, w)
            w //= 2
        if lane == 0 and i < STATE:
            if i == STATE - 1:
                total = first_bad[0]
                first_bad[0] = NO_ROW
            state[i] = total

    return gather
