"""One loss on the rows of a block: the kernel and its operands, and the state that it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..aggregation.accumulation import BINARY
from ..aggregation.ratios import RATIOS
from ..aggregation.state import State
from ..aggregation.statistics import accumulation_of
from ..core.blocks import Block
from ..kernels import base
from ..kernels.base import Ignore, KernelKey, Operands, Output, Settings
from ..kernels.build import layout_of
from ..planning.alignment import CLASS_AXIS
from ..planning.plan import Plan, PlannedLoss
from .backends import Backend, KernelResult
from .diagnosis import RefusedRow, explain
from .inputs import BlockInputs, class_weight_of, host_weight, labels_beside_0_and_1
from .probabilities import PIECE, slacks_of

Array = np.ndarray[Any, Any]

NAN_POLICIES = {"raise": base.RAISE, "omit": base.OMIT, "propagate": base.PROPAGATE}


class RowLosses(NamedTuple):
    """The arrays (rows,) that losses of rows are written to; None: nowhere."""

    out: Any = None
    binary: Any = None
    """For a loss whose labels' convention depends on all labels: the losses as if all are 0 or 1; `out` has the
    others."""


@dataclass(frozen=True, slots=True)
class LossOnBlock:
    """A loss of a plan on the rows of one block."""

    plan: Plan
    planned: PlannedLoss
    inputs: BlockInputs
    weight: Any
    """Each row's `sample_weight` on the backend's device, or None."""
    mask: Any
    nan_policy: str
    backend: Backend

    def evaluate(self, losses: RowLosses) -> State:
        """Return the state of the rows; their losses go to `losses`. Raises ValueRangeError for the first row that has
        no loss.
        """
        operands = self._operands()
        if self.planned.alignment.ratio_shape is not None or not self.planned.spec.both_conventions:
            return self._state(operands, losses.out)
        state = self._state(operands, losses.out)
        binary = self._state(operands, losses.binary, binary=1.0)
        of_losses = [total.name for total in self._key().accumulation.sums if not total.of_weight_alone]
        sums = {**state.sums, **{name + BINARY: binary.sum(name) for name in of_losses}}
        counts = {**state.counts, "other_labels": labels_beside_0_and_1(self.plan, self.planned, self.inputs)}
        return State(state.identity, sums, counts)

    def _operands(self) -> Operands:
        weight = self.weight
        if self.plan.class_weight is not None:
            by_class = class_weight_of(self.plan, self.planned, self.inputs)
            weight = by_class if weight is None else weight * by_class
        return self.backend.operands(self.plan, self.planned, self.inputs, weight, self.mask)

    def _state(self, operands: Operands, out: Any, **arguments: float) -> State:
        """`arguments` are those of the formula that its parameters leave open."""
        key, planned = self._key(), self.planned
        ignore_class = planned.spec.parameters.get("ignore_class")
        settings = Settings(
            Ignore(0, 0) if ignore_class is None else Ignore(1, ignore_class),
            planned.spec.arguments(planned.dtype, **arguments),
            planned.spec.per_class(self._classes),
            NAN_POLICIES[self.nan_policy],
        )
        wanted = out is not None
        output = Output(wanted, out if wanted else np.empty(0, planned.dtype))
        found = self.backend.run(key, operands, settings, output)
        if found.first_bad >= 0 and self._within_slack(self._refused(found.first_bad, operands.weight)):
            found = self._run_inside(key, operands, settings, output)
        if found.first_bad >= 0:
            raise explain(self.plan, planned, self._refused(found.first_bad, operands.weight))
        sums, counts = key.accumulation.content_of(found.limbs, found.counts, self.plan.weighted)
        return State(planned.identity, sums, counts)

    def _within_slack(self, refused: RefusedRow) -> bool:
        """Return whether a refused row holds numbers outside [0, 1] that are taken as 0 or 1."""
        slacks = slacks_of(self.plan, self.planned)
        return slacks.y_true.changes(refused.label) or slacks.y_pred.changes(refused.prediction)

    def _run_inside(self, key: KernelKey, operands: Operands, settings: Settings, output: Output) -> KernelResult:
        """Evaluate the rows with numbers outside [0, 1] as 0 or 1 where they may be; in pieces, to copy little."""
        slacks, rows = slacks_of(self.plan, self.planned), self.inputs.block.rows
        step = max(1, PIECE // max(1, self._classes))
        limbs, counts = [], []
        for a in range(0, rows, step):
            part = slice(a, a + step)
            piece = self.backend.inside(operands, part, slacks)
            found = self.backend.run(key, piece, settings, Output(output.wanted, output.losses[part]))
            if found.first_bad >= 0:
                return found._replace(first_bad=a + found.first_bad)
            limbs.append(found.limbs)
            counts.append(found.counts)
        return KernelResult(np.sum(limbs, axis=0), np.sum(counts, axis=0), -1)

    def _key(self) -> KernelKey:
        """Return what the kernel is made for."""
        formula, single = self.planned.formula, bool(self.planned.dtype == np.float32)
        if self.planned.alignment.ratio_shape is not None:
            return KernelKey(formula, single, "", RATIOS)
        return KernelKey(
            formula, single, layout_of(formula, self._classes), accumulation_of(self.planned.identity.statistics)
        )

    @property
    def _classes(self) -> int:
        view = self.planned.alignment.y_pred
        return math.prod(n for n, axis in zip(view.shape, view.axes, strict=True) if axis == CLASS_AXIS)

    def _refused(self, bad: int, weight: Any) -> RefusedRow:
        """Return the row that has no loss. What is on a GPU is looked at for one row only, not copied as a whole."""
        plan, planned, inputs = self.plan, self.planned, self.inputs
        if self.backend.holds_arrays:
            block, at = inputs.block, np.unravel_index(bad, inputs.block.shape)
            start = tuple(a + int(i) for a, i in zip(block.start, at, strict=True))
            inputs, bad = BlockInputs(plan, Block(block.index, start, tuple(a + 1 for a in start))), 0
            weight = host_weight(plan, inputs)
        predictions = inputs.read(plan.predictions(planned), planned.alignment.y_pred)
        if planned.formula.is_ratio:
            elements = inputs.elements(planned)
            labels, predictions = (
                elements.without_ignored(values.reshape(inputs.block.rows, -1))
                for values in (elements.labels, predictions)
            )
        else:
            labels = inputs.read(plan.y_true, planned.alignment.y_true)
        weights = None if weight is None or weight.size == 0 else np.broadcast_to(weight, inputs.block.rows)
        return RefusedRow(inputs.block, bad, labels, predictions, weights)
