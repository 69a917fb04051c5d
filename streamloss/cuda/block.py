"""The GPU's loop over a block, as `streamloss.kernels.cpu` has the CPU's: copy, kernels, states back."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..exact.accumulator import SIZE
from ..kernels.order import ALONE
from ..kernels.tile import NUM_COUNTS
from ..losses._kinds import Elementwise, Formula, LabelSequence, Parametric
from .groups import groups, lanes_of
from .singles import singles
from .sums import NO_ROW, STATE, THREADS, gatherer, reducer
from .toolkit import SIMULATED, Launcher, cuda

ROW_THREADS = 32 if SIMULATED else 128  # whole warps
MAX_BLOCKS = 2 if SIMULATED else 1056  # a multiple of what the largest GPUs run at once; limbs are one set to each
GATHER_THREADS = 32

Array = np.ndarray[Any, Any]


def why_not(formula: Formula, whole: bool) -> str | None:
    """Why a formula cannot be evaluated on a GPU, or None if it can; `whole`: it is one ratio over the whole data."""
    if isinstance(formula, LabelSequence):
        return "its rows are sequences"
    return "it is a ratio of sums over the whole data" if whole else None


@cache
def rows_of(formula: Formula, single: bool, layout: str) -> Launcher:
    """The kernel of a formula's rows."""
    assert not isinstance(formula, LabelSequence)
    if isinstance(formula, Parametric) or (isinstance(formula, Elementwise) and layout == ALONE):
        return singles(formula, single)
    return groups(formula, single)


def evaluate(
    formula: Formula,
    single: bool,
    layout: str,
    y_true: Any,
    y_pred: Any,
    weight: Any,
    mask: Any,
    ignore: tuple[int, int],
    arguments: tuple[float, ...],
    each: Any,
    nan_policy: int,
    losses: Any,
) -> tuple[Any, Any]:
    """Launch what a block of at least one row needs, whose arrays are on the device; `losses` are written if there are
    any. The first bad row (or NO_ROW) and the block's integers (STATE,), on the device: nothing is waited for.
    """
    n, classes = y_pred.shape
    values, status = cuda.device_array(n, np.float64), cuda.device_array(n, np.int8)
    rows = rows_of(formula, single, layout)
    if layout == ALONE:
        rows.launch(blocks_for(n, ROW_THREADS), ROW_THREADS, y_true, y_pred, arguments, each, values, status)
    else:
        lanes = lanes_of(classes)
        blocks = blocks_for(n * lanes, ROW_THREADS)
        rows.launch(blocks, ROW_THREADS, y_true, y_pred, ignore, arguments, each, lanes, values, status)

    blocks, keep = blocks_for(n, THREADS), losses.size > 0
    limbs, counts = _zeros((blocks, 2, SIZE)), _zeros((blocks, NUM_COUNTS))
    first_bad, state = cuda.to_device(np.full(1, NO_ROW)), _zeros(STATE)
    reducer(single).launch(
        blocks, THREADS, values, status, weight, mask, nan_policy, keep, losses, limbs, counts, first_bad
    )
    gatherer().launch(-(-STATE // GATHER_THREADS), GATHER_THREADS, limbs, counts, state)
    return first_bad, state


@cache
def loop(formula: Formula, single: bool, layout: str) -> Callable[..., int]:
    """A function of the arguments of `kernels.cpu.serial`'s, on the host, with its result and its effects."""

    def loop_cuda(
        y_true: Array,
        y_pred: Array,
        weight: Array,
        mask: Array,
        ignore: tuple[int, int],
        arguments: tuple[float, ...],
        each: Array,
        nan_policy: int,
        keep: bool,
        out: Array,
        limbs: Array,
        counts: Array,
    ) -> int:
        n = len(y_pred)
        if n == 0:
            return -1
        true, pred, w, m, own = (cuda.to_device(array) for array in (y_true, y_pred, weight, mask, each))
        losses = cuda.device_array(n if keep else 0, out.dtype)
        first_bad, state = evaluate(
            formula, single, layout, true, pred, w, m, ignore, arguments, own, nan_policy, losses
        )
        if (bad := int(first_bad.copy_to_host()[0])) != NO_ROW:
            return bad
        found = state.copy_to_host()
        limbs += found[: 2 * SIZE].reshape(2, SIZE)
        counts += found[2 * SIZE :]
        if keep:
            losses.copy_to_host(out)
        return -1

    return loop_cuda


def _zeros(shape: Any) -> Any:
    return cuda.to_device(np.zeros(shape, np.int64))


def blocks_for(threads: int, per_block: int) -> int:
    return min(MAX_BLOCKS, -(-threads // per_block))
