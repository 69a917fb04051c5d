"""The kernels: a thread, some lanes of a warp, or a block of threads computes the losses of rows and adds them up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...aggregation.accumulation import Accumulation
from ...core.cuda_compiler import SIMULATED, WARP, Launcher, cuda, device, kernel
from ..base import Ignore, Settings
from .accumulate import ThreadSums, accumulate_row_of, add_up_of

THREADS = 32 if SIMULATED else 128
"""The threads of a block whose threads, or lanes, have rows of their own."""


@dataclass(frozen=True)
class Team:
    """The threads that compute the loss of a row together."""

    threads: int
    """The number of threads in a block."""
    whole: bool = False
    """Whether the block has one row at a time; else a row has some lanes of a warp, as many as a launch says."""
    rows: int = 1
    """The number of rows that a thread has at a time, one after the other."""


class ThreadPosition(NamedTuple):
    """The position of a thread in the team of a row."""

    lane: Any
    """The thread's number among the lanes of the row's warp."""
    lanes: Any
    """The number of lanes of a warp that a row has."""
    warp: Any
    """The thread's warp in the block, where a whole block has the row; else 0."""


class Arrays(NamedTuple):
    """Labels and predictions on the device, flat."""

    y_true: Any
    y_pred: Any


class Launch(NamedTuple):
    """The arguments of a kernel, one by one: numba-cuda passes no records to kernels."""

    y_true: Any
    y_pred: Any
    weight: Any
    mask: Any
    n: int
    classes: int
    lanes: int
    ignore: Any
    arguments: Any
    per_class: Any
    nan_policy: int
    wanted: bool
    losses: Any
    limbs: Any
    """int64 (blocks, sums, SIZE)"""
    counts: Any
    """int64 (blocks, num_counts)"""
    first_bad: Any
    """int64 (1,)"""


class RowOutput(NamedTuple):
    """The arrays that a row's loss meets once it is known; see :func:`.accumulate.accumulate_row_of`."""

    weight: Any
    mask: Any
    nan_policy: Any
    wanted: Any
    losses: Any
    limbs: Any
    first_bad: Any


@device
def load_nothing(arrays: Any, first: int, n: int) -> Any:
    """The `load` of rows that are read as they are evaluated."""
    return 0


def rows_kernel(
    load: Callable[..., Any], evaluate: Callable[..., Any], single: bool, team: Team, accumulation: Accumulation
) -> Launcher:
    """Return the kernel around a formula; its arguments are the fields of :class:`Launch`.

    ``load(arrays, first, n)`` reads what a thread needs of its rows at once. ``evaluate(k, loaded, arrays, r, classes,
    settings, position)`` gives the loss and the status of the thread's k-th row, row r, to all threads of a team alike;
    the arguments are :class:`Arrays`, :class:`~streamloss.kernels.base.Settings` and :class:`ThreadPosition`. All
    threads do the same at the same time, also beyond the last row, which they then evaluate again and do not add up.
    """
    threads, whole, rows_of_thread = team.threads, team.whole, team.rows
    sums = ThreadSums.of(accumulation)
    accumulate_row, add_up, size = accumulate_row_of(single, accumulation), add_up_of(threads, sums), sums.size

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
        per_class: Any,
        nan_policy: int,
        wanted: bool,
        losses: Any,
        limbs: Any,
        counts: Any,
        first_bad: Any,
    ) -> None:
        mine = cuda.local.array(size, np.int64)
        for i in range(size):
            mine[i] = 0
        block, thread = cuda.blockIdx.x, cuda.threadIdx.x
        plain = weight.size == 0 and mask.size == 0 and not wanted
        if whole:
            group, groups, is_leader = block, cuda.gridDim.x, thread == 0
            position = ThreadPosition(thread % WARP, lanes, thread // WARP)
        else:
            lane, per_block = thread % lanes, threads // lanes
            group, groups, is_leader = block * per_block + thread // lanes, cuda.gridDim.x * per_block, lane == 0
            position = ThreadPosition(lane, lanes, 0)
        arrays = Arrays(y_true, y_pred)
        settings = Settings(Ignore(ignore[0], ignore[1]), arguments, per_class, nan_policy)
        output = RowOutput(weight, mask, nan_policy, wanted, losses, limbs[block], first_bad)
        first, step = group * np.int64(rows_of_thread), groups * np.int64(rows_of_thread)
        for _ in range((n + step - 1) // step):
            loaded = load(arrays, first, n)
            for k in range(rows_of_thread):
                r = first + k
                value, status = evaluate(k, loaded, arrays, min(r, n - 1), classes, settings, position)
                if is_leader and r < n:
                    accumulate_row(r, value, status, plain, output, mine)
            first += step
        add_up(mine, limbs[block], counts[block])

    return rows
