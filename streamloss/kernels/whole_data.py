"""Sums over all rows for a ratio over the whole data: exact, so that the one division at the end is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..aggregation.accumulation import OUTCOME_COUNTED, OUTCOME_REFUSED, Accumulation
from ..core.jit import no_alloc
from ..formulas._kinds import Overlap
from .accumulate import in_turn, sum_adder
from .base import BAD, IGNORED, KEPT, TILE, Operands
from .row_policy import outcome_of
from .workspace import empty


class Workspace(NamedTuple):
    """The arrays that the loop writes to: float64 (TILE,)."""

    labels: Any
    predictions: Any
    spare: Any


def new_workspace(operands: Operands) -> Workspace:
    """Return the work space of one thread."""
    return Workspace(empty(TILE), empty(TILE), empty(TILE))


@cache
def sums_over_rows(formula: Overlap, accumulation: Accumulation) -> Callable[..., int]:
    """Return ``rows(operands, settings, output, totals, workspace, start, stop) -> int``, which adds some rows up.

    It is the loop of :func:`streamloss.kernels.cpu.losses_of_rows` for sums over the whole data; it writes no losses.
    ``totals.limbs`` holds the sums of each ratio, one ratio after the other; each entry of a row belongs to a ratio.
    """
    lowest, highest = formula.y_true.smallest, formula.y_true.largest
    lowest_pred, highest_pred = formula.y_pred.smallest, formula.y_pred.largest
    num_sums = len(accumulation.sums)
    add_all = in_turn([sum_adder(total, k) for k, total in enumerate(accumulation.sums)])

    @no_alloc
    def sums_of_rows(
        operands: Any, settings: Any, output: Any, totals: Any, workspace: Any, start: int, stop: int
    ) -> int:
        y_true, y_pred, mask = operands.y_true, operands.y_pred, operands.mask
        limbs, counts = totals.limbs, totals.counts
        labels, predictions, spare = workspace.labels, workspace.predictions, workspace.spare
        ratios = y_pred.shape[1]
        for ratio in range(ratios):
            of_ratio = limbs[num_sums * ratio : num_sums * (ratio + 1)]
            for a in range(start, stop, TILE):
                m = 0
                for r in range(a, min(a + TILE, stop)):
                    y, p = np.float64(y_true[r, ratio]), np.float64(y_pred[r, ratio])
                    outside = y < lowest or y > highest or p < lowest_pred or p > highest_pred
                    status = BAD if outside else KEPT
                    if mask.size > 0 and not mask[r]:
                        status = IGNORED
                    outcome = outcome_of(np.nan if y != y or p != p else 0.0, status, 1.0, settings.nan_policy)
                    if outcome == OUTCOME_REFUSED:
                        return r
                    counts[outcome] += 1
                    if outcome == OUTCOME_COUNTED:
                        labels[m], predictions[m] = y, p
                        m += 1
                add_all(labels[:m], predictions[:m], of_ratio, counts, spare)
        return -1

    return sums_of_rows
