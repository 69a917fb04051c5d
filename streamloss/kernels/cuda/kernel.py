"""The kernels: each thread, group of lanes or block of threads computes the losses of rows, and settles them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.cuda_compiler import SIMULATED, WARP, Launcher, cuda, device, kernel
from .accumulate import MINE, add_up_of, settle_of

THREADS = 32 if SIMULATED else 128
"""In a block whose threads, or lanes, have rows of their own."""


@dataclass(frozen=True)
class Team:
    """Who computes a row's loss."""

    threads: int
    """In a block."""
    whole: bool = False
    """Whether the block has one row at a time; else a row has some lanes of a warp, as many as a launch says."""
    rows: int = 1
    """That a thread has at a time, one after the other."""


@device
def nothing(y_true: Any, y_pred: Any, first: int, n: int) -> Any:
    """To `load` where rows are read as they are evaluated."""
    return 0


def rows_kernel(load: Callable[..., Any], evaluate: Callable[..., Any], single: bool, team: Team) -> Launcher:
    """``load(y_true, y_pred, first, n)`` reads what a thread needs of its rows at once, and
    ``evaluate(k, loaded, arrays, r, classes, given, seat)`` gives the loss and the status of its k-th, row r, to all
    threads of a team alike. ``arrays`` are `y_true` and `y_pred`, ``given`` is `ignore`, `arguments` and `each`, and
    ``seat`` the thread's lane, the number of lanes, and its warp. All threads do the same at the same time, also beyond
    the last row, which they then evaluate again and do not settle.

    The kernel's `y_true` and `y_pred` are flat; what else it takes is as in `streamloss.kernels.cpu` and :mod:`.sums`.
    """
    threads, whole, several = team.threads, team.whole, team.rows
    settle, add_up = settle_of(single), add_up_of(threads)

    @kernel
    def rows(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        mask: Any,
        n: int,
        classes: int,
        lanes: int,
        ignore: Any,
        arguments: Any,
        each: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        counts: Any,
        first_bad: Any,
    ) -> None:
        mine = cuda.local.array(MINE, np.int64)
        for i in range(MINE):
            mine[i] = 0
        block, thread = cuda.blockIdx.x, cuda.threadIdx.x
        plain = weight.size == 0 and mask.size == 0 and not keep
        if whole:
            group, groups, lane, warp, speaks = block, cuda.gridDim.x, thread % WARP, thread // WARP, thread == 0
        else:
            lane, warp = thread % lanes, 0
            per_block = threads // lanes
            group, groups, speaks = block * per_block + thread // lanes, cuda.gridDim.x * per_block, lane == 0
        arrays, given, seat = (y_true, y_pred), (ignore, arguments, each), (lane, lanes, warp)
        first, step = group * np.int64(several), groups * np.int64(several)
        for _ in range((n + step - 1) // step):
            loaded = load(y_true, y_pred, first, n)
            for k in range(several):
                r = first + k
                value, status = evaluate(k, loaded, arrays, min(r, n - 1), classes, given, seat)
                if speaks and r < n:
                    settle(r, value, status, plain, weight, mask, nan_policy, keep, out, limbs[block], mine, first_bad)
            first += step
        add_up(mine, limbs[block], counts[block])

    return rows
