"""The protocol of backends, which evaluate blocks, and the processor as one of them (:mod:`.gpu` has the other)."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..aggregation.accumulator import SIZE
from ..core.blocks import Block
from ..kernels import cpu
from ..kernels.base import KernelKey, Operands, Output, Settings, Totals
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from .inputs import BlockInputs, BufferPool, host_labels, host_mask, host_predictions, host_weight, mask_without_ignored
from .probabilities import Slacks

Array = np.ndarray[Any, Any]

PARALLEL_FROM = 2 * cpu.ELEMENTS_PER_THREAD
"""Elements from which one block is worth a second thread."""


class KernelResult(NamedTuple):
    """The sums and counts of a kernel over the rows of a block."""

    limbs: Array
    """int64 (sums, SIZE): the exact sums, in the order of the kernel's accumulation."""
    counts: Array
    """int64 (num_counts,)"""
    first_bad: int
    """The first row that must be refused, or -1; then nothing else is of use."""


class Backend(Protocol):
    """Evaluates the losses of a block's rows. A backend belongs to one thread at a time."""

    buffers: BufferPool
    """Memory into which this thread reads its blocks."""
    holds_arrays: bool
    """Whether arrays that are evaluated may be on the backend's device and not in the host's memory."""

    takes_pieces: bool
    """Whether a block is best evaluated in pieces that fit a core's caches."""

    def activate(self) -> AbstractContextManager[Any]:
        """Return a context in which the calling thread works with this backend's device."""

    def weight_of(self, plan: Plan, inputs: BlockInputs) -> Any:
        """Return each row's weight, one for all rows as (1,), or None."""

    def mask_of(self, plan: Plan, inputs: BlockInputs) -> Any:
        """Return whether each row counts, or None. Raises ValueRangeError for what is neither 0 nor 1."""

    def operands(self, plan: Plan, planned: PlannedLoss, inputs: BlockInputs, weight: Any, mask: Any) -> Operands:
        """Return a block's rows in the form that :meth:`run` takes, with empty arrays for no weights and no mask.

        Raises ValueRangeError for integers that float64 does not hold.
        """

    def inside(self, operands: Operands, part: slice, slacks: Slacks) -> Operands:
        """Return some rows of what :meth:`operands` gave, with numbers outside [0, 1] as 0 or 1 where they may be."""

    def to_host(self, array: Any) -> Any:
        """Return what :meth:`mask_of` or :meth:`weight_of` gave, in the host's memory."""

    def copy(self, losses: Array, out: Any) -> None:
        """Copy losses of rows from the host's memory to what :meth:`new_losses` gave, or a part of it."""

    def new_losses(self, sink: Sink, block: Block, dtype: np.dtype[Any]) -> Any:
        """Return an array (rows,) into which losses on their way to `sink` are written."""

    def run(self, key: KernelKey, operands: Operands, settings: Settings, output: Output) -> KernelResult:
        """Evaluate the rows with the kernel of `key`."""


class CpuBackend:
    """The processor; `parallel`: all cores for one block, where no other thread evaluates another one."""

    holds_arrays = False

    def __init__(self, parallel: bool = False) -> None:
        self._parallel = parallel
        self.takes_pieces = not parallel  # all cores share a block: a piece would be too little for them
        self.buffers = BufferPool()

    def activate(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def weight_of(self, plan: Plan, inputs: BlockInputs) -> Array | None:
        return host_weight(plan, inputs)

    def mask_of(self, plan: Plan, inputs: BlockInputs) -> Array | None:
        return host_mask(plan, inputs)

    def operands(self, plan: Plan, planned: PlannedLoss, inputs: BlockInputs, weight: Any, mask: Any) -> Operands:
        y_true, y_pred = host_labels(plan, planned, inputs), host_predictions(plan, planned, inputs)
        return Operands(y_true, y_pred, *or_empty(weight, mask_without_ignored(planned, inputs, mask)))

    def inside(self, operands: Operands, part: slice, slacks: Slacks) -> Operands:
        y_true, y_pred = slacks.y_true.inside(operands.y_true[part]), slacks.y_pred.inside(operands.y_pred[part])
        return Operands(y_true, y_pred, *weight_and_mask(operands, part))

    def to_host(self, array: Any) -> Any:
        return array

    def copy(self, losses: Array, out: Array) -> None:
        out[...] = losses

    def new_losses(self, sink: Sink, block: Block, dtype: np.dtype[Any]) -> Array:
        return np.empty(block.rows, dtype)

    def run(self, key: KernelKey, operands: Operands, settings: Settings, output: Output) -> KernelResult:
        """Evaluate the rows. A block has at most ``planning.blocks.MAX_ROWS`` rows, so the limbs of the pieces of a
        parallel loop, added up, still fit int64.
        """
        num_sums = sums_of(key, math.prod(operands.y_pred.shape[1:]))
        parallel = self._parallel and operands.y_pred.size >= PARALLEL_FROM and num_sums <= cpu.PIECES
        totals = empty_totals(cpu.PIECES if parallel else 1, num_sums, key.accumulation.num_counts)
        if not parallel:
            alone = Totals(totals.limbs[0], totals.counts[0])
            return KernelResult(*alone, cpu.serial(key)(operands, settings, output, alone))
        first_bad = np.full(cpu.PIECES, -1)
        cpu.parallel(key)(operands, settings, output, totals, first_bad)
        bad = first_bad[first_bad >= 0]
        return KernelResult(totals.limbs.sum(axis=0), totals.counts.sum(axis=0), int(bad.min()) if bad.size else -1)


def or_empty(weight: Any, mask: Any) -> tuple[Any, Any]:
    """Return weights and mask as kernels take them: empty arrays for None."""
    return np.empty(0) if weight is None else weight, np.empty(0, np.bool_) if mask is None else mask


def weight_and_mask(operands: Operands, part: slice) -> tuple[Any, Any]:
    """Return the weights and the mask of some rows; one weight may be for all."""
    return operands.weight if operands.weight.size <= 1 else operands.weight[part], operands.mask[part]


def sums_of(key: KernelKey, classes: int) -> int:
    """Return how many exact sums a kernel adds to."""
    return len(key.accumulation.sums) * (classes if key.accumulation.per_ratio else 1)


def empty_totals(pieces: int, num_sums: int, num_counts: int) -> Totals:
    return Totals(np.zeros((pieces, num_sums, SIZE), np.int64), np.zeros((pieces, num_counts), np.int64))
