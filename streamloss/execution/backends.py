"""Where a block is evaluated: on one core, on all cores, or (:mod:`.cuda`) on a GPU; and in which form its operands are
taken there.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..aggregation.accumulator import SIZE
from ..core.types import Block
from ..errors import UsageError
from ..formulas._kinds import LabelSequence, Parametric, Sparse
from ..kernels import accumulate, cpu, whole_data
from ..kernels.build import layout_of
from ..planning.dtypes import floating_dtype
from ..planning.gpu import why_not_on_gpu
from ..planning.plan import Plan, PlannedLoss
from ..storage.sinks import Sink
from . import convert
from .diagnosis import explain_inexact
from .inputs import BlockInputs, BufferPool, mask_of, weight_of

Array = np.ndarray[Any, Any]

PARALLEL_FROM = 1 << 17
"""Elements from which one block is worth the compilation and start of the loop over all cores."""

NAN_POLICIES = {"raise": accumulate.RAISE, "omit": accumulate.OMIT, "propagate": accumulate.PROPAGATE}


def refuse_what_gpus_cannot(plan: Plan) -> None:
    """Raises UsageError, where a GPU was asked for by name."""
    for job in plan.losses:
        if (reason := why_not_on_gpu(job)) is not None:
            raise UsageError(
                f"{job.spec.name}: executor='cuda' cannot evaluate it, because {reason}; expected a loss of rows "
                "over elements or classes. Use executor='auto', which evaluates it on the CPU."
            )


class CpuBackend:
    """The CPU; `parallel`: all cores, by Numba's threads, which a thread of a pool must not ask for."""

    holds_arrays = False
    """Whether arrays that are evaluated may be here and not in the host's memory."""

    def __init__(self, parallel: bool = False) -> None:
        self._parallel = parallel
        self.scratch = BufferPool()
        """Memory of the one thread that may use this."""

    def here(self) -> AbstractContextManager[Any]:
        """While this lasts, the calling thread is at this place."""
        return nullcontext()

    def weight_of(self, plan: Plan, rows: BlockInputs) -> Any:
        return weight_of(plan, rows)

    def mask_of(self, plan: Plan, rows: BlockInputs) -> Any:
        return mask_of(plan, rows)

    def operands(self, plan: Plan, job: PlannedLoss, rows: BlockInputs) -> tuple[Any, Any]:
        """Labels and predictions as kernels take them. Raises ValueRangeError for integers that floats do not hold."""
        return host_operands(plan, job, rows)

    def host(self, array: Any) -> Any:
        """What :meth:`mask_of` gave, in the host's memory."""
        return array

    def new_losses(self, sink: Sink, block: Block, dtype: np.dtype[Any]) -> Any:
        """Where losses that are going to `sink` are written first: (rows,)."""
        return np.empty(block.rows, dtype)

    def run(
        self, job: PlannedLoss, formula: cpu.AnyFormula, operands: tuple[Any, Any, Any, Any], settings: tuple[Any, ...]
    ) -> tuple[Array, Array, int]:
        """The sums' limbs and the counts, over all rows, and the first bad row or -1. A block has at most
        ``blocking.MAX_ROWS`` rows, so the pieces' limbs added up still fit int64.

        `operands` are labels, predictions, weights and mask; `settings` what else the loops of `kernels.cpu` take.
        """
        y_true, y_pred, weight, mask = operands
        classes = math.prod(y_pred.shape[1:])
        key = key_of(job, formula, classes)
        arguments = (
            _frozen(y_true),
            _frozen(y_pred),
            _frozen(np.empty(0) if weight is None else weight),
            _frozen(np.empty(0, np.bool_) if mask is None else mask),
            *settings,
        )
        num_sums = sums_of(formula, classes)
        spread = self._parallel and y_pred.size >= PARALLEL_FROM and num_sums <= cpu.PIECES
        with cpu.all_cores() if spread else nullcontext(False) as free:
            limbs, counts = empty_sums(cpu.PIECES if free else 1, num_sums)
            if not free:
                return limbs[0], counts[0], cpu.serial(*key)(*arguments, limbs[0], counts[0])
            first_bad = np.full(cpu.PIECES, -1)
            cpu.parallel(*key)(*arguments, limbs, counts, first_bad)
        bad = first_bad[first_bad >= 0]
        return limbs.sum(axis=0), counts.sum(axis=0), int(bad.min()) if bad.size else -1


def host_operands(plan: Plan, job: PlannedLoss, rows: BlockInputs) -> tuple[Array, Array]:
    return host_labels(plan, job, rows), host_predictions(plan, job, rows)


def host_predictions(plan: Plan, job: PlannedLoss, rows: BlockInputs) -> Array:
    stored = rows.of(plan.y_pred, job.alignment.y_pred)
    if convert.inexact_integers(stored):
        raise explain_inexact(job, "y_pred", stored, rows.block)
    y_pred = convert.floating(convert.rounded(stored, job.precision))
    return y_pred if isinstance(job.formula, LabelSequence) else y_pred.reshape(rows.block.rows, -1)


def host_labels(plan: Plan, job: PlannedLoss, rows: BlockInputs) -> Array:
    stored = rows.of(plan.y_true, job.alignment.y_true)
    if isinstance(job.formula, Sparse):
        return convert.labels(stored)
    if isinstance(job.formula, LabelSequence):
        return convert.labels(stored).astype(np.int64)
    if convert.inexact_integers(stored):
        raise explain_inexact(job, "y_true", stored, rows.block)
    y_true = convert.targets(convert.rounded(stored, job.precision), floating_dtype(plan.y_pred.dtype))
    return y_true.reshape(-1) if isinstance(job.formula, Parametric) else y_true.reshape(rows.block.rows, -1)


def key_of(job: PlannedLoss, formula: cpu.AnyFormula, classes: int) -> tuple[cpu.AnyFormula, bool, str]:
    """What a kernel is made for."""
    layout = "" if isinstance(formula, whole_data.Whole) else layout_of(formula, classes)
    return formula, bool(job.dtype == np.float32), layout


def sums_of(formula: cpu.AnyFormula, classes: int) -> int:
    """How many exact sums a kernel adds to."""
    return whole_data.NUM_SUMS * classes if isinstance(formula, whole_data.Whole) else 2


def empty_sums(pieces: int, num_sums: int) -> tuple[Array, Array]:
    return np.zeros((pieces, num_sums, SIZE), np.int64), np.zeros((pieces, accumulate.NUM_COUNTS), np.int64)


def _frozen(array: Array) -> Array:
    """A view that cannot be written to: Numba would compile the loop again for each mixture of arrays that can."""
    view = array.view()
    view.flags.writeable = False
    return view
