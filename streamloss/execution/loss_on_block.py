"""One loss on the rows of a block: operands as kernels take them, the loop, and the state it leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..aggregation.reductions import cell_sums
from ..aggregation.state import ExactSum, State
from ..core.types import Block
from ..formulas._kinds import Overlap
from ..kernels import accumulate, cpu, whole_data
from ..planning.alignment import CLASS_AXIS
from ..planning.plan import Plan, PlannedLoss
from .backends import NAN_POLICIES, CpuBackend
from .diagnosis import explain
from .inputs import BlockInputs, class_weight_of, weight_of

Array = np.ndarray[Any, Any]


def run_job(
    plan: Plan,
    job: PlannedLoss,
    rows: BlockInputs,
    weight: Any,
    mask: Any,
    nan_policy: str,
    all_binary: bool | None,
    out: Any,
    place: CpuBackend,
) -> State:
    """The state of the rows; their losses go to `out` (rows,), unless it is None.

    Raises ValueRangeError for the first row that has no loss.
    """
    if plan.class_weight is not None:
        labels = rows.of(plan.y_true, job.alignment.y_true)
        by_class = class_weight_of(plan.class_weight, labels, job, rows.block)
        weight = by_class if weight is None else weight * by_class
    loop = _Loop(plan, job, rows, (*place.operands(plan, job, rows), weight, mask), nan_policy, place)
    if job.alignment.ratio_shape is not None:
        return loop.state_of_cells()
    if not job.spec.both_conventions:
        return loop.state(out)
    state = loop.state(None if all_binary else out)
    binary = loop.state(out if all_binary else None, binary=1.0)
    sums = {**state.sums, "loss_binary": binary.sum("loss")}
    labels, counted = rows.of(plan.y_true, job.alignment.y_true), place.host(mask)
    counts = {**state.counts, "other_labels": labels_beside_0_and_1(labels, counted)}
    return State(state.identity, sums, counts)


def labels_beside_0_and_1(labels: Array, mask: Array | None) -> int:
    """How many labels of the rows that count are neither 0 nor 1."""
    others = (labels != 0) & (labels != 1)
    return int(np.count_nonzero(others if mask is None else others[mask]))


class _Loop:
    """A loss' kernel and what it is called with."""

    def __init__(
        self,
        plan: Plan,
        job: PlannedLoss,
        rows: BlockInputs,
        operands: tuple[Any, Any, Any, Any],
        nan_policy: str,
        place: CpuBackend,
    ) -> None:
        self._plan, self._job, self._rows = plan, job, rows
        self._operands, self._nan_policy, self._place = operands, nan_policy, place

    def state(self, out: Any, **given: float) -> State:
        """`given` are arguments of the formula that its parameters leave open."""
        limbs, counts = self._run(self._job.formula, out, given)
        total = {
            "count": int(counts[accumulate.COUNT]),
            "nonzero_weights": int(counts[accumulate.NONZERO if self._plan.weighted else accumulate.COUNT]),
            "omitted": int(counts[accumulate.OMITTED]),
            "ignored": int(counts[accumulate.IGNORED_ROWS]),
        }
        weight = ExactSum.of_limbs(limbs[accumulate.WEIGHTS])
        sums = {
            "loss": ExactSum.of_limbs(limbs[accumulate.VALUES]),
            "weight": weight if self._plan.weighted else ExactSum.of_count(total["count"]),
        }
        return State(self._job.identity, sums, total)

    def state_of_cells(self) -> State:
        """The exact sums that ratios over the whole data are made of."""
        assert isinstance(self._job.formula, Overlap)
        limbs, counts = self._run(whole_data.whole(self._job.formula), None, {})
        sums = zip(cell_sums(self._classes), map(ExactSum.of_limbs, limbs), strict=True)
        total = {
            "elements": int(counts[accumulate.COUNT]),
            "omitted": int(counts[accumulate.OMITTED]),
            "ignored": int(counts[accumulate.IGNORED_ROWS]),
        }
        return State(self._job.identity, dict(sums), total)

    @property
    def _classes(self) -> int:
        layout = self._job.alignment.y_pred
        return math.prod(n for n, axis in zip(layout.shape, layout.axes, strict=True) if axis == CLASS_AXIS)

    def _run(self, formula: cpu.AnyFormula, out: Any, given: dict[str, float]) -> tuple[Array, Array]:
        job, keep = self._job, out is not None
        ignore_class = job.spec.parameters.get("ignore_class")
        each = job.spec.per_class(self._classes)
        each.flags.writeable = False  # as other operands; see places
        settings = (
            (0, 0) if ignore_class is None else (1, ignore_class),
            job.spec.arguments(job.dtype, **given),
            each,
            NAN_POLICIES[self._nan_policy],
            keep,
            out if keep else np.empty(0, job.dtype),
        )
        limbs, counts, bad = self._place.run(job, formula, self._operands, settings)
        if bad >= 0:
            raise self._explained(bad)
        return limbs, counts

    def _explained(self, bad: int) -> Exception:
        """Why a row has no loss. What is on a GPU is looked at there for one row, not copied as a whole."""
        plan, job, rows, weight = self._plan, self._job, self._rows, self._operands[2]
        if self._place.holds_arrays:
            block, at = rows.block, np.unravel_index(bad, rows.block.shape)
            start = tuple(a + int(i) for a, i in zip(block.start, at, strict=True))
            rows, bad = BlockInputs(plan, Block(block.index, start, tuple(a + 1 for a in start))), 0
            weight = weight_of(plan, rows)
        labels, predictions = rows.of(plan.y_true, job.alignment.y_true), rows.of(plan.y_pred, job.alignment.y_pred)
        weights = None if weight is None else np.broadcast_to(weight, rows.block.rows)
        return explain(plan, job, rows.block, bad, labels, predictions, weights)
