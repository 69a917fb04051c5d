"""One loss on the rows of a block: operands as kernels take them, the loop, and the state it leaves."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..exact.accumulator import SIZE
from ..exact.state import ExactSum, State
from ..kernels import convert, cpu, overlap, tile
from ..kernels.rows import layout_of
from ..losses._kinds import LabelSequence, Overlap, Parametric, Sparse
from ..planning import Job, Plan
from ..reductions import cell_sums
from ..types import Block
from .diagnosis import explain, explain_inexact
from .rows import BlockRows, class_weight_of

Array = np.ndarray[Any, Any]

NAN_POLICIES = {"raise": tile.RAISE, "omit": tile.OMIT, "propagate": tile.PROPAGATE}
ONE_CORE, ALL_CORES, GPU = "one core", "all cores", "gpu"
"""Where a block is evaluated."""
PARALLEL_FROM = 1 << 17
"""Elements from which one block is worth the compilation and start of the loop over all cores."""


def identity(job: Job, plan: Plan) -> dict[str, Any]:
    """What a state is a state of: only rows that were evaluated alike may be added up."""
    of: dict[str, Any] = {
        "loss": job.spec.name,
        "parameters": dict(job.spec.parameters),
        "dtype": str(job.dtype),
        "weighted": plan.weighted,
    }
    if job.precision is not None:
        of["precision"] = job.precision
    if plan.class_weight is not None:
        of["class_weight"] = {str(label): weight for label, weight in sorted(plan.class_weight.items())}
    if job.layout.cells is not None:
        of["cells"] = job.layout.cells
        of["weight"] = 1.0 if plan.sample_weight is None else plan.sample_weight
    return of


def run_job(
    plan: Plan,
    job: Job,
    rows: BlockRows,
    weight: Array | None,
    mask: Array | None,
    nan_policy: str,
    all_binary: bool | None,
    keep: bool,
    where: str,
) -> tuple[Array, State]:
    """The losses of the rows, if they are to be kept, and the rows' state. `where`: ONE_CORE, ALL_CORES or GPU.

    Raises ValueRangeError for the first row that has no loss.
    """
    labels, predictions = rows.of(plan.y_true, job.layout.y_true), rows.of(plan.y_pred, job.layout.y_pred)
    y_true, y_pred = _operands(job, labels, predictions, rows.block)
    if plan.class_weight is not None:
        by_class = class_weight_of(plan.class_weight, labels, job, rows.block)
        weight = by_class if weight is None else weight * by_class
    loop = _Loop(plan, job, rows.block, (labels, predictions), (y_true, y_pred, weight, mask), nan_policy, where)
    if job.layout.cells is not None:
        return np.empty(0), loop.state_of_cells()
    if not job.spec.both_conventions:
        return loop.losses_and_state(keep)
    signed, state = loop.losses_and_state(keep and not all_binary)
    binary, other_state = loop.losses_and_state(keep and bool(all_binary), binary=1.0)
    sums = {**state.sums, "loss_binary": other_state.sum("loss")}
    counts = {**state.counts, "other_labels": labels_beside_0_and_1(labels, mask)}
    return binary if all_binary else signed, State(state.of, sums, counts)


def labels_beside_0_and_1(labels: Array, mask: Array | None) -> int:
    """How many labels of the rows that count are neither 0 nor 1."""
    others = (labels != 0) & (labels != 1)
    return int(np.count_nonzero(others if mask is None else others[mask]))


def _operands(job: Job, labels: Array, predictions: Array, block: Block) -> tuple[Array, Array]:
    """Labels and predictions as kernels take them. Raises ValueRangeError for integers that floats do not hold."""
    integer_labels = isinstance(job.formula, Sparse | LabelSequence)
    for role, data in (("y_pred", predictions), ("y_true", labels)):
        if (role == "y_pred" or not integer_labels) and convert.inexact_integers(data):
            raise explain_inexact(job, role, data, block)
    y_pred = convert.floating(convert.rounded(predictions, job.precision))
    if not isinstance(job.formula, LabelSequence):
        y_pred = y_pred.reshape(block.rows, -1)
    if integer_labels:
        y_true = convert.labels(labels)
        return (y_true if isinstance(job.formula, Sparse) else y_true.astype(np.int64)), y_pred
    y_true = convert.targets(convert.rounded(labels, job.precision), y_pred.dtype)
    return y_true.reshape(-1) if isinstance(job.formula, Parametric) else y_true.reshape(y_pred.shape), y_pred


def _layout(formula: cpu.AnyFormula, classes: int) -> str:
    return "" if isinstance(formula, overlap.Whole) else layout_of(formula, classes)


def _frozen(array: Array) -> Array:
    """A view that cannot be written to: Numba would compile the loop again for each mixture of arrays that can."""
    view = array.view()
    view.flags.writeable = False
    return view


class _Loop:
    """A loss' kernel and what it is called with."""

    def __init__(
        self,
        plan: Plan,
        job: Job,
        block: Block,
        stored: tuple[Array, Array],
        operands: tuple[Array, Array, Array | None, Array | None],
        nan_policy: str,
        where: str,
    ) -> None:
        self._plan, self._job, self._block, self._stored = plan, job, block, stored
        self._operands, self._nan_policy = operands, nan_policy
        self._classes = math.prod(operands[1].shape[1:])
        self._gpu, self._parallel = where == GPU, where == ALL_CORES and operands[1].size >= PARALLEL_FROM

    def losses_and_state(self, keep: bool, **given: float) -> tuple[Array, State]:
        """`given` are arguments of the formula that its parameters leave open."""
        out = np.empty(self._block.rows if keep else 0, self._job.dtype)
        limbs, counts = self._run(self._job.formula, 2, keep, out, given)
        total = {
            "count": int(counts[tile.COUNT]),
            "nonzero_weights": int(counts[tile.NONZERO if self._plan.weighted else tile.COUNT]),
            "omitted": int(counts[tile.OMITTED]),
            "ignored": int(counts[tile.IGNORED_ROWS]),
        }
        weight = ExactSum.of_limbs(limbs[tile.WEIGHTS])
        sums = {
            "loss": ExactSum.of_limbs(limbs[tile.VALUES]),
            "weight": weight if self._plan.weighted else ExactSum.of_count(total["count"]),
        }
        return out, State(State.empty(identity(self._job, self._plan)).of, sums, total)

    def state_of_cells(self) -> State:
        """The exact sums that ratios over the whole data are made of."""
        assert isinstance(self._job.formula, Overlap)
        formula = overlap.whole(self._job.formula)
        limbs, counts = self._run(formula, overlap.NUM_SUMS * self._classes, False, np.empty(0, self._job.dtype), {})
        sums = zip(cell_sums(self._classes), map(ExactSum.of_limbs, limbs), strict=True)
        total = {
            "elements": int(counts[tile.COUNT]),
            "omitted": int(counts[tile.OMITTED]),
            "ignored": int(counts[tile.IGNORED_ROWS]),
        }
        return State(State.empty(identity(self._job, self._plan)).of, dict(sums), total)

    def _run(
        self, formula: cpu.AnyFormula, num_sums: int, keep: bool, out: Array, given: dict[str, float]
    ) -> tuple[Array, Array]:
        """The sums' limbs and the counts, over all rows. A block has at most ``blocking.MAX_ROWS`` rows, so the pieces'
        limbs added up still fit int64.
        """
        job, (y_true, y_pred, weight, mask) = self._job, self._operands
        key = formula, bool(job.dtype == np.float32), _layout(formula, self._classes)
        ignore_class = job.spec.parameters.get("ignore_class")
        arguments = (
            _frozen(y_true),
            _frozen(y_pred),
            _frozen(np.empty(0) if weight is None else weight),
            _frozen(np.empty(0, np.bool_) if mask is None else mask),
            (0, 0) if ignore_class is None else (1, ignore_class),
            job.spec.arguments(job.dtype, **given),
            _frozen(job.spec.per_class(self._classes)),
            NAN_POLICIES[self._nan_policy],
            keep,
            out,
        )
        with cpu.all_cores() if self._parallel and num_sums <= cpu.PIECES else nullcontext(False) as free:
            pieces = cpu.PIECES if free else 1
            limbs = np.zeros((pieces, num_sums, SIZE), np.int64)
            counts = np.zeros((pieces, tile.NUM_COUNTS), np.int64)
            first_bad = np.full(pieces, -1)
            if free:
                cpu.parallel(*key)(*arguments, limbs, counts, first_bad)
            elif self._gpu:
                from ..cuda import block

                first_bad[0] = block.loop(*key)(*arguments, limbs[0], counts[0])
            else:
                first_bad[0] = cpu.serial(*key)(*arguments, limbs[0], counts[0])
        if (bad := first_bad[first_bad >= 0]).size:
            weights = None if weight is None else np.broadcast_to(weight, self._block.rows)
            raise explain(self._plan, job, self._block, int(bad.min()), *self._stored, weights)
        return limbs.sum(axis=0), counts.sum(axis=0)
