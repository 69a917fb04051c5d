"""The CPU's two loops over a block: on the calling thread without the GIL, and on all cores at once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numba import prange

from ..core import jit as compile_as
from ..core.jit import call_compiled
from ..formulas._kinds import Formula
from .accumulate import reduce_tile, weigh
from .base import IGNORED, TILE
from .build import build
from .whole_data import Whole, sums_over_rows

PIECES = 64  # pieces of the parallel loop: enough to balance the cores, few enough that their states are small

Loop = Callable[..., Any]
AnyFormula = Formula | Whole

_entered = threading.Lock()
_forked = False


def _after_fork() -> None:
    global _forked  # noqa: PLW0603 (a fact about the process)
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def all_cores() -> Iterator[bool]:
    """Whether the caller may use a parallel loop while this lasts.

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
def serial(formula: AnyFormula, single: bool, layout: str) -> Loop:
    """``loop(y_true, y_pred, weight, mask, ignore, arguments, each, nan_policy, keep, out, limbs, counts)``: the first
    bad row or -1.

    ``y_pred`` is C-contiguous (rows, classes), float32 or float64, or (rows, time, classes) for sequences;
    ``y_true`` one of `convert.LABELS` or `convert.TARGETS`: (rows,) for labels and numbers, of y_pred's shape for
    losses of elements and classes, (rows, length) for sequences. ``weight`` is float32 or float64: (rows,), (1,) for
    one that all rows have, or empty; ``mask`` bool (rows,), or empty: rows where it is False are ignored; ``ignore``
    (1, label) or (0, 0); ``each`` float64 (classes,), or empty; ``out`` float32 or float64, written where ``keep``:
    (rows,), else anything; ``limbs`` int64 (2, SIZE) and ``counts`` int64, both added to.
    """
    if isinstance(formula, Whole):
        return sums_over_rows(formula.overlap)
    kernel = build(formula, single, layout)
    rows, new_space = kernel.rows, call_compiled(kernel.new_space)

    @compile_as.serial
    def loop_serial(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        mask: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        counts: Any,
    ) -> int:
        n = y_pred.shape[0]
        work, status = np.empty((5, TILE)), np.empty(TILE, np.int8)
        values, weights, every, spare = work[0], work[1], work[2], work[3:]
        space = new_space(y_pred)
        for r in range(TILE):  # where one weight is for all rows
            every[r] = weight[0] if weight.size == 1 else 1.0
        for a in range(0, n, TILE):
            b = min(a + TILE, n)
            m = b - a
            rows(y_true[a:b], y_pred[a:b], ignore, arguments, each, values, status, space)
            for r in range(min(b, mask.size) - min(a, mask.size)):
                status[r] = status[r] if mask[a + r] else IGNORED
            improper, nonzero = 0, 0
            if weight.size > 1:
                improper, nonzero = weigh(values, weight[a:b], weights)
            elif weight.size == 1:
                improper, nonzero = weigh(values, every[:m], weights)
            used = weights[: m if weight.size > 0 else 0]
            bad = reduce_tile(
                values[:m], status, used, nonzero, improper == 0, nan_policy, single, spare, limbs, counts
            )
            if bad >= 0:
                return a + bad
            if keep:
                losses = out[a:b]
                for r in range(m):
                    losses[r] = values[r]
        return -1

    return loop_serial


@cache
def parallel(formula: AnyFormula, single: bool, layout: str) -> Loop:
    """The same over all cores, with ``limbs`` (PIECES, sums, SIZE) and ``counts`` (PIECES, n): one for each piece of
    rows, to be added up by the caller; ``first_bad`` (PIECES,), its last argument, takes each piece's.
    """
    serial_loop = call_compiled(serial(formula, single, layout))

    @compile_as.parallel
    def loop_parallel(
        y_true: Any,
        y_pred: Any,
        weight: Any,
        mask: Any,
        ignore: tuple[int, int],
        arguments: Any,
        each: Any,
        nan_policy: int,
        keep: bool,
        out: Any,
        limbs: Any,
        counts: Any,
        first_bad: Any,
    ) -> None:
        n = y_pred.shape[0]
        size = -(-n // PIECES)
        for piece in prange(PIECES):
            a, b = min(piece * size, n), min((piece + 1) * size, n)
            bad = serial_loop(
                y_true[a:b],
                y_pred[a:b],
                weight[a:b] if weight.size > 1 else weight,
                mask[a:b],
                ignore,
                arguments,
                each,
                nan_policy,
                keep,
                out[a:b],
                limbs[piece],
                counts[piece],
            )
            first_bad[piece] = a + bad if bad >= 0 else -1

    return loop_parallel
