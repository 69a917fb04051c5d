"""The loop over sequences of labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.jit import inline, no_alloc
from ..core.primitives import flat
from ..formulas._kinds import LabelSequence
from .base import BAD, IMPOSSIBLE, KEPT, Kernel, Operands, count_outside_of


def ctc(formula: LabelSequence) -> Kernel:
    """Return the loop over rows of a sequence of labels and the scores of its time steps."""
    loss = no_alloc(formula.loss)
    outside_pred = count_outside_of(formula.y_pred)

    @inline
    def rows(y_true: Any, y_pred: Any, settings: Any, values: Any, status: Any, workspace: Any) -> int:
        n, classes = y_pred.shape[0], y_pred.shape[2]
        longest, odd = y_true.shape[1], 0
        for r in range(n):
            labels, scores = y_true[r], y_pred[r]
            length = 0
            while length < longest and labels[length] != 0:
                length += 1
            wrong = outside_pred(flat(scores))
            for i in range(longest):  # zeros fill up behind the labels, and nowhere else
                wrong += 1 if (labels[i] < 0) | (labels[i] >= classes) | ((i > length) & (labels[i] != 0)) else 0
            status[r] = BAD if wrong else KEPT
            values[r] = 0.0
            if wrong == 0:
                values[r] = loss(labels[:length], scores, workspace)
                status[r] = IMPOSSIBLE if values[r] == np.inf else KEPT
            odd += 0 if status[r] == KEPT else 1
        return odd

    def new_workspace(operands: Operands) -> Any:
        return formula.new_workspace(operands.y_true.shape[1], operands.y_pred.shape[2])

    return Kernel(rows, new_workspace)
