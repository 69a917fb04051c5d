"""The processor's two loops over a block: on the calling thread without the GIL, and on all cores at once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, cast

import numpy as np
from numba import prange

from ..core import jit as compile_as
from ..core.jit import call_compiled
from ..formulas._kinds import Overlap
from .accumulate import NUM_SPARE, accumulate_tile_of, weigh
from .base import IGNORED, TILE, Ignore, KernelKey, Operands, Output, Settings, Totals
from .build import build
from .whole_data import sums_over_rows

PIECES = 64  # pieces of the parallel loop: enough to balance the cores, few enough that their states are small

Loop = Callable[..., Any]

_entered = threading.Lock()
_forked = False


def _after_fork() -> None:
    global _forked  # noqa: PLW0603 (a fact about the process)
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def all_cores() -> Iterator[bool]:
    """Yield whether the caller may use a parallel loop in this context.

    Numba's thread pool may abort the process when a second thread enters it, and does not survive a fork:
    then the serial loop, which has the same bits, must do.
    """
    free = not _forked and _entered.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            _entered.release()


@cache
def serial(key: KernelKey) -> Loop:
    """Return ``loop(operands, settings, output, totals) -> int``: the first bad row, or -1.

    The arguments are the records of :mod:`.base`. The loop runs on the calling thread without the GIL.
    """
    if key.accumulation.per_ratio:
        return sums_over_rows(cast(Overlap, key.formula), key.accumulation)
    kernel, single = build(key.formula, key.single, key.layout), key.single
    rows, new_workspace = kernel.rows, call_compiled(kernel.new_workspace)
    accumulate_tile = accumulate_tile_of(key.accumulation)

    @compile_as.serial
    def loop_serial(operands: Any, settings: Any, output: Any, totals: Any) -> int:
        y_true, y_pred, weight, mask = operands.y_true, operands.y_pred, operands.weight, operands.mask
        n, nan_policy, out = y_pred.shape[0], settings.nan_policy, output.losses
        work, status = np.empty((3 + NUM_SPARE, TILE)), np.empty(TILE, np.int8)
        values, weights, one_weight, spare = work[0], work[1], work[2], work[3:]
        workspace = new_workspace(y_pred)
        for r in range(TILE):  # where one weight is for all rows
            one_weight[r] = weight[0] if weight.size == 1 else 1.0
        for a in range(0, n, TILE):
            b = min(a + TILE, n)
            m = b - a
            rows(y_true[a:b], y_pred[a:b], settings, values, status, workspace)
            for r in range(min(b, mask.size) - min(a, mask.size)):
                status[r] = status[r] if mask[a + r] else IGNORED
            improper = 0
            if weight.size > 1:
                improper = weigh(values, status, weight[a:b], weights)
            elif weight.size == 1:
                improper = weigh(values, status, one_weight[:m], weights)
            used = weights[: m if weight.size > 0 else 0]
            bad = accumulate_tile(values[:m], status, used, improper == 0, nan_policy, single, spare, totals)
            if bad >= 0:
                return a + bad
            if output.wanted:
                losses = out[a:b]
                for r in range(m):
                    losses[r] = values[r]
        return -1

    return loop_serial


@cache
def parallel(key: KernelKey) -> Loop:
    """Return ``loop(operands, settings, output, totals, first_bad)``: the same over all cores.

    ``totals`` holds an array of limbs and counts for each of PIECES pieces of the rows, to be added up by the caller;
    ``first_bad`` int64 (PIECES,) takes each piece's first bad row or -1.
    """
    serial_loop = call_compiled(serial(key))

    @compile_as.parallel
    def loop_parallel(operands: Any, settings: Any, output: Any, totals: Any, first_bad: Any) -> None:
        y_true, y_pred, weight, mask = operands.y_true, operands.y_pred, operands.weight, operands.mask
        wanted, out, limbs, counts = output.wanted, output.losses, totals.limbs, totals.counts
        enabled, label, arguments = settings.ignore.enabled, settings.ignore.label, settings.arguments
        per_class, nan_policy = settings.per_class, settings.nan_policy
        n = y_pred.shape[0]
        size = -(-n // PIECES)
        for piece in prange(PIECES):
            a, b = min(piece * size, n), min((piece + 1) * size, n)
            of_piece = Operands(y_true[a:b], y_pred[a:b], weight[a:b] if weight.size > 1 else weight, mask[a:b])
            the_same = Settings(Ignore(enabled, label), arguments, per_class, nan_policy)  # no record goes into prange
            bad = serial_loop(of_piece, the_same, Output(wanted, out[a:b]), Totals(limbs[piece], counts[piece]))
            first_bad[piece] = a + bad if bad >= 0 else -1

    return loop_parallel
