"""What happens to the losses of rows, as `streamloss.kernels.tile` says it, on the device; and their exact sums.

Values in the window of `streamloss.exact.accumulator` are added up in three integers of each thread, which its block
then adds up in shared memory. Others go, as integers too, to the block's own limbs in global memory: to add 64 bits
there is one instruction, where shared memory needs a loop. Integers commute, so nobody waits for anybody.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..exact.accumulator import HIGH_LIMB, LIMBS, SIZE, inside, parts, spread
from ..kernels.layout import BAD, IGNORED, KEPT
from ..kernels.tile import COUNT, IGNORED_ROWS, NONZERO, NUM_COUNTS, OMIT, OMITTED, RAISE, VALUES, WEIGHTS
from .toolkit import SIMULATED, Launcher, cuda, device, kernel

THREADS = 32 if SIMULATED else 128
"""In a block of :func:`reducer`, whose shared memory they fill: a power of two."""
PARTS = 3  # of a value in the window
MINE = 2 * PARTS + NUM_COUNTS  # integers that a thread adds up: parts of losses, parts of weights, counts
STATE = 2 * SIZE + NUM_COUNTS  # integers that come back from a block of rows: both sums' limbs, and counts
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
def reducer(single: bool) -> Launcher:
    """``(values, status, weight, mask, nan_policy, keep, out, limbs, counts, first_bad)``.

    `values` float64, `status` int8 (rows,), `weight` and `mask` as in `streamloss.kernels.cpu`; ``limbs`` int64
    (blocks, 2, SIZE) and ``counts`` int64 (blocks, NUM_COUNTS) are added to; ``first_bad`` int64 (1,), NO_ROW at first,
    becomes the first row that must be refused: nothing else is then of use.
    """

    @kernel
    def reduce(
        values: Any,
        status: Any,
        weight: Any,
        mask: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        counts: Any,
        first_bad: Any,
    ) -> None:
        shared = cuda.shared.array((MINE, THREADS), np.int64)
        mine = cuda.local.array(MINE, np.int64)
        for i in range(MINE):
            mine[i] = 0
        block, thread = cuda.blockIdx.x, cuda.threadIdx.x
        block_limbs = limbs[block]
        weighted = weight.size > 0
        for r in range(block * THREADS + thread, values.size, cuda.gridDim.x * THREADS):
            value, w, state = values[r], 1.0, int(status[r])
            if mask.size > 0 and not mask[r]:
                state = IGNORED
            if weighted:
                w = np.float64(weight[r if weight.size > 1 else 0])
                value *= w
            if single:
                value = np.float64(np.float32(value))
            number = value == value and state == KEPT
            if (
                state == BAD
                or not (w >= 0.0 and w < np.inf)
                or (state != IGNORED and not number and nan_policy == RAISE)
            ):
                cuda.atomic.min(first_bad, 0, r)
                continue
            if state == IGNORED:
                value = 0.0
                mine[2 * PARTS + IGNORED_ROWS] += 1
            elif not number and nan_policy == OMIT:
                mine[2 * PARTS + OMITTED] += 1
            else:
                mine[2 * PARTS + COUNT] += 1
                _add(value, block_limbs[VALUES], mine, 0)
                if weighted:
                    mine[2 * PARTS + NONZERO] += 1 if w != 0.0 else 0
                    _add(w, block_limbs[WEIGHTS], mine, PARTS)
            if keep:
                out[r] = value if value == value else np.nan  # NaNs have many bits
        for i in range(MINE):
            shared[i, thread] = mine[i]
        width = THREADS // 2
        while width > 0:
            cuda.syncthreads()
            if thread < width:
                for i in range(MINE):
                    shared[i, thread] += shared[i, thread + width]
            width //= 2
        cuda.syncthreads()
        if thread == 0:
            for i in range(PARTS):
                cuda.atomic.add(block_limbs[VALUES], HIGH_LIMB - i, shared[i, 0])
                cuda.atomic.add(block_limbs[WEIGHTS], HIGH_LIMB - i, shared[PARTS + i, 0])
            for i in range(NUM_COUNTS):
                counts[block, i] += shared[2 * PARTS + i, 0]

    return reduce


@cache
def gatherer() -> Launcher:
    """``(limbs, counts, state)``: each thread adds one integer up over the blocks, to `state`, int64 (STATE,)."""

    @kernel
    def gather(limbs: Any, counts: Any, state: Any) -> None:
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i >= STATE:
            return
        total = np.int64(0)
        for block in range(limbs.shape[0]):
            if i < 2 * SIZE:
                total += limbs[block, i // SIZE, i % SIZE]
            else:
                total += counts[block, i - 2 * SIZE]
        state[i] += total

    return gather
